"""`verify` names the link that broke."""

import json
import py_compile
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from components.home import Home
from tasks.tracking.connecting import connect
from tests.flows.place import Place, Told, flip

pytestmark = pytest.mark.timeout(900)


UNTOUCHED = {
    "data": "verified",
    "split": "verified",
    "code": "stated",
    "seeds": "stated",
    "checkpoint": "verified",
    "candidate": "stated",
    "onnx": "verified",
    "gate": "stated",
    "files": "verified",
}
PARTS = [
    "MLmodel",
    "served.py",
    *(f"artifacts/{name}" for name in ("trial.json", "report.html", "recipe.yaml", "data.dvc")),
]


def states(told: Told) -> dict[str, str]:
    return {one["name"]: one["status"] for one in told.json}


def blob(place: Place, digest: str) -> Path:
    return place.home / "store" / "objects" / digest[:2] / digest[2:]


def digests(place: Place) -> dict[str, str]:
    shown = place.call("show", "people", "--json").json
    (row,) = place.call("data", "list", "--json").json
    return {
        "checkpoint": shown["checkpoint_sha256"],
        "split": shown["assignments_sha256"],
        "data": row["sha256"],
    }


def folder_of(place: Place, version: int) -> Path:
    query = "SELECT storage_location FROM model_versions WHERE version = ?"
    with closing(sqlite3.connect(place.home / "mlflow" / "mlflow.db")) as connection:
        (where,) = connection.execute(query, (version,)).fetchone()
    return Path(where.removeprefix("file://"))


@contextmanager
def registered(place: Place, name: str, *, version: int = 2) -> Iterator[Path]:
    """A file of a version as MLflow keeps it; it is whole again at the end."""
    file = folder_of(place, version) / "artifacts" / name
    content = file.read_bytes()
    try:
        yield file
    finally:
        file.write_bytes(content)


def test_an_untouched_release_holds_at_every_link(both: Place) -> None:
    told = both.call("verify", "people", "--json")
    assert told.code == 0, told.err
    assert states(told) == UNTOUCHED
    assert "the chain holds" in both.call("verify", "people", "--version", "1").out


@pytest.mark.parametrize("link", ["data", "split", "checkpoint"])
def test_a_flipped_byte_in_the_store_breaks_its_link_and_no_other(place: Place, link: str) -> None:
    stored = place.home / "store" / "folders" / digests(place)[link]
    name = next(path for path in sorted(stored.iterdir()) if path.suffix != ".json") if stored.is_dir() else None
    flip(blob(place, digests(place)[link]) if name is None else blob_of(place, name))
    told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {link: "broken"}
    assert f"broken: {link}" in place.call("verify", "people").out


def blob_of(place: Place, file: Path) -> Path:
    """The blob with the bytes of a file that was laid out."""
    return next(
        path for path in (place.home / "store" / "objects").glob("*/*") if path.read_bytes() == file.read_bytes()
    )


def test_a_flipped_byte_in_the_registry_breaks_the_link_onnx(place: Place) -> None:
    with registered(place, "model.onnx") as file:
        flip(file)
        told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {"onnx": "broken"}


def test_a_changed_fact_breaks_the_link_that_states_it(place: Place) -> None:
    with registered(place, "provenance.json") as file:
        file.write_bytes(file.read_bytes().replace(b'"rows":200', b'"rows":900'))
        told = place.call("verify", "people", "--json")
    assert [name for name, state in states(told).items() if state == "broken"] == ["data"]


def test_what_the_store_no_longer_has_cannot_be_verified_and_is_not_called_broken(place: Place) -> None:
    blob(place, digests(place)["split"]).unlink()
    told = place.call("verify", "people", "--json")
    assert told.code == 0
    assert states(told) == UNTOUCHED | {"split": "unverifiable"}
    out = place.call("verify", "people").out
    assert "no link is broken, but not all could be looked at; 1 of 9 links can't be verified here (split)" in out
    assert "holds" not in out


def test_a_chain_of_another_release_is_not_taken(place: Place) -> None:
    with registered(place, "provenance.json") as file:
        file.write_bytes(other(place))
        told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told)["gate"] == "broken"  # the last link: its digest was recorded at registration


