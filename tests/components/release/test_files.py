"""The files of a version are those that were released, or it is said which are not."""

from pathlib import Path

import pytest

from components.release.files import NEEDED, NOTED, ONNX, check, digests, keep_only, loads
from components.store.artifact import Artifact
from components.store.folder import sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NEEDED, "artifacts/trial.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def onnx(folder: Path) -> Artifact:
    file = folder / ONNX
    return Artifact(digest=sha256(file), kind="file", size_bytes=file.stat().st_size, name="model.onnx")


def test_every_file_is_hashed_but_what_mlflow_notes_in_a_download(folder: Path) -> None:
    (folder / NOTED).write_text("model_name: m")
    assert digests(folder) == {name: sha256(folder / name) for name in (*NEEDED, "artifacts/trial.json")}


def test_a_file_that_changed_or_is_gone_is_named_and_one_more_is_told(folder: Path) -> None:
    released = digests(folder)
    assert check(released, released=released).status == "verified"
    more = check({**released, "new.txt": "digest"}, released=released)
    assert (more.status, more.text.endswith("not of the release: new.txt.")) == ("verified", True)
    (folder / "served.py").write_text("other")
    (folder / "MLmodel").unlink()
    found = check(digests(folder), released=released)
    assert found.status == "broken"
    assert found.text.startswith("MLmodel is gone. served.py has the digest")


def test_a_file_whose_digest_was_not_kept_is_only_stated_and_must_be_there(folder: Path) -> None:
    released = dict.fromkeys(digests(folder))
    assert check(digests(folder), released=released).status == "stated"
    assert check({}, released=released).status == "broken"


@pytest.mark.parametrize("name", NEEDED)
def test_a_version_loads_only_with_all_that_loads_it(folder: Path, name: str) -> None:
    file = onnx(folder)
    assert loads(folder, file, released=digests(folder))
    (folder / name).unlink()
    assert not loads(folder, file, released=None)


def test_another_file_in_its_place_is_seen_by_its_size_and_where_it_is_hashed_by_its_bytes(folder: Path) -> None:
    file = onnx(folder)
    released = digests(folder)
    (folder / ONNX).write_text("x" * file.size_bytes)
    assert loads(folder, file, released=None)
    assert not loads(folder, file, released=released)
    (folder / ONNX).write_text("x")
    assert not loads(folder, file, released=None)


def test_code_that_isnt_what_was_released_is_seen_where_it_is_hashed_and_what_answers_nobody_may_be_gone(
    folder: Path,
) -> None:
    file, released = onnx(folder), {**digests(folder), "artifacts/report.html": "digest"}
    assert loads(folder, file, released=released)
    (folder / "served.py").write_text("other")
    assert loads(folder, file, released=None)
    assert not loads(folder, file, released=released)


def test_what_was_not_released_is_taken_out_of_a_copy_but_of_older_releases_nobody_knows(folder: Path) -> None:
    released = digests(folder)
    cached = folder / "__pycache__" / "served.cpython-311.pyc"
    cached.parent.mkdir()
    cached.write_text("code of a stranger")
    keep_only(folder, released={ONNX: released[ONNX]})
    assert cached.exists()
    keep_only(folder, released=released)
    assert digests(folder) == released
