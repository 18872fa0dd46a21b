"""What every place for bytes must do. A store joins by one more parameter of the fixture `shelf`."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import Refusal
from components.store import folder as folder_module
from components.store.artifact import Stored
from components.store.blobs import Blobs
from components.store.folder import FolderBlobs
from tests.components.store.conftest import Shelf

SHARED = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(content=st.binary(max_size=3000))
@SHARED
def test_what_is_put_is_got_back_under_its_sha256(blobs: Blobs, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "given"
    source.write_bytes(content)
    digest = blobs.put(source)
    assert digest == hashlib.sha256(content).hexdigest()
    assert blobs.get(digest).read_bytes() == content
    assert blobs.digest_now(digest) == digest
    stamp = blobs.stamp(digest)
    assert stamp is not None
    assert stamp.size_bytes == len(content)


def test_what_was_never_put_is_absent(blobs: Blobs) -> None:
    digest = "0" * 64
    assert blobs.stamp(digest) is None
    assert blobs.digest_now(digest) is None
    blobs.discard(digest)
    with pytest.raises(FileNotFoundError):
        blobs.get(digest)


def test_what_is_discarded_is_absent_until_it_is_put_again(blobs: Blobs, source: Path) -> None:
    digest = blobs.put(source)
    blobs.get(digest)
    blobs.discard(digest)
    assert blobs.stamp(digest) is blobs.digest_now(digest) is None
    with pytest.raises(FileNotFoundError):
        blobs.get(digest)
    assert blobs.get(blobs.put(source)).read_bytes() == b"some bytes"


def test_the_source_may_change_afterwards(blobs: Blobs, source: Path) -> None:
    digest = blobs.put(source)
    source.write_bytes(b"other bytes")
    assert blobs.get(digest).read_bytes() == b"some bytes"


def test_a_digest_that_is_a_path_reaches_nothing(blobs: Blobs, source: Path) -> None:
    for ask in (blobs.get, blobs.stamp, blobs.digest_now, blobs.discard):
        with pytest.raises(ValueError, match="no SHA-256"):
            ask("../../source.bin")
    assert source.exists()


def test_a_source_that_is_missing_is_no_blob(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        blobs.put(tmp_path / "nothing")


def listed(blobs: Blobs, kind: str = "object") -> dict[str, Stored]:
    return {one.name: one for one in blobs.stored() if one.kind == kind}


def made_old(shelf: Shelf, digest: str) -> None:
    """Let the blob look as if it had been put two days ago."""
    then = time.time() - 2 * 86_400
    os.utime(shelf.object(digest), (then, then))


def test_what_is_there_is_listed_with_its_size_and_time(shelf: Shelf, source: Path) -> None:
    assert list(shelf.blobs.stored()) == []
    old = shelf.blobs.put(source)
    made_old(shelf, old)
    source.write_bytes(b"more")
    new = shelf.blobs.put(source)
    shelf.blobs.sign("somebody")
    found = listed(shelf.blobs)
    assert {name: one.size_bytes for name, one in found.items()} == {old: 10, new: 4}
    assert found[old].at == pytest.approx(time.time() - 2 * 86_400, abs=60)
    assert found[new].at == pytest.approx(time.time(), abs=60)


def test_only_what_is_still_old_is_removed(shelf: Shelf, source: Path) -> None:
    digest, day_ago = shelf.blobs.put(source), time.time() - 86_400
    made_old(shelf, digest)
    before = listed(shelf.blobs)[digest]
    assert shelf.blobs.put(source) == digest  # somebody makes it again
    assert not shelf.blobs.remove(before, before=day_ago)
    assert shelf.blobs.get(digest).exists()
    made_old(shelf, digest)
    assert shelf.blobs.remove(before, before=day_ago)
    assert listed(shelf.blobs) == {}
    with pytest.raises(FileNotFoundError):
        shelf.blobs.get(digest)
    assert shelf.blobs.remove(before, before=day_ago)  # gone already


def test_a_place_knows_which_ledgers_have_records_about_it(blobs: Blobs) -> None:
    assert blobs.signed() == []
    for ledger in ("one", "two", "one"):
        blobs.sign(ledger)
    assert sorted(blobs.signed()) == ["one", "two"]


def flip(path: Path, *, keep_time: bool = False) -> None:
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_byte_is_seen_and_healed_by_putting_again(shelf: Shelf, source: Path) -> None:
    blobs = shelf.blobs
    digest = blobs.put(source)
    before = blobs.stamp(digest)
    time.sleep(0.01)
    flip(shelf.object(digest))
    assert blobs.stamp(digest) != before
    assert blobs.digest_now(digest) != digest
    assert blobs.put(source) == digest
    assert blobs.digest_now(digest) == digest


def test_stored_files_are_read_only(blobs: Blobs, source: Path) -> None:
    assert blobs.get(blobs.put(source)).stat().st_mode & 0o222 == 0


def test_a_full_disk_is_refused_and_leaves_nothing(
    blobs: Blobs, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(file: object, copy: io.FileIO) -> str:
        copy.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "_copy_and_hash", no_space)
    with pytest.raises(Refusal, match="no space left"):
        blobs.put(source)
    assert files_under(tmp_path) == [source]


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


PUT = "import sys; from pathlib import Path; from components.store.folder import FolderBlobs\n"


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_processes_that_put_the_same_at_once_all_succeed(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(1 << 20))
    code = PUT + "b = FolderBlobs(Path(sys.argv[1]))\nfor _ in range(20): print(b.put(Path(sys.argv[2])))"
    children = [python(code, tmp_path / "store", source) for _ in range(4)]
    said = [child.communicate(timeout=60) for child in children]
    blobs = FolderBlobs(tmp_path / "store")
    digests = {line for out, _ in said for line in out.split()}
    assert [child.returncode for child in children] == [0] * 4, said
    assert len(digests) == 1
    assert blobs.digest_now(one := digests.pop()) == one
    assert len(files_under(tmp_path / "store")) == 1


def test_a_put_that_is_killed_leaves_nothing_visible_and_is_swept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child reads from a pipe that is never filled, so it is in the middle for sure."""
    pipe, store = tmp_path / "pipe", tmp_path / "store"
    os.mkfifo(pipe)
    child = python(PUT + "FolderBlobs(Path(sys.argv[1])).put(Path(sys.argv[2]))", store, pipe)
    with pipe.open("wb") as file:
        file.write(b"x" * (3 << 20))
        file.flush()
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size for path in files_under(store)) and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert not (store / "objects").exists()
    (left,) = files_under(store / "incoming")
    (begun,) = FolderBlobs(store).stored()
    assert (begun.kind, begun.name, begun.size_bytes) == ("upload", left.name, left.stat().st_size)
    assert not FolderBlobs(store).remove(begun, before=begun.at)
    source = tmp_path / "source.bin"
    source.write_bytes(b"later")
    FolderBlobs(store).put(source)
    assert len(files_under(store / "incoming")) == 1  # it may still be at work
    monkeypatch.setattr(folder_module, "ABANDONED_SECONDS", 0.0)
    FolderBlobs(store).put(source)
    assert files_under(store / "incoming") == []


def test_a_reader_never_sees_half_a_blob_while_it_is_put_again(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(1 << 20))
    blobs = FolderBlobs(tmp_path / "store")
    digest = blobs.put(source)
    ended = threading.Event()

    def put_again() -> None:
        while not ended.is_set():
            blobs.put(source)

    thread = threading.Thread(target=put_again)
    thread.start()
    try:
        assert all(blobs.digest_now(digest) == digest for _ in range(50))
    finally:
        ended.set()
        thread.join()