def other(place: Place) -> bytes:
    return (folder_of(place, 1) / "artifacts" / "provenance.json").read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_version_that_was_changed_or_is_gone_is_broken_and_named(place: Place, part: str) -> None:
    file = folder_of(place, 2) / part
    flip(file)
    for said in (f"{part} has the digest", f"{part} is gone"):
        told = place.call("verify", "people", "--json")
        assert told.code == 3
        assert states(told) == UNTOUCHED | {"files": "broken"}
        assert said in told.json[-1]["text"]
        file.unlink(missing_ok=True)
    assert "broken: files" in place.call("verify", "people").out


def test_a_version_without_its_model_is_broken_and_said_to_be_so(place: Place) -> None:
    (folder_of(place, 2) / "artifacts" / "model.onnx").unlink()
    told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {"onnx": "broken"}
    assert place.call("predict", "people", "people.csv").refused("people/2 are gone", "artifacts/model.onnx")


@pytest.mark.parametrize("content", [None, b"no statement"])
def test_a_version_without_a_chain_is_broken_and_its_files_are_hashed_all_the_same(
    place: Place, content: bytes | None
) -> None:
    statement = folder_of(place, 2) / "artifacts" / "provenance.json"
    statement.unlink() if content is None else statement.write_bytes(content)
    told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == {"statement": "broken", "files": "verified"}
    flip(folder_of(place, 2) / "artifacts" / "model.onnx")
    assert states(place.call("verify", "people", "--json")) == {"statement": "broken", "files": "broken"}


@pytest.mark.parametrize("more", ["", "\nprint('a stranger')\n"])
def test_what_mlflow_and_python_leave_in_a_version_breaks_nothing_and_code_of_a_stranger_does(
    place: Place, tmp_path: Path, more: str
) -> None:
    folder = folder_of(place, 2)
    (folder / "registered_model_meta").write_text("model_name: people")
    source, name = tmp_path / "source.py", cache_from_source(str(folder / "served.py"))
    source.write_text((folder / "served.py").read_text("utf-8") + more, "utf-8")
    mode = PycInvalidationMode.UNCHECKED_HASH if more else PycInvalidationMode.TIMESTAMP
    py_compile.compile(str(source), cfile=name, invalidation_mode=mode, doraise=True)
    told = place.call("verify", "people", "--json", code=3 if more else 0)
    assert states(told) == UNTOUCHED | ({"files": "broken"} if more else {})
    kept = Path(name).relative_to(folder)
    said = f"{kept}: not of the release, and code" if more else f"Also there, and not of the release: {kept}."
    assert said in told.json[-1]["text"]


def test_an_alias_that_names_another_version_than_the_record_is_broken_and_listed(place: Place) -> None:
    connect(Home(place.home)).set_registered_model_alias("people", "champion", "1")
    for version in ("1", "2"):
        told = place.call("verify", "people", "--version", version, "--json", code=3)
        assert states(told) == UNTOUCHED | {"alias": "broken"}
        assert "names version 1 of people, the record says version 2" in told.json[-1]["text"]
    assert "names version 1 of people, the record says version 2" in place.call("list", "people", code=0).err


def test_a_version_of_before_the_digests_were_kept_holds_and_its_files_are_only_stated(place: Place) -> None:
    forget_files(place)
    told = place.call("verify", "people", "--json", code=0)
    assert states(told) == UNTOUCHED | {"files": "stated"}
    assert told.json[-1]["text"].startswith("Hashed: artifacts/report.html. Registered before")
    assert "the chain holds; 5 of 9 links are only stated" in place.call("verify", "people").out


@pytest.mark.parametrize("part", ["artifacts/report.html", "artifacts/trial.json"])
def test_of_such_a_version_an_edited_report_and_a_missing_part_are_found(place: Place, part: str) -> None:
    forget_files(place)
    file = folder_of(place, 2) / part
    flip(file) if part.endswith("html") else file.unlink()
    told = place.call("verify", "people", "--json")
    assert told.code == 3
    assert states(told) == UNTOUCHED | {"files": "broken"}
    assert part in told.json[-1]["text"]


def forget_files(place: Place) -> None:
    """Make the releases those of a Steelyard that didn't keep the digests of their files."""
    with closing(sqlite3.connect(place.home / "ledger.db")) as connection:
        for version, content in connection.execute("SELECT version, content FROM releases").fetchall():
            older = {name: value for name, value in json.loads(content).items() if name != "files"}
            connection.execute("UPDATE releases SET content = ? WHERE version = ?", (json.dumps(older), version))
        connection.commit()
