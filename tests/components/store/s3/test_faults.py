"""S3 that answers 500, is slow, or is cut: retried, verified, and at last refused in words."""

import time
from pathlib import Path

import pytest
from botocore.awsrequest import AWSRequest

from components.errors import Refusal
from components.store.s3 import bucket as bucket_module
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs
from components.store.s3.bucket import Bucket
from components.store.s3.parts import PART
from tests.components.store.conftest import BUCKET
from tests.servers.faults import Fault, Proxy, times

PASSING: list[Fault] = ["500", "503 SlowDown", "429 TooManyRequests", "hang", "cut"]


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_a_fault_that_passes_is_not_noticed(
    shaky: S3Blobs, faults: Proxy, remote: S3Blobs, source: Path, method: str, fault: Fault
) -> None:
    digest = remote.put(source)
    faults.fault = times(1 if fault == "hang" else 2, fault, method)
    assert shaky.put(source) == digest
    shaky.cache.discard(digest)
    assert shaky.get(digest).read_bytes() == b"some bytes"
    assert shaky.stamp(digest) == remote.stamp(digest)
    shaky.discard(digest)
    assert remote.stamp(digest) is None
    assert faults.count(method) >= 2


@pytest.mark.parametrize(
    ("fault", "method", "part"),
    [
        *((fault, "POST", "uploads") for fault in ("500", "cut", "hang", "cut answer")),  # the begin
        *((fault, "PUT", "partNumber=2") for fault in ("500", "cut", "hang", "flip")),
        *((fault, "POST", "uploadId=") for fault in ("500", "cut", "hang", "cut answer")),  # the end
    ],
)
def test_a_fault_in_the_middle_of_a_large_file_is_not_noticed(
    shaky: S3Blobs, faults: Proxy, remote: S3Blobs, tmp_path: Path, fault: Fault, method: str, part: str
) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(range(256)) * (3 * PART // 256))
    faults.fault = times(1, fault, method, part)
    digest = shaky.put(source)
    assert remote.digest_now(digest) == digest


def test_a_byte_that_is_flipped_on_the_way_in_is_noticed_and_sent_again(
    shaky: S3Blobs, faults: Proxy, remote: S3Blobs, source: Path
) -> None:
    faults.fault = times(1, "flip", "PUT")
    digest = shaky.put(source)
    assert remote.digest_now(digest) == digest
    assert faults.count("PUT") == 2


def without(bucket: Bucket, header: str) -> None:
    """Let no request have that header any more: what a server doesn't look at needn't be sent to one that does."""

    def take_out(request: AWSRequest, **_: object) -> None:
        del request.headers[header]

    bucket._s3.meta.events.register("before-sign.s3", take_out)


@pytest.mark.parametrize(("size", "part"), [(1000, ""), (3 * PART, "partNumber=2")])
def test_a_byte_that_is_flipped_on_the_way_in_is_noticed_where_the_server_does_not_look(
    shaky: S3Blobs, faults: Proxy, remote: S3Blobs, tmp_path: Path, size: int, part: str
) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(bytes(size))
    without(shaky.bucket, "Content-MD5")
    faults.fault = times(1, "flip", "PUT", part)
    digest = shaky.put(source)
    assert remote.digest_now(digest) == digest
    assert remote.bucket.unfinished(remote.key(digest)) == []


@pytest.fixture
def impatient(faults: Proxy) -> Bucket:
    return Bucket(BUCKET, Access(endpoint_url=faults.endpoint_url, attempts=2))


def test_bytes_that_never_arrive_as_they_are_are_refused_where_the_server_does_not_look(
    impatient: Bucket, faults: Proxy
) -> None:
    without(impatient, "Content-MD5")
    faults.fault = lambda request: "flip"
    with pytest.raises(Refusal, match="other bytes than were sent"):
        impatient.put("any", b"bytes")
    assert faults.count("PUT") == 2


@pytest.mark.parametrize(("content", "asked"), [(b"bytes", "bytes=0-4"), (b"", "bytes=0-0")])
def test_bytes_whose_tag_is_no_digest_are_read_again(
    impatient: Bucket, faults: Proxy, monkeypatch: pytest.MonkeyPatch, content: bytes, asked: str
) -> None:
    monkeypatch.setattr(bucket_module, "_arrived", lambda *_: False)
    impatient.put("any", content)
    assert [one.headers.get("range") for one in faults.requests] == [None, asked]


@pytest.mark.parametrize("fault", ["500", "503 SlowDown", "429 TooManyRequests", "cut", "flip"])
def test_a_fault_that_stays_is_refused_after_so_many_attempts(impatient: Bucket, faults: Proxy, fault: Fault) -> None:
    faults.fault = lambda request: fault
    with pytest.raises(Refusal, match="the next run goes on from here"):
        impatient.put("any", b"bytes")
    assert len(faults.requests) == 2


def test_an_answer_that_is_always_cut_is_refused_after_so_many_attempts(impatient: Bucket, faults: Proxy) -> None:
    impatient.put("any", b"bytes")
    faults.fault = lambda request: "cut answer"
    with pytest.raises(Refusal, match="the next run goes on from here"):
        impatient.read("any", 1, 2)
    assert faults.count("GET") == 2


@pytest.mark.parametrize("fault", ["hang", "cut"])
def test_a_read_that_is_never_answered_is_refused_after_so_many_attempts(
    faults: Proxy, s3: object, fault: Fault
) -> None:
    bucket = Bucket(BUCKET, Access(endpoint_url=faults.endpoint_url, timeout_seconds=0.5, attempts=2))
    bucket.put("any", b"bytes")
    faults.fault = lambda request: fault
    with pytest.raises(Refusal, match="the next run goes on from here"):
        bucket.read("any", 0, 5)
    assert faults.count("GET") == 2


def test_a_server_that_does_not_understand_ranges_is_refused(bucket: Bucket, prefix: str) -> None:
    bucket.put(f"{prefix}/any", b"bytes")
    without(bucket, "Range")
    with pytest.raises(Refusal, match="answers with the whole"):
        bucket.read(f"{prefix}/any", 1, 2)


def test_no_answer_within_the_time_is_no_answer(s3: object, faults: Proxy) -> None:
    faults.fault = lambda request: "hang"
    bucket = Bucket(BUCKET, Access(endpoint_url=faults.endpoint_url, timeout_seconds=0.5, attempts=1))
    started = time.monotonic()
    with pytest.raises(Refusal, match="stopped answering"):
        bucket.head("any")
    assert 0.4 < time.monotonic() - started < 20
    assert len(faults.requests) == 1


def test_any_s3_understands_what_is_asked(shaky: S3Blobs, faults: Proxy, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(2 * PART))
    digest = shaky.put(source)
    shaky.cache.discard(digest)
    shaky.get(digest)
    shaky.stamp(digest)
    shaky.discard(digest)
    shaky.probe()
    special = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer", "x-amz-tagging", "if-", "content-encoding")
    assert not [name for one in faults.requests for name in one.headers if name.startswith(special)]


def test_the_region_is_the_one_that_was_given(faults: Proxy, s3: object) -> None:
    for region, signed in (("eu-central-9", "eu-central-9"), (None, "us-east-1")):
        Bucket(BUCKET, Access(endpoint_url=faults.endpoint_url, region=region)).head("any")
        assert f"/{signed}/s3/" in faults.requests[-1].headers["authorization"]
