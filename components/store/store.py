"""Files and folders over blobs: a folder is a manifest, itself a blob, and the blobs that it names."""

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from components.disk import full_disk_refused
from components.errors import refuse
from components.store.artifact import Artifact, Stamp
from components.store.blobs import Blobs
from components.store.folder import sha256

Stamps = dict[str, Stamp]  # by digest
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Store:
    """Keeps artifacts. Folders are laid out for reading under `checkouts`, by links where the disk allows."""

    blobs: Blobs
    checkouts: Path

    def put(self, source: Path) -> Artifact:
        """Store a file, or a folder with everything in it.

        Raises:
            Refusal: the disk is full, or the folder holds a link that leaves it, or what is neither file nor folder.
        """
        if not source.is_dir():
            digest = self.blobs.put(source)
            return Artifact(digest=digest, kind="file", size_bytes=source.stat().st_size, name=source.name)
        with full_disk_refused(source):
            inside = _inside(source)
            files = [path for path in inside if not path.is_dir()]
            digests = dict(zip(files, self._each(self.blobs.put, files), strict=True))
            entries = [_entry(path, source, digests.get(path, "")) for path in inside]
            digest = self._put_manifest(entries)
        size = sum(entry.size_bytes for entry in entries)
        return Artifact(digest=digest, kind="folder", size_bytes=size, name=source.name)

    def get(self, artifact: Artifact) -> Path:
        """Return a path to read the artifact at. Don't change what is there.

        Raises:
            FileNotFoundError: something of it isn't in the store.
            Refusal: the disk is full, or what is stored proved damaged.
        """
        try:
            if artifact.kind == "file":
                return self.blobs.get(artifact.digest)
            entries = self._manifest(artifact.digest)
            digests = _digests(entries)
            blobs = dict(zip(digests, self._each(self.blobs.get, digests), strict=True))
        except ValueError as error:
            raise refuse(str(error), where=artifact.name, do="run again with --verify, which makes it anew") from error
        place = self.checkouts / artifact.digest
        if not _is_laid_out(entries, place, blobs):
            with full_disk_refused(place):
                self._lay_out(entries, place, blobs)
        return place

    def stamps(self, artifact: Artifact) -> Stamps | None:
        """Return the stamp of every blob of the artifact, or None where one is missing."""
        try:
            digests = self.digests(artifact)
            stamps = self._each(self.blobs.stamp, digests)
        except (OSError, ValueError):  # a folder's manifest is missing or damaged
            return None
        found = {digest: stamp for digest, stamp in zip(digests, stamps, strict=True) if stamp is not None}
        return found if len(found) == len(digests) else None

    def is_intact(self, artifact: Artifact, before: Stamps, *, hash_all: bool = False) -> bool:
        """Say whether every blob is as it was stored: by its stamp, and by its hash where the stamp differs.

        A blob that proves damaged is discarded: a blob is whole or absent, and what is absent is made anew.
        """
        now = self.stamps(artifact)
        if now is None:
            return False
        doubtful = [digest for digest, stamp in now.items() if hash_all or before.get(digest) != stamp]
        found = self._each(self.blobs.digest_now, doubtful)
        damaged = [digest for digest, now in zip(doubtful, found, strict=True) if now != digest]
        for digest in damaged:
            self.blobs.discard(digest)
        return not damaged

    def digest_now(self, artifact: Artifact) -> str | None:
        """Hash what is stored as the artifact again, and return its digest; None where something of it isn't there.

        It is the artifact's own digest, unless a byte changed.
        """
        try:
            found = self.blobs.digest_now(artifact.digest)
            if artifact.kind == "file" or found != artifact.digest:
                return found
            entries = self._manifest(artifact.digest)
        except (FileNotFoundError, ValueError):  # no such blob, or a digest that is none
            return None
        digests = _digests(entries)
        now = dict(zip(digests, self._each(self.blobs.digest_now, digests), strict=True))
        if None in now.values():
            return None
        return _folder_digest(_Entry(one.path, now.get(one.digest) or "", one.size_bytes) for one in entries)

    def laid_out(self) -> Iterator[Path]:
        """Yield the folders that were laid out for reading, by their digests, and those that were being so."""
        yield from self.checkouts.glob("*")

    def _each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Do the work for each item, as many at once as the blobs like."""
        if self.blobs.at_once == 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(self.blobs.at_once) as pool:
            return list(pool.map(work, items))

    def digests(self, artifact: Artifact) -> list[str]:
        """Return the digests of the blobs that the artifact is made of.

        Raises:
            FileNotFoundError: it is a folder whose manifest isn't there.
            ValueError: that is damaged.
        """
        inside = _digests(self._manifest(artifact.digest)) if artifact.kind == "folder" else []
        return [artifact.digest, *inside]

    def _manifest(self, digest: str) -> "list[_Entry]":
        content = self.blobs.get(digest).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"the manifest {digest} is damaged")
        entries = [_Entry(*entry) for entry in json.loads(content)]
        if any(_leaves(entry.path) for entry in entries):
            raise refuse(f"the stored folder {digest} names a file outside of itself", do="don't trust this store")
        return entries

    def _put_manifest(self, entries: "list[_Entry]") -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.json"
            path.write_text(_manifest_text(entries), "utf-8")
            return self.blobs.put(path)

    def _lay_out(self, entries: "list[_Entry]", place: Path, blobs: dict[str, Path]) -> None:
        building = self.checkouts / f"incoming-{uuid.uuid4().hex}"
        try:
            building.mkdir(parents=True)
            for entry in entries:
                target = building / entry.path
                if entry.digest:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_copy(blobs[entry.digest], target)
                else:
                    target.mkdir(parents=True)
            shutil.rmtree(place, ignore_errors=True)
            building.rename(place)
        except OSError:
            if not _is_laid_out(entries, place, blobs):  # another process was no faster
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str  # relative, with forward slashes; one more at the end of an empty folder
    digest: str  # empty for an empty folder
    size_bytes: int


def digest_of(source: Path) -> str:
    """Return the digest that a file or folder would have in the store."""
    if not source.is_dir():
        return sha256(source)
    files = ((_relative(source)(path), path) for path in _inside(source))
    return _folder_digest(
        _Entry(name, "", 0) if path.is_dir() else _Entry(name, sha256(path), path.stat().st_size)
        for name, path in files
    )


def _folder_digest(entries: "Iterable[_Entry]") -> str:
    return hashlib.sha256(_manifest_text(entries).encode()).hexdigest()


def _manifest_text(entries: "Iterable[_Entry]") -> str:
    return json.dumps([[entry.path, entry.digest, entry.size_bytes] for entry in entries])


def _inside(root: Path) -> list[Path]:
    """Return the files and the empty folders, sorted by their relative paths."""
    found = []
    for path in root.rglob("*"):
        if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(root.resolve())):
            raise refuse("a link that leads out of its folder, or to a folder, isn't stored", where=str(path))
        if path.is_file() or (path.is_dir() and not any(path.iterdir())):
            found.append(path)
        elif not path.is_dir():
            raise refuse("neither a file nor a folder", where=str(path))
    return sorted(found, key=_relative(root))


def _relative(root: Path) -> Callable[[Path], str]:
    return lambda path: path.relative_to(root).as_posix() + ("/" if path.is_dir() else "")


def _entry(path: Path, root: Path, digest: str) -> _Entry:
    return _Entry(_relative(root)(path), digest, path.stat().st_size if digest else 0)


def _digests(entries: "Iterable[_Entry]") -> list[str]:
    """Return the digests of the files, each once."""
    return list(dict.fromkeys(entry.digest for entry in entries if entry.digest))


def _is_laid_out(entries: "list[_Entry]", place: Path, blobs: dict[str, Path]) -> bool:
    if not place.is_dir() or {entry.path for entry in entries} != set(map(_relative(place), _inside(place))):
        return False
    return all(_is_same(place / entry.path, blobs[entry.digest]) for entry in entries if entry.digest)


def _leaves(path: str) -> bool:
    parts = path.removesuffix("/").split("/")
    return not {"", ".", ".."}.isdisjoint(parts) or "\0" in path


def _is_same(path: Path, blob: Path) -> bool:
    """Say whether the file is the blob, by a link, or a copy of it that nobody has touched."""
    one, other = path.stat(), blob.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)  # with its time, by which _is_same knows it
