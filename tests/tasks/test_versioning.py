"""DVC, without git: what was added comes back by its .dvc text alone."""

import os
import sys
import time
from pathlib import Path

import pytest
from dvc.repo import Repo

from components.errors import Refusal
from tasks.stage import Remote
from tasks.versioning import bring, fetch, pieces, restore, snapshot, tracks
from tests.servers.s3 import BUCKET, S3Server


def make(folder: Path, *, text: str = "a,b\n1,2\n") -> Path:
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "part-0.csv").write_text(text)
    return data


@pytest.mark.parametrize("name", ["home", 'Jürgen\'s home, #1 "東京"'])
def test_a_snapshot_comes_back_from_the_remote(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    remote = Remote(url=str(home / "remote"))
    version = snapshot(make(home / "work"), workspace=home / "work", remote=remote)
    assert version.md5.endswith(".dir")
    back = restore(version.dvc_file, workspace=home / "elsewhere", remote=remote)
    assert (back / "part-0.csv").read_text() == "a,b\n1,2\n"
    with pieces(remote) as kept:
        assert len(list(kept.all())) == 2  # the file, and the list of files


def test_equal_data_is_the_same_version_and_other_data_another(tmp_path: Path) -> None:
    remote = Remote(url=str(tmp_path / "remote"))
    versions = [
        snapshot(make(tmp_path / name, text=text), workspace=tmp_path / name, remote=remote).md5
        for name, text in (("one", "a\n1\n"), ("two", "a\n1\n"), ("three", "a\n2\n"))
    ]
    assert versions[0] == versions[1] != versions[2]


def test_a_remote_that_lost_the_data_is_named(tmp_path: Path) -> None:
    version = snapshot(
        make(tmp_path / "work"), workspace=tmp_path / "work", remote=Remote(url=str(tmp_path / "remote"))
    )
    with pytest.raises(Refusal, match="can't be had back"):
        restore(version.dvc_file, workspace=tmp_path / "elsewhere", remote=Remote(url=str(tmp_path / "nowhere")))


@pytest.fixture
def remote(s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A remote on S3, which only the setting leads to."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return Remote(url=f"s3://{BUCKET}/{prefix}", endpoint_url=s3.endpoint_url)


def test_a_snapshot_comes_back_from_s3(tmp_path: Path, remote: Remote, s3: S3Server) -> None:
    version = snapshot(make(tmp_path / "work"), workspace=tmp_path / "work", remote=remote)
    assert [path.name for path in (s3.folder / remote.url.removeprefix("s3://")).rglob("*.dir")]
    back = restore(version.dvc_file, workspace=tmp_path / "elsewhere", remote=remote)
    assert (back / "part-0.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        (BUCKET, "can't be pushed: Forbidden(.|\n)*`steelyard doctor`"),
        ("nobody", "can't be pushed: .*bucket does not exist"),
    ],
)
def test_s3_that_refuses_a_snapshot_is_something_to_mend(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch, bucket: str, words: str
) -> None:
    if bucket == BUCKET:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    there = Remote(url=remote.url.replace(BUCKET, bucket, 1), endpoint_url=remote.endpoint_url)
    with pytest.raises(Refusal, match=words):
        snapshot(make(tmp_path / "work"), workspace=tmp_path / "work", remote=there)


def test_s3_that_no_credentials_are_for_is_something_to_mend(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(Refusal, match="no credentials for S3 were found"):
        snapshot(make(tmp_path / "work"), workspace=tmp_path / "work", remote=remote)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_the_pieces_of_a_version_are_listed_and_removed(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    there = Remote(url=str(tmp_path / "remote")) if kind == "folder" else request.getfixturevalue("remote")
    one, two = (
        snapshot(make(tmp_path / name, text=text), workspace=tmp_path / name, remote=there).md5
        for name, text in (("one", "a\n1\n"), ("two", "a\n22\n"))
    )
    with pieces(there) as found:
        assert len(found.of(one)) == 2
        assert found.of("0" * 32 + ".dir") == {"0" * 32 + ".dir"}
        every = {piece.name: piece for piece in found.all()}
        assert every.keys() == found.of(one) | found.of(two)
        assert {piece.name for piece in found.look([*found.of(one), "0" * 32])} == found.of(one)
        (data,) = found.of(two) - {two}
        assert every[data].size_bytes == 5
        assert every[data].at == pytest.approx(time.time(), abs=60)
        assert not found.remove(every[data], before=time.time() - 60)
        for name in found.of(two):
            assert found.remove(every[name], before=time.time() + 60)
        assert {piece.name for piece in found.all()} == found.of(one)
    assert restore(tmp_path / "one" / "data.dvc", workspace=tmp_path / "back", remote=there).is_dir()


def test_nothing_is_printed_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot(make(tmp_path / "work"), workspace=tmp_path / "work", remote=Remote(url=str(tmp_path / "remote")))
    assert capsys.readouterr().out == ""


def test_data_that_no_repository_tracks_is_not_brought(tmp_path: Path) -> None:
    assert not bring(tmp_path / "data")
    assert not tracks(tmp_path / "data")


def test_a_url_that_can_not_be_had_is_named_without_its_credentials(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"http://127\.0\.0\.1:9/rows\.csv can't be had") as refused:
        fetch("http://me:secret@127.0.0.1:9/rows.csv?token=secret", workspace=tmp_path)
    assert "secret" not in str(refused.value)


def test_a_tracked_data_set_is_built_by_this_python_though_no_environment_is_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Repo.init(str(tmp_path), no_scm=True):
        pass
    command = 'python -c \'import sys; open("made.txt", "w").write(sys.prefix)\''
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  make:\n    cmd: {command}\n    outs: [made.txt]\n")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert not tracks(tmp_path / "mad.txt")
    assert not bring(tmp_path / "mad.txt")
    assert tracks(tmp_path / "made.txt")
    assert not (tmp_path / "made.txt").exists()
    assert bring(tmp_path / "made.txt")
    assert (tmp_path / "made.txt").read_text() == sys.prefix
    assert os.environ["PATH"] == "/usr/bin:/bin", "what else looks for programs finds those that the shell does"
