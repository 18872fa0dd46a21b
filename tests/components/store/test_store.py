import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import Refusal
from components.store import store as store_module
from components.store.artifact import Artifact
from components.store.folder import FolderBlobs
from components.store.store import Store, digest_of
from tests.components.store.conftest import Shelf
from tests.components.store.test_blobs import flip

SHARED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
FOLDER = st.recursive(
    st.binary(max_size=50), lambda inner: st.dictionaries(NAME, inner, max_size=4), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@pytest.fixture
def store(shelf: Shelf, tmp_path: Path) -> Store:
    return Store(shelf.blobs, tmp_path / "folders")


def write(tree: object, at: Path) -> None:
    if isinstance(tree, bytes):
        at.write_bytes(tree)
    else:
        assert isinstance(tree, dict)
        at.mkdir()
        for name, inner in tree.items():
            write(inner, at / name)


def read(at: Path) -> object:
    return at.read_bytes() if at.is_file() else {path.name: read(path) for path in at.iterdir()}


@given(tree=FOLDER)
@SHARED
def test_a_folder_comes_back_with_its_names_empty_folders_and_bytes(store: Store, tmp_path: Path, tree: object) -> None:
    source = tmp_path / "source"
    shutil.rmtree(source, ignore_errors=True)
    write(tree, source)
    artifact = store.put(source)
    assert read(store.get(artifact)) == tree
    assert store.put(source) == artifact


def test_names_that_are_no_text_come_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / os.fsdecode(b"caf\xe9\n")).write_bytes(b"x")
    assert [os.fsencode(path.name) for path in store.get(store.put(source)).iterdir()] == [b"caf\xe9\n"]


