"""What a put to S3 promises beyond the protocol: whole or not at all, gone on with, and never of other bytes."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from components.errors import Refusal
from components.store.s3 import upload as upload_module
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs
from components.store.s3.bucket import Bucket, Head
from components.store.s3.parts import PART
from components.store.s3.upload import upload
from components.store.store import Store
from tests.components.store.conftest import BUCKET
from tests.components.store.s3.child import child
from tests.components.store.test_blobs import flip
from tests.servers.faults import Proxy, Request, wait_until
from tests.servers.s3 import S3Server, s3_server


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of five parts, the last a short one."""
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(4 * PART + 1000))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_large_file_goes_and_comes_in_parts(shaky: S3Blobs, faults: Proxy, large: Path, tmp_path: Path) -> None:
    digest = shaky.put(large)
    assert digest == sha256(large)
    assert faults.count("PUT", "partNumber=") == 5
    shutil.rmtree(shaky.cache.root)
    assert sha256(shaky.get(digest)) == digest
    assert faults.count("GET", digest[2:]) == 5


def test_a_large_file_that_is_there_is_not_sent_again(shaky: S3Blobs, faults: Proxy, large: Path) -> None:
    shaky.put(large)
    sent = faults.count("PUT")
    shaky.put(large)
    assert faults.count("PUT") == sent


def test_the_tag_of_an_object_in_parts_is_understood(shaky: S3Blobs, faults: Proxy, large: Path) -> None:
    """Amazon's way, which this server doesn't have: the proxy puts it in."""
    digest = shaky.put(large)
    content = large.read_bytes()
    ends = b"".join(hashlib.md5(content[at : at + PART]).digest() for at in range(0, len(content), PART))
    faults.etag = f'"{hashlib.md5(ends).hexdigest()}-5"'
    sent = faults.count("PUT")
    shaky.put(large)
    assert faults.count("PUT") == sent
    faults.etag = f'"{hashlib.md5(ends[1:]).hexdigest()}-5"'
    shaky.put(large)
    assert faults.count("PUT") > sent
    assert shaky.digest_now(digest) == digest


def test_a_large_object_that_someone_overwrote_is_replaced(remote: S3Blobs, large: Path, s3: S3Server) -> None:
    digest = remote.put(large)
    flip(s3.folder / BUCKET / remote.key(digest), keep_time=True)
    assert remote.digest_now(digest) != digest
    remote.put(large)
    assert remote.digest_now(digest) == digest


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that remembers tags, and doesn't see that bytes rot."""
    with s3_server(tmp_path_factory.mktemp("forgetful") / "server", "--dir-cache-time", "1h") as made:
        made.make_bucket(BUCKET)
        yield made


