"""Files and folders over blobs: a folder is a manifest, itself a blob, and the blobs that it names."""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.store.artifact import Artifact, Stamp
from components.store.blobs import Blobs

Stamps = dict[str, Stamp]  # by digest


@dataclass(frozen=True, slots=True)
class Store:
    """Keeps artifacts. Folders are laid out for reading under `checkouts`, by links where the disk allows."""

    blobs: Blobs
    checkouts: Path

    def put(self, source: Path) -> Artifact:
        """Store a file, or a folder with everything in it."""
        if source.is_file():
            digest = self.blobs.put(source)
            return Artifact(digest=digest, kind="file", size_bytes=source.stat().st_size, name=source.name)
        entries = [_entry(self.blobs, path, source) for path in sorted(source.rglob("*")) if path.is_file()]
        digest = self._put_manifest(entries)
        size = sum(entry.size_bytes for entry in entries)
        return Artifact(digest=digest, kind="folder", size_bytes=size, name=source.name)

    def get(self, artifact: Artifact) -> Path:
        """Return a path to read the artifact at. Don't change what is there."""
        if artifact.kind == "file":
            return self.blobs.get(artifact.digest)
        place = self.checkouts / artifact.digest
        entries = list(self._manifest(artifact.digest))
        if not self._is_laid_out(entries, place):
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

    def _digests(self, artifact: Artifact) -> Iterator[str]:
        yield artifact.digest
        if artifact.kind == "folder":
            yield from (entry.digest for entry in self._manifest(artifact.digest))

    def _manifest(self, digest: str) -> "Iterator[_Entry]":
        for path, entry_digest, size in json.loads(self.blobs.get(digest).read_text("utf-8")):
            yield _Entry(path, entry_digest, size)

    def _put_manifest(self, entries: "list[_Entry]") -> str:
        text = json.dumps([[entry.path, entry.digest, entry.size_bytes] for entry in entries])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "manifest.json"
            path.write_text(text, "utf-8")
            return self.blobs.put(path)

    def _is_laid_out(self, entries: "list[_Entry]", place: Path) -> bool:
        return all(_is_same(place / entry.path, self.blobs.get(entry.digest)) for entry in entries) and place.is_dir()

    def _lay_out(self, entries: "list[_Entry]", place: Path) -> None:
        building = self.checkouts / f"incoming-{uuid.uuid4().hex}"
        try:
            for entry in entries:
                target = building / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(self.blobs.get(entry.digest), target)
            building.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            building.rename(place)
        except OSError:
            if not self._is_laid_out(entries, place):  # another process was no faster
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str  # relative, with forward slashes
    digest: str
    size_bytes: int


def _entry(blobs: Blobs, path: Path, root: Path) -> _Entry:
    return _Entry(path.relative_to(root).as_posix(), blobs.put(path), path.stat().st_size)


def _is_same(path: Path, blob: Path) -> bool:
    if not path.is_file():
        return False
    one, other = path.stat(), blob.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)  # with its time, by which _is_same knows it
