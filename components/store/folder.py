"""Blobs in a folder: `objects/ab/cdef…`, read-only files written beside their place and renamed into it."""

import hashlib
import os
import uuid
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import BinaryIO

from components.errors import refuse
from components.store.artifact import Stamp

CHUNK = 1 << 20  # bytes


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_and_hash(source: BinaryIO, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


class FolderBlobs:
    """Blobs under a root folder, which is made when the first one is put."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, digest: str) -> Path:
        """Return where the blob of that digest is, or would be."""
        return self.root / "objects" / digest[:2] / digest[2:]

    def put(self, source: Path) -> str:
        """Copy the file in, hashing on the way, and rename it into its place."""
        incoming = self.root / "incoming" / uuid.uuid4().hex
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as file, incoming.open("wb") as copy:
                digest = _copy_and_hash(file, copy)
            place = self.place(digest)
            place.parent.mkdir(parents=True, exist_ok=True)
            incoming.chmod(0o444)
            incoming.replace(place)
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                raise refuse(
                    f"no space left to store {source.name} ({source.stat().st_size:,} bytes)",
                    where=str(self.root),
                    do="free some space, or move the state with STEELYARD_HOME; the next run goes on from here",
                ) from error
            raise
        finally:
            incoming.unlink(missing_ok=True)
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

    def is_sound(self, digest: str) -> bool:
        """Hash the blob again."""
        try:
            return sha256(self.place(digest)) == digest
        except OSError:
            return False
