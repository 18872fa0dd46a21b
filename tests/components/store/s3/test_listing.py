"""What only a store on S3 has to list: uploads that were begun, local copies; and what its times say."""

import os
import time
from pathlib import Path

import pytest

from components.store.artifact import Stored
from components.store.s3 import bucket as bucket_module
from components.store.s3.blobs import S3Blobs
from components.store.s3.parts import PART
from tests.components.store.conftest import Shelf
from tests.servers.faults import Proxy
from tests.servers.s3 import BUCKET, S3Server

DAY = 86_400


@pytest.fixture
def shelf(remote: S3Blobs, prefix: str, s3: S3Server) -> Shelf:
    return Shelf(remote, s3.folder / BUCKET / prefix)


def of_kind(blobs: S3Blobs, kind: str) -> list[Stored]:
    return [one for one in blobs.stored() if one.kind == kind]


def test_an_upload_without_an_end_is_listed_with_its_bytes_and_removed(remote: S3Blobs, source: Path) -> None:
    remote.put(source)
    key = remote.key("0" * 64)
    upload = remote.bucket.begin(key)
    remote.bucket.send(key, upload, 1, b"x" * 1000)
    (begun,) = of_kind(remote, "upload")
    assert begun.size_bytes == 1000
    assert begun.at == pytest.approx(time.time(), abs=60)
    assert remote.remove(begun, before=time.time())
    assert remote.bucket.unfinished(remote.key("0" * 64)) == []
    assert len(of_kind(remote, "object")) == 1


def test_a_copy_on_this_machine_is_removed_and_the_object_stays(remote: S3Blobs, source: Path) -> None:
    digest = remote.put(source)
    (copy,) = of_kind(remote, "copy")
    assert (copy.name, copy.size_bytes) == (digest, 10)
    assert not remote.remove(copy, before=copy.at)  # as young as that
    assert remote.remove(copy, before=time.time() + 60)
    assert of_kind(remote, "copy") == []
    assert remote.get(digest).read_bytes() == b"some bytes"


def test_a_half_download_is_listed_and_removed(remote: S3Blobs) -> None:
    with pytest.raises(RuntimeError), remote.cache.partial("0" * 64) as file:
        file.write(b"half")
        raise RuntimeError
    (half,) = of_kind(remote, "upload")
    assert half.size_bytes == 4
    assert remote.remove(half, before=time.time() + 60)
    assert list(remote.stored()) == []


def test_a_large_object_that_was_put_long_ago_is_sent_again_for_its_time_to_tell(shelf: Shelf, tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(PART + 1))
    digest = shelf.blobs.put(source)
    old = time.time() - DAY
    os.utime(shelf.object(digest), (old, old))
    shelf.blobs.put(source)
    (found,) = (one for one in shelf.blobs.stored() if one.kind == "object")
    assert found.at == pytest.approx(time.time(), abs=60)


def test_many_objects_are_listed_page_by_page(
    shaky: S3Blobs, faults: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for number in range(5):
        (tmp_path / "small").write_text(str(number))
        digests.add(shaky.put(tmp_path / "small"))
    monkeypatch.setattr(bucket_module, "PAGE", 2)
    assert {one.name for one in of_kind(shaky, "object")} == digests
    assert faults.count("GET", "list-type=2") == 3
