import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import Refusal
from components.store.address import blobs_at
from components.store.folder import FolderBlobs
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs


@pytest.mark.parametrize("address", ["store", "/somewhere/store", "../a b", "C:store", "s3"])
def test_a_path_is_a_folder(tmp_path: Path, address: str) -> None:
    blobs = blobs_at(address, cache=tmp_path)
    assert isinstance(blobs, FolderBlobs)
    assert blobs.root == Path(address)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("s3://bucket", "objects/"),
        ("s3://bucket/", "objects/"),
        ("s3://my.bucket-1/a/b_c", "a/b_c/objects/"),
        ("s3://bucket/a/", "a/objects/"),
    ],
)
def test_an_s3_address_is_a_bucket_and_a_prefix(tmp_path: Path, address: str, key: str) -> None:
    access = Access(endpoint_url="http://127.0.0.1:9000")
    blobs = blobs_at(address, cache=tmp_path / "cache", access=access)
    assert isinstance(blobs, S3Blobs)
    assert blobs.bucket.name == address.split("/")[2]
    assert blobs.bucket.access == access
    assert blobs.cache.root == tmp_path / "cache"
    assert blobs.key("ab" + "0" * 62) == f"{key}ab/{'0' * 62}"


@pytest.mark.parametrize(
    "address",
    [
        *("", " ", "s3://", "s3:///prefix", "s3://B", "s3://Bucket", "s3://bucket//a", "s3://bucket/../a"),
        *("s3://bucket/a b", "s3://bucket/a?versionId=1", "S3://bucket", "gs://bucket", "https://host/bucket"),
        "file:///folder",
    ],
)
def test_a_malformed_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(Refusal, match="is no address of a store") as caught:
        blobs_at(address, cache=tmp_path)
    assert "s3://BUCKET/PREFIX" in str(caught.value)


def test_credentials_in_an_address_are_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        blobs_at("s3://key:hidden@bucket/prefix", cache=tmp_path)
    assert "hidden" not in str(caught.value)


def test_an_address_costs_no_heavy_import() -> None:
    code = "import sys; from components.store.address import blobs_at; from pathlib import Path\n"
    code += "blobs_at('s3://bucket/a', cache=Path('c')); print('boto3' in sys.modules, 'botocore' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]
