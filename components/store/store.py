"""Files and folders over blobs: a folder is a manifest, itself a blob, and the blobs that it names."""

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.errors import refuse
from components.store.artifact import Artifact, Stamp
from components.store.blobs import Blobs
from components.store.disk import full_disk_refused
from components.store.folder import sha256

Stamps = dict[str, Stamp]  # by digest


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
            entries = [_entry(self.blobs, path, source) for path in _inside(source)]
            digest = self._put_manifest(entries)
        size = sum(entry.size_bytes for entry in entries)
        return Artifact(digest=digest, kind="folder", size_bytes=size, name=source.name)

    def get(self, artifact: Artifact) -> Path:
        """Return a path to read the artifact at. Don't change what is there."""
        if artifact.kind == "file":
            return self.blobs.get(artifact.digest)
        place = self.checkouts / artifact.digest
        entries = self._manifest(artifact.digest)
        if not self._is_laid_out(entries, place):
            with full_disk_refused(place):
                self._lay_out(entries, place)
        return place

    def stamps(self, artifact: Artifact) -> Stamps | None:
        """Return the stamp of every blob of the artifact, or None where one is missing."""
        found = {}
        try:
            for digest in self._digests(artifact):
                stamp = self.blobs.stamp(digest)
                if stamp is None:
                    return None
                found[digest] = stamp
        except (OSError, ValueError):  # a folder's manifest is missing or damaged
            return None
        return found

    def is_intact(self, artifact: Artifact, before: Stamps, *, hash_all: bool = False) -> bool:
        """Say whether every blob is as it was stored: by its stamp, and by its hash where the stamp differs."""
        now = self.stamps(artifact)
        if now is None:
            return False
        doubtful = [digest for digest, stamp in now.items() if hash_all or before.get(digest) != stamp]
        return all(self.blobs.is_sound(digest) for digest in doubtful)

    def digest_now(self, artifact: Artifact) -> str | None:
        """Hash what is stored as the artifact again, and return its digest; None where something of it isn't there.

        It is the artifact's own digest, unless a byte changed.
        """
        try:
            found = sha256(self.blobs.get(artifact.digest))
            if artifact.kind == "file" or found != artifact.digest:
                return found
            return _folder_digest(
                _Entry(one.path, sha256(self.blobs.get(one.digest)) if one.digest else "", one.size_bytes)
                for one in self._manifest(artifact.digest)
            )
        except (FileNotFoundError, ValueError):  # no such blob, or a digest that is none
            return None

    def _digests(self, artifact: Artifact) -> Iterator[str]:
        yield artifact.digest
        if artifact.kind == "folder":
            yield from (entry.digest for entry in self._manifest(artifact.digest) if entry.digest)

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

    def _is_laid_out(self, entries: "list[_Entry]", place: Path) -> bool:
        if not place.is_dir() or {entry.path for entry in entries} != set(map(_relative(place), _inside(place))):
            return False
        return all(_is_same(place / entry.path, self.blobs.get(entry.digest)) for entry in entries if entry.digest)

    def _lay_out(self, entries: "list[_Entry]", place: Path) -> None:
        building = self.checkouts / f"incoming-{uuid.uuid4().hex}"
        try:
            building.mkdir(parents=True)
            for entry in entries:
                target = building / entry.path
                if entry.digest:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_copy(self.blobs.get(entry.digest), target)
                else:
                    target.mkdir(parents=True)
            shutil.rmtree(place, ignore_errors=True)
            building.rename(place)
        except OSError:
            if not self._is_laid_out(entries, place):  # another process was no faster
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


def _entry(blobs: Blobs, path: Path, root: Path) -> _Entry:
    relative = _relative(root)(path)
    return _Entry(relative, "", 0) if path.is_dir() else _Entry(relative, blobs.put(path), path.stat().st_size)


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