def test_what_rots_in_silence_is_found_by_hashing_and_healed(
    forgetful: S3Server, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in forgetful.variables().items():
        monkeypatch.setenv(name, value)
    blobs = S3Blobs(Bucket(BUCKET, Access(endpoint_url=forgetful.endpoint_url)), prefix="", cache=tmp_path / "cache")
    store = Store(blobs, tmp_path / "folders")
    artifact = store.put(large)
    stamps = store.stamps(artifact) or {}
    flip(forgetful.folder / BUCKET / blobs.key(artifact.digest), keep_time=True)
    assert store.is_intact(artifact, stamps)
    store.put(large)
    assert store.digest_now(artifact) != artifact.digest  # the bucket vouched for it
    assert not store.is_intact(artifact, stamps, hash_all=True)
    store.put(large)
    assert store.is_intact(artifact, stamps, hash_all=True)


def test_a_put_that_is_killed_leaves_nothing_visible_and_the_next_goes_on(
    s3: S3Server, remote: S3Blobs, faults: Proxy, shaky: S3Blobs, prefix: str, large: Path, tmp_path: Path
) -> None:
    faults.fault = lambda request: "hang" if "partNumber=3" in request.path else None
    putting = child(s3, "put", large, prefix=prefix, cache=tmp_path / "other", endpoint_url=faults.endpoint_url)
    wait_until(lambda: faults.count("PUT", "partNumber=") >= 3)
    upload = remote.bucket.unfinished(prefix)[0].id
    key = remote.key(sha256(large))
    wait_until(lambda: {1, 2} <= set(remote.bucket.parts(key, upload)))
    putting.kill()
    putting.communicate()
    assert remote.stamp(sha256(large)) is None
    assert not (s3.folder / BUCKET / key).exists()
    there = set(remote.bucket.parts(key, upload))
    faults.fault = lambda request: None
    faults.requests.clear()
    assert shaky.put(large) == sha256(large)
    assert faults.count("PUT", "partNumber=") == 5 - len(there)
    assert remote.digest_now(sha256(large)) == sha256(large)
    assert remote.bucket.unfinished(prefix) == []


def test_parts_of_other_bytes_are_sent_again(remote: S3Blobs, large: Path) -> None:
    key = remote.key(sha256(large))
    remote.bucket.send(key, remote.bucket.begin(key), 2, os.urandom(PART))
    assert remote.put(large) == remote.digest_now(sha256(large))


def test_an_object_that_was_made_of_fewer_parts_is_refused(s3: S3Server, prefix: str, large: Path) -> None:
    content, key = large.read_bytes(), f"{prefix}/large"
    bucket = Bucket(BUCKET, Access(endpoint_url=s3.endpoint_url, attempts=2))
    begun = bucket.begin(key)
    tag = bucket.send(key, begun, 1, content[:PART])
    with pytest.raises(Refusal, match=f"parts of {len(content)} bytes became {PART} bytes"):
        bucket.finish(key, begun, [tag], size_bytes=len(content))


def test_an_upload_that_another_process_ends_meanwhile_begins_anew(
    remote: S3Blobs, shaky: S3Blobs, faults: Proxy, large: Path
) -> None:
    def abort_once(request: Request) -> None:
        if "partNumber=2" in request.path:
            for one in remote.bucket.unfinished(remote.key(sha256(large))):
                remote.bucket.abort(one.key, one.id)
            faults.fault = lambda request: None

    faults.fault = abort_once
    assert shaky.put(large) == remote.digest_now(sha256(large))


def test_an_upload_whose_parts_another_process_takes_while_it_finishes_begins_anew(
    remote: S3Blobs, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in CI: who finishes first takes the parts, and the other one's finishing is an InvalidPart."""
    key, content = remote.key(sha256(large)), large.read_bytes()
    parts = [content[at : at + PART] for at in range(0, len(content), PART)]
    taken = {n: Head(len(part), hashlib.md5(part).hexdigest()) for n, part in enumerate(parts, start=1)}
    remote.bucket.begin(key)
    monkeypatch.setattr(Bucket, "parts", lambda *_: taken)  # they were there a moment ago
    assert remote.put(large) == remote.digest_now(sha256(large))


def test_uploads_that_were_abandoned_for_a_day_are_aborted(
    remote: S3Blobs, prefix: str, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = remote.bucket.begin(remote.key("0" * 64))
    foreign = remote.bucket.begin("of/somebody/else")
    remote.put(large)
    assert [one.id for one in remote.bucket.unfinished(prefix)] == [left]  # it may still be at work
    remote.discard(sha256(large))
    monkeypatch.setattr(upload_module, "ABANDONED", timedelta(0))
    remote.put(large)
    assert remote.bucket.unfinished(prefix) == []
    assert [one.id for one in remote.bucket.unfinished("of/somebody/else")] == [foreign]


@pytest.mark.parametrize("size", [1000, 2 * PART])
def test_a_file_that_is_not_what_was_hashed_is_never_stored(remote: S3Blobs, tmp_path: Path, size: int) -> None:
    source = tmp_path / "changed.bin"
    source.write_bytes(os.urandom(size))
    key = remote.key("0" * 64)
    with pytest.raises(Refusal, match="changed while it was stored"):
        upload(remote.bucket, key, source, digest="0" * 64, below=key)
    assert remote.bucket.head(key) is None
    assert remote.bucket.unfinished(key) == []


def test_a_source_that_changes_all_the_time_is_stored_under_the_digest_of_what_was_stored(
    remote: S3Blobs, large: Path
) -> None:
    ended = threading.Event()

    def write_on() -> None:
        while not ended.is_set():
            with large.open("r+b") as file:
                file.write(os.urandom(3 * PART))

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        digests = [remote.put(large) for _ in range(3)]
    finally:
        ended.set()
        thread.join()
    assert [remote.digest_now(digest) for digest in digests] == digests


def test_processes_that_put_the_same_at_once_all_succeed(
    s3: S3Server, remote: S3Blobs, prefix: str, large: Path, tmp_path: Path
) -> None:
    children = [child(s3, "put", large, prefix=prefix, cache=tmp_path / f"cache {number}") for number in range(3)]
    said = [one.communicate(timeout=100) for one in children]
    assert [one.returncode for one in children] == [0] * 3, said
    assert remote.digest_now(sha256(large)) == sha256(large)


def test_memory_is_flat_however_large_the_file(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    """Peaks in MiB of putting and getting 50 and 150 MiB."""
    peaks = {}
    for size in (50, 150):
        source = tmp_path / f"{size}.bin"
        source.write_bytes(os.urandom(1 << 20) * size)
        for verb, what in (("put", source), ("get", sha256(source))):
            ended = child(s3, verb, what, prefix=prefix, cache=tmp_path / verb)
            out, told = ended.communicate(timeout=200)
            assert ended.returncode == 0, told
            peaks[verb, size] = int(out.split()[-1]) / 1024
    assert peaks["put", 150] < peaks["put", 50] + 30, peaks
    assert peaks["get", 150] < peaks["get", 50] + 30, peaks