def test_the_digest_hangs_on_content_and_paths_alone(store: Store, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write({"a": b"1", "b": {"c": b"2"}}, tmp_path / name)
    write({"a": b"1", "b": {"d": b"2"}}, tmp_path / "renamed")
    one, other, renamed = (store.put(tmp_path / name) for name in ("one", "other", "renamed"))
    assert one.digest == other.digest != renamed.digest
    assert (one.kind, one.size_bytes, one.name) == ("folder", 2, "one")


def test_a_missing_source_is_no_empty_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put(tmp_path / "nothing")


@pytest.mark.parametrize("target", ["../secret", "/etc", "nowhere", "inner"])
def test_a_link_out_of_the_folder_or_to_a_folder_is_refused(store: Store, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("s")
    write({"inner": {"a": b"1"}}, tmp_path / "source")
    (tmp_path / "source" / "link").symlink_to(target)
    with pytest.raises(Refusal, match="link"):
        store.put(tmp_path / "source")


def test_a_link_to_a_file_beside_it_is_stored_as_that_file(store: Store, tmp_path: Path) -> None:
    write({"a": b"1"}, tmp_path / "source")
    (tmp_path / "source" / "link").symlink_to("a")
    assert read(store.get(store.put(tmp_path / "source"))) == {"a": b"1", "link": b"1"}


def test_a_pipe_is_refused(store: Store, tmp_path: Path) -> None:
    write({}, tmp_path / "source")
    os.mkfifo(tmp_path / "source" / "pipe")
    with pytest.raises(Refusal, match="neither"):
        store.put(tmp_path / "source")


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", "a//b", "", "./a"])
def test_a_manifest_that_names_a_file_outside_is_refused(store: Store, tmp_path: Path, path: str) -> None:
    write({"a": b"evil"}, tmp_path / "source")
    inner = store.put(tmp_path / "source" / "a")
    manifest = tmp_path / "manifest"
    manifest.write_text(json.dumps([[path, inner.digest, 4]]))
    evil = Artifact(digest=store.put(manifest).digest, kind="folder", size_bytes=4, name="evil")
    with pytest.raises(Refusal, match="outside"):
        store.get(evil)
    assert not list(tmp_path.rglob("evil"))


@pytest.fixture
def kept(store: Store, tmp_path: Path) -> Artifact:
    write({"a": b"first", "b": {"c": b"second"}}, tmp_path / "source")
    return store.put(tmp_path / "source")


def stored(shelf: Shelf, content: bytes) -> Path:
    return shelf.object(hashlib.sha256(content).hexdigest())


def test_what_was_stored_is_intact(store: Store, kept: Artifact) -> None:
    stamps = store.stamps(kept)
    assert stamps is not None
    assert len(stamps) == 3  # the manifest and two files
    assert store.is_intact(kept, stamps)
    assert store.is_intact(kept, stamps, hash_all=True)
    assert store.is_intact(kept, {})  # without stamps, by hashing


def test_a_flipped_byte_is_found_where_the_time_differs(store: Store, kept: Artifact, shelf: Shelf) -> None:
    stamps = store.stamps(kept) or {}
    time.sleep(0.01)
    flip(stored(shelf, b"second"))
    assert not store.is_intact(kept, stamps)


def test_a_flipped_byte_with_its_time_restored_is_found_by_hashing_all(
    store: Store, kept: Artifact, shelf: Shelf
) -> None:
    before = store.stamps(kept) or {}
    flip(stored(shelf, b"second"), keep_time=True)
    stamps = store.stamps(kept) or {}
    assert (stamps == before) == isinstance(shelf.blobs, FolderBlobs)  # this S3's tag tells more than a time
    assert store.is_intact(kept, stamps)
    assert not store.is_intact(kept, stamps, hash_all=True)


def test_what_proved_damaged_is_absent_and_healed_by_putting_it_again(
    store: Store, kept: Artifact, shelf: Shelf, tmp_path: Path
) -> None:
    flip(stored(shelf, b"second"))
    assert not store.is_intact(kept, {})
    assert store.stamps(kept) is None
    assert store.put(tmp_path / "source") == kept
    assert store.is_intact(kept, {})


def test_a_damaged_manifest_is_found_though_its_time_was_restored(
    store: Store, kept: Artifact, shelf: Shelf, tmp_path: Path
) -> None:
    stamps = store.stamps(kept) or {}
    manifest = shelf.object(kept.digest)
    before = manifest.stat()
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("b/c", "b/d"))
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # as on another machine
    with pytest.raises(Refusal, match="damaged"):
        store.get(kept)
    assert not store.is_intact(kept, stamps)


def test_a_missing_file_is_found(store: Store, kept: Artifact, shelf: Shelf) -> None:
    stamps = store.stamps(kept) or {}
    stored(shelf, b"first").unlink()
    assert store.stamps(kept) is None
    assert not store.is_intact(kept, stamps)


@pytest.mark.parametrize("linked", [True, False])
def test_putting_again_heals_the_laid_out_folder_too(
    store: Store, kept: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    if not linked:
        monkeypatch.setattr(os, "link", no_links)
    place = store.get(kept)
    assert (place / "a").stat().st_nlink == 1 + linked
    flip(place / "a", keep_time=True)
    flip(place / "b" / "c")
    time.sleep(0.01)
    store.put(tmp_path / "source")
    if not linked:  # of a copy, only a change that shows in its time
        flip(place / "a", keep_time=True)
    assert read(store.get(kept)) == {"a": b"first", "b": {"c": b"second"}}


def test_what_someone_wrote_into_the_laid_out_folder_is_gone_the_next_time(store: Store, kept: Artifact) -> None:
    (store.get(kept) / "b" / "stray").write_bytes(b"")
    assert read(store.get(kept)) == {"a": b"first", "b": {"c": b"second"}}


def test_a_laid_out_folder_that_is_whole_stays(store: Store, kept: Artifact) -> None:
    before = store.get(kept).stat()
    assert store.get(kept).stat().st_ino == before.st_ino


def test_a_full_disk_while_laying_out_is_refused(
    store: Store, kept: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_link_or_copy", full)
    with pytest.raises(Refusal, match="no space left"):
        store.get(kept)
    assert list((tmp_path / "folders").iterdir()) == []


@given(tree=FOLDER)
@SHARED
def test_the_digest_of_a_folder_is_the_one_that_the_store_gives_it(store: Store, tmp_path: Path, tree: object) -> None:
    source = tmp_path / "source"
    shutil.rmtree(source, ignore_errors=True)
    write(tree, source)
    artifact = store.put(source)
    assert digest_of(source) == artifact.digest == store.digest_now(artifact)


def test_a_flipped_byte_changes_the_present_digest_and_a_missing_blob_has_none(
    store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    write({"a": b"first", "b": {"c": b"second"}}, source)
    folder, file = store.put(source), store.put(source / "a")
    assert digest_of(source / "a") == file.digest == store.digest_now(file)
    flip(shelf.object(file.digest))
    assert store.digest_now(file) not in (None, file.digest)
    assert store.digest_now(folder) not in (None, folder.digest)
    store.put(source / "a")
    flip(shelf.object(folder.digest))  # the manifest itself
    assert store.digest_now(folder) not in (None, folder.digest)
    assert store.digest_now(Artifact(digest="0" * 64, kind="folder", size_bytes=0, name="gone")) is None
    assert store.digest_now(Artifact(digest="../passwd", kind="file", size_bytes=0, name="none")) is None
