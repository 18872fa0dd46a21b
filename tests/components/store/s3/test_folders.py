"""Folders on S3: many small files at once, large ones in turn."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from components.store.s3.blobs import S3Blobs
from components.store.s3.parts import AT_ONCE, PART
from components.store.store import Store
from tests.servers.faults import Proxy, Request, wait_until


@pytest.fixture
def store(shaky: S3Blobs, tmp_path: Path) -> Store:
    return Store(shaky, tmp_path / "folders")


def wait_for_company(faults: Proxy, enough: int) -> None:
    """Let requests wait until there were so many at once, or for a while."""

    def wait(_: Request) -> None:
        with suppress(TimeoutError):
            wait_until(lambda: faults.most_at_once >= enough, seconds=1.0)

    faults.most_at_once, faults.fault = 0, wait


def test_small_files_go_and_come_many_at_once(store: Store, shaky: S3Blobs, faults: Proxy, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_text(f"{number}")
    wait_for_company(faults, 8)
    artifact = store.put(source)
    assert faults.most_at_once == 8
    for ask in (store.stamps, store.digest_now):
        wait_for_company(faults, 8)
        ask(artifact)
        assert faults.most_at_once == 8
    shutil.rmtree(shaky.cache.root)
    wait_for_company(faults, 8)
    place = store.get(artifact)
    assert faults.most_at_once == 8
    assert sorted(path.read_text() for path in place.iterdir()) == sorted(f"{number}" for number in range(40))


@pytest.mark.slow
def test_large_files_take_turns_so_that_memory_stays_that_of_one(
    store: Store, shaky: S3Blobs, faults: Proxy, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"{number}").write_bytes(os.urandom(1000) + bytes(3 * PART))
    wait_for_company(faults, AT_ONCE)
    artifact = store.put(source)
    assert 1 < faults.most_at_once <= AT_ONCE
    shutil.rmtree(shaky.cache.root)
    wait_for_company(faults, AT_ONCE)
    store.get(artifact)
    assert 1 < faults.most_at_once <= AT_ONCE + 6  # the first parts tell how large the files are
