"""What a person reads when S3 says no: what, where, what to do, and never a secret."""

import socket
from pathlib import Path

import pytest

from components.errors import Refusal
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs
from components.store.s3.bucket import Bucket
from tests.components.store.conftest import BUCKET
from tests.servers.faults import Proxy
from tests.servers.s3 import S3Server


def blobs_in(tmp_path: Path, endpoint_url: str, name: str = BUCKET) -> S3Blobs:
    access = Access(endpoint_url=endpoint_url, timeout_seconds=5.0, attempts=2)
    return S3Blobs(Bucket(name, access), prefix="p", cache=tmp_path / "cache")


def refused(blobs: S3Blobs, source: Path, *words: str) -> str:
    with pytest.raises(Refusal) as caught:
        blobs.put(source)
    (problem,) = caught.value.problems
    assert problem.where.startswith("s3://")
    assert problem.do
    for word in words:
        assert word in str(problem)
    return str(problem)


def test_a_bucket_that_is_missing(s3: S3Server, tmp_path: Path, source: Path) -> None:
    refused(blobs_in(tmp_path, s3.endpoint_url, "no-such-bucket"), source, "no such bucket", "s3://no-such-bucket/p/")


def test_an_endpoint_where_nobody_is(s3: S3Server, tmp_path: Path, source: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    refused(blobs_in(tmp_path, url), source, f"{url} can't be reached", "check the endpoint")


@pytest.mark.parametrize(
    ("name", "words"),
    [("AWS_ACCESS_KEY_ID", ["AWS_ACCESS_KEY_ID"]), ("AWS_SECRET_ACCESS_KEY", ["AWS_SECRET_ACCESS_KEY"])],
)
def test_a_wrong_key_shows_no_key(
    s3: S3Server, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]
) -> None:
    monkeypatch.setenv(name, "wrong-and-secret")
    told = refused(blobs_in(tmp_path, s3.endpoint_url), source, *words)
    assert not any(word in told for word in ("wrong-and-secret", s3.access_key, s3.secret_key))


def test_no_credentials_at_all(s3: S3Server, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    refused(blobs_in(tmp_path, s3.endpoint_url), source, "no credentials", "AWS_PROFILE")


def test_a_profile_that_is_not_there(
    s3: S3Server, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    refused(blobs_in(tmp_path, s3.endpoint_url), source, "settings of boto3", "AWS_PROFILE")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("403 AccessDenied", ["access denied", "PutObject", "let these credentials"]),
        ("400 ExpiredToken", ["have expired", "renew"]),
        ("403 RequestTimeTooSkewed", ["clock"]),
        ("301 PermanentRedirect", ["region"]),
        ("507 QuotaExceeded", ["quota", "free some space"]),
        ("418 Teapot", ["418 Teapot", "look at"]),
    ],
)
def test_what_s3_answers(faults: Proxy, tmp_path: Path, source: Path, answer: str, words: list[str]) -> None:
    faults.fault = lambda request: answer if request.method == "PUT" else None
    refused(blobs_in(tmp_path, faults.endpoint_url), source, *words)


def test_a_look_that_is_denied_is_no_absent_blob(faults: Proxy, tmp_path: Path) -> None:
    faults.fault = lambda request: "403"
    with pytest.raises(Refusal, match="access denied"):
        blobs_in(tmp_path, faults.endpoint_url).stamp("0" * 64)


@pytest.mark.parametrize("answer", ["501 NotImplemented", "403 AccessDenied"])
def test_an_s3_that_lists_no_uploads_is_said_and_good_enough(
    faults: Proxy, tmp_path: Path, remote: S3Blobs, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    faults.fault = lambda request: answer if request.method == "GET" and "uploads" in request.path else None
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(9 << 20))
    blobs = S3Blobs(blobs_in(tmp_path, faults.endpoint_url).bucket, prefix=remote.prefix, cache=tmp_path / "other")
    digest = blobs.put(large)
    assert remote.digest_now(digest) == digest
    assert "a killed one begins anew" in caplog.text


def test_a_probe_writes_reads_and_leaves_nothing(remote: S3Blobs, s3: S3Server, faults: Proxy, tmp_path: Path) -> None:
    remote.probe()
    assert not list((s3.folder / BUCKET / remote.prefix).rglob("probe/*"))
    for method in ("PUT", "GET", "DELETE"):
        faults.fault = lambda request, method=method: "403 AccessDenied" if request.method == method else None  # type: ignore[misc]
        with pytest.raises(Refusal, match="access denied"):
            blobs_in(tmp_path, faults.endpoint_url).probe()
    faults.fault = lambda request: "flip answer" if request.method == "GET" else None
    with pytest.raises(Refusal, match="other than it was put"):
        blobs_in(tmp_path, faults.endpoint_url).probe()


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint_url": "127.0.0.1:9000"},
        {"endpoint_url": "ftp://host"},
        {"endpoint_url": "http://key:hidden@host"},
        {"endpoint_url": "http://host?key=hidden"},
        {"timeout_seconds": 0.0},
        {"attempts": 0},
    ],
)
def test_settings_that_cannot_be_are_refused_without_their_secrets(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))) as caught:
        Access(**settings)  # type: ignore[arg-type]
    assert "hidden" not in str(caught.value)


def test_nothing_is_asked_or_imported_before_the_first_call(tmp_path: Path) -> None:
    blobs_in(tmp_path, "http://127.0.0.1:1")
    assert not (tmp_path / "cache").exists()
