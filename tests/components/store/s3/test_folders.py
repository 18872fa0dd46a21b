"""Folders on S3: many small files at once, large ones in turn."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.store.s3.blobs import S3Blobs
from components.store.s3.parts import AT_ONCE, PART
from components.store.store import Store
from tests.servers.faults import Proxy


@pytest.fixture
def store(shaky: S3Blobs, tmp_path: Path) -> Store:
    return Store(shaky, tmp_path / "folders")


@contextmanager
def seen(faults: Proxy) -> Iterator[Proxy]:
    """Make every answer slow, so that the most requests at once show."""
    faults.most_at_once, faults.fault = 0, lambda _: time.sleep(0.05)
    yield faults
    faults.fault = lambda _: None


def test_small_files_go_and_come_many_at_once(store: Store, shaky: S3Blobs, faults: Proxy, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_text(f"{number}")
    with seen(faults):
        artifact = store.put(source)
    assert faults.most_at_once == shaky.at_once
    for ask in (store.stamps, store.digest_now):
        with seen(faults):
            ask(artifact)
        assert faults.most_at_once == shaky.at_once
    shutil.rmtree(shaky.cache.root)
    with seen(faults):
        place = store.get(artifact)
    assert faults.most_at_once == shaky.at_once
    assert sorted(path.read_text() for path in place.iterdir()) == sorted(f"{number}" for number in range(40))


def test_large_files_take_turns_so_that_memory_stays_that_of_one(
    store: Store, shaky: S3Blobs, faults: Proxy, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"{number}").write_bytes(os.urandom(1000) + bytes(3 * PART))
    with seen(faults):
        artifact = store.put(source)
    assert 1 < faults.most_at_once <= AT_ONCE
    shutil.rmtree(shaky.cache.root)
    with seen(faults):
        store.get(artifact)
    assert 1 < faults.most_at_once <= AT_ONCE + 6  # the first parts tell how large the files are
