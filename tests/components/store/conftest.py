"""The places that keep blobs, and a real S3 for one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.store.blobs import Blobs
from components.store.folder import FolderBlobs, object_name
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs
from components.store.s3.bucket import Bucket
from tests.servers.faults import Proxy, proxy
from tests.servers.s3 import BUCKET, S3Server


@dataclass(frozen=True, slots=True)
class Shelf:
    """Blobs, and the folder in which they are files by their object names, whoever serves it."""

    blobs: Blobs
    folder: Path

    def object(self, digest: str) -> Path:
        return self.folder / object_name(digest)


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return Bucket(BUCKET, Access(endpoint_url=s3.endpoint_url))


@pytest.fixture
def remote(bucket: Bucket, prefix: str, tmp_path: Path) -> S3Blobs:
    return S3Blobs(bucket, prefix=prefix, cache=tmp_path / "cache")


@pytest.fixture
def faults(s3: S3Server) -> Iterator[Proxy]:
    """A way to the server that fails when it is told to."""
    with proxy(s3.endpoint_url) as made:
        yield made


@pytest.fixture
def shaky(faults: Proxy, prefix: str, tmp_path: Path) -> S3Blobs:
    """The blobs of `remote`, by the way that fails, with a cache of its own."""
    access = Access(endpoint_url=faults.endpoint_url, timeout_seconds=3.0, attempts=5)
    return S3Blobs(Bucket(BUCKET, access), prefix=prefix, cache=tmp_path / "shaky")


@pytest.fixture(params=["folder", "s3"])
def shelf(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return Shelf(FolderBlobs(tmp_path / "store"), tmp_path / "store")
    s3: S3Server = request.getfixturevalue("s3")
    return Shelf(request.getfixturevalue("remote"), s3.folder / BUCKET / prefix)


@pytest.fixture
def blobs(shelf: Shelf) -> Blobs:
    return shelf.blobs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(b"some bytes")
    return path
