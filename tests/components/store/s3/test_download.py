"""What a get from S3 promises beyond the protocol: verified, gone on with, cached, and fetched once."""

import errno
import os
import shutil
import threading
from io import FileIO
from pathlib import Path

import pytest

from components.errors import Refusal
from components.store.s3 import download as download_module
from components.store.s3.blobs import S3Blobs
from components.store.s3.parts import PART
from tests.components.store.conftest import BUCKET
from tests.components.store.s3.child import child
from tests.components.store.test_blobs import files_under, flip
from tests.servers.faults import Proxy, once, wait_until
from tests.servers.s3 import S3Server


@pytest.fixture
def large(tmp_path: Path) -> bytes:
    return os.urandom(4 * PART + 1000)


@pytest.fixture
def digest(remote: S3Blobs, large: bytes, tmp_path: Path) -> str:
    """The large file's, which is in the bucket and in no cache of a test."""
    path = tmp_path / "large.bin"
    path.write_bytes(large)
    return remote.put(path)


def ranges(faults: Proxy) -> list[int]:
    """Return where the reads began."""
    return sorted(int(one.range.removeprefix("bytes=").partition("-")[0]) for one in faults.requests if one.range)


def test_a_get_that_is_killed_is_gone_on_with(
    s3: S3Server, faults: Proxy, shaky: S3Blobs, prefix: str, large: bytes, digest: str
) -> None:
    faults.fault = lambda request: "hang" if f"={2 * PART}-" in request.range else None
    getting = child(s3, "get", digest, prefix=prefix, cache=shaky.cache.root, endpoint_url=faults.endpoint_url)
    partial = shaky.cache.root / "incoming" / digest
    wait_until(lambda: partial.exists() and partial.stat().st_size == 2 * PART)
    getting.kill()
    getting.communicate()
    assert files_under(shaky.cache.root) == [partial]
    faults.requests.clear()
    faults.fault = lambda request: None
    assert shaky.get(digest).read_bytes() == large
    assert ranges(faults) == [2 * PART, 3 * PART, 4 * PART]
    assert not partial.exists()


@pytest.mark.parametrize("length", [100, 4 * PART + 1000, 5 * PART])
def test_what_an_earlier_get_left_in_other_bytes_does_no_harm(
    remote: S3Blobs, shaky: S3Blobs, large: bytes, digest: str, length: int
) -> None:
    partial = shaky.cache.root / "incoming" / digest
    partial.parent.mkdir(parents=True)
    partial.write_bytes(os.urandom(length))
    assert shaky.get(digest).read_bytes() == large


def test_a_whole_partial_file_needs_no_more_bytes(shaky: S3Blobs, faults: Proxy, large: bytes, digest: str) -> None:
    partial = shaky.cache.root / "incoming" / digest
    partial.parent.mkdir(parents=True)
    partial.write_bytes(large)
    assert shaky.get(digest).read_bytes() == large
    assert ranges(faults) == [len(large)]


def test_an_answer_that_is_cut_is_gone_on_with_where_it_was(
    shaky: S3Blobs, faults: Proxy, large: bytes, digest: str
) -> None:
    faults.fault = once("cut answer", "GET", digest[2:])
    assert shaky.get(digest).read_bytes() == large
    assert ranges(faults) == [0, PART // 2, PART, 2 * PART, 3 * PART, 4 * PART]


def test_a_byte_that_is_flipped_on_the_way_is_noticed_and_read_again(
    shaky: S3Blobs, faults: Proxy, large: bytes, digest: str
) -> None:
    faults.fault = once("flip answer", "GET", digest[2:])
    assert shaky.get(digest).read_bytes() == large
    faults.fault = once("flip answer", "GET", digest[2:])
    assert shaky.digest_now(digest) == digest


def test_a_blob_that_is_damaged_is_never_handed_out(remote: S3Blobs, shaky: S3Blobs, digest: str, s3: S3Server) -> None:
    flip(s3.folder / BUCKET / remote.key(digest))
    with pytest.raises(ValueError, match="is damaged"):
        shaky.get(digest)
    assert files_under(shaky.cache.root) == []


def test_a_blob_that_is_missing_leaves_nothing(shaky: S3Blobs) -> None:
    with pytest.raises(FileNotFoundError):
        shaky.get("0" * 64)
    assert files_under(shaky.cache.root) == []


def test_what_was_put_or_got_is_not_downloaded_again(
    shaky: S3Blobs, faults: Proxy, tmp_path: Path, source: Path, digest: str
) -> None:
    assert shaky.get(shaky.put(source)).read_bytes() == b"some bytes"
    assert faults.count("GET", "/objects/") == 0
    shaky.get(digest)
    faults.requests.clear()
    again = S3Blobs(shaky.bucket, prefix=shaky.prefix, cache=shaky.cache.root)  # as in another process
    for blobs in (shaky, again):
        assert blobs.get(digest).stat().st_mode & 0o222 == 0
    assert faults.requests == []


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_cached_copy_that_someone_changed_is_fetched_anew(
    shaky: S3Blobs, large: bytes, digest: str, keep_time: bool
) -> None:
    flip(shaky.get(digest), keep_time=keep_time)
    blobs = S3Blobs(shaky.bucket, prefix=shaky.prefix, cache=shaky.cache.root) if keep_time else shaky
    assert blobs.get(digest).read_bytes() == large


def test_hashing_all_doubts_the_cached_copy_too(shaky: S3Blobs, large: bytes, digest: str) -> None:
    flip(shaky.get(digest), keep_time=True)
    assert shaky.digest_now(digest) == digest
    assert shaky.get(digest).read_bytes() == large


def test_the_object_itself_is_hashed_and_not_the_copy(remote: S3Blobs, digest: str, s3: S3Server) -> None:
    flip(s3.folder / BUCKET / remote.key(digest))
    assert remote.digest_now(digest) != digest
    assert remote.get(digest).exists()


def test_who_wants_the_same_at_once_fetches_it_once(shaky: S3Blobs, faults: Proxy, large: bytes, digest: str) -> None:
    found: list[bytes] = []
    blobs = [S3Blobs(shaky.bucket, prefix=shaky.prefix, cache=shaky.cache.root) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda one=one: found.append(one.get(digest).read_bytes()))  # type: ignore[misc]
        for one in blobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [large] * 4
    assert len(ranges(faults)) == 5


def test_a_full_disk_is_refused_and_leaves_nothing(
    shaky: S3Blobs, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(partial: FileIO, *_: object) -> str:
        partial.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download_module, "_fill", no_space)
    with pytest.raises(Refusal, match="no space left"):
        shaky.get(digest)
    assert files_under(shaky.cache.root) == []


def test_a_cache_that_is_deleted_meanwhile_is_filled_again(shaky: S3Blobs, large: bytes, digest: str) -> None:
    shaky.get(digest)
    shutil.rmtree(shaky.cache.root)
    assert shaky.get(digest).read_bytes() == large
