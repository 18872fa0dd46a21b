"""Blobs in a folder: `objects/ab/cdef…`, read-only files written beside their place and renamed into it."""

import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from pathlib import Path

from components.disk import full_disk_refused
from components.store.artifact import Stamp, Stored

CHUNK = 1 << 18  # bytes
ABANDONED_SECONDS = 24 * 3600.0
IS_DIGEST = re.compile("[0-9a-f]{64}").fullmatch


def object_name(digest: str) -> str:
    """Return the name of a blob below the root of its store. Raises ValueError where the digest is none."""
    if not IS_DIGEST(digest):
        raise ValueError(f"{digest!r} is no SHA-256")
    return f"objects/{digest[:2]}/{digest[2:]}"


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_and_hash(source: FileIO, target: FileIO) -> str:
    """Copy, and return the SHA-256 of what was copied.

    It isn't forced to the disk (three times as slow): what a power cut takes away shows in a blob's size and time,
    and is computed again.
    """
    digest, chunk = hashlib.sha256(), memoryview(bytearray(CHUNK))  # one piece of memory: 1.7x as fast as new ones
    while count := source.readinto(chunk):
        digest.update(chunk[:count])
        rest = chunk[:count]
        while rest:  # a nearly full disk takes a part
            rest = rest[target.write(rest) :]
    return digest.hexdigest()


class FolderBlobs:
    """Blobs under a root folder, which is made when the first one is put."""

    at_once = 1  # a disk is no faster for being asked twice

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, digest: str) -> Path:
        """Return where the blob of that digest is, or would be."""
        return self.root / object_name(digest)

    def put(self, source: Path) -> str:
        """Copy the file in, hashing on the way, and rename it into its place."""
        incoming = self.root / "incoming" / uuid.uuid4().hex
        try:
            with full_disk_refused(self.root):
                incoming.parent.mkdir(parents=True, exist_ok=True)
                with FileIO(source) as file, FileIO(incoming, "wb") as copy:
                    digest = _copy_and_hash(file, copy)
                place = self.place(digest)
                place.parent.mkdir(parents=True, exist_ok=True)
                incoming.chmod(0o444)
                incoming.replace(place)
        finally:
            incoming.unlink(missing_ok=True)
            self._sweep()
        return digest

    def get(self, digest: str) -> Path:
        """Return the blob's own read-only file."""
        place = self.place(digest)
        if not place.is_file():
            raise FileNotFoundError(place)
        return place

    def stamp(self, digest: str) -> Stamp | None:
        """Return size and modification time of the blob."""
        try:
            status = self.place(digest).stat()
        except FileNotFoundError:
            return None
        return Stamp(status.st_size, str(status.st_mtime_ns))

    def digest_now(self, digest: str) -> str | None:
        """Hash the blob again. One that can't be read isn't there."""
        try:
            return sha256(self.place(digest))
        except OSError:
            return None

    def discard(self, digest: str) -> None:
        """Remove the blob's file."""
        self.place(digest).unlink(missing_ok=True)

    def stored(self) -> Iterator[Stored]:
        """Yield the blobs' files, and those of puts that are under way or were killed."""
        for file in self.root.glob("objects/??/*"):
            if IS_DIGEST(digest := file.parent.name + file.name):
                yield from _listed(file, Stored("object", digest, 0, 0.0))
        for file in self.root.glob("incoming/*"):
            yield from _listed(file, Stored("upload", file.name, 0, 0.0))

    def remove(self, one: Stored, *, before: float) -> bool:
        """Remove the file, looking at its time once more."""
        file = self.place(one.name) if one.kind == "object" else self.root / "incoming" / Path(one.name).name
        with suppress(FileNotFoundError):
            if file.stat().st_mtime >= before:
                return False
            file.unlink()
        return True

    def sign(self, ledger: str) -> None:
        """Make an empty file of that name."""
        if not (mark := self.root / "ledgers" / ledger).exists():
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def signed(self) -> list[str]:
        """Return the names of such files."""
        return sorted(mark.name for mark in (self.root / "ledgers").glob("*"))

    def _sweep(self) -> None:
        """Remove what killed processes left half written."""
        for left in (self.root / "incoming").glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                    left.unlink()


def _listed(file: Path, one: Stored) -> Iterator[Stored]:
    """Yield it with its size and time, unless it has just gone."""
    with suppress(FileNotFoundError):
        status = file.stat()
        yield replace(one, size_bytes=status.st_size, at=status.st_mtime)
