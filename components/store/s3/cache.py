"""Local copies of blobs, which aren't believed: each is hashed when this process meets it, then watched."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path

from components.locked import is_at, locked
from components.store.artifact import Stamp, Stored
from components.store.folder import FolderBlobs


class Cache:
    """Copies below a root folder, for any number of threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = FolderBlobs(root)
        self._seen: dict[str, Stamp] = {}  # of the copies that had their digest

    def put(self, source: Path) -> tuple[str, Path]:
        """Copy the file in and return its digest and the copy."""
        digest = self._folder.put(source)
        self._see(digest)
        return digest, self._folder.place(digest)

    def get(self, digest: str) -> Path | None:
        """Return the copy, if there is one that has its digest."""
        stamp = self._folder.stamp(digest)
        if stamp is None:
            return None
        if self._seen.get(digest) != stamp:
            if self._folder.digest_now(digest) != digest:
                self.discard(digest)
                return None
            self._seen[digest] = stamp
        return self._folder.place(digest)

    def discard(self, digest: str) -> None:
        """Remove the copy."""
        self._seen.pop(digest, None)
        self._folder.discard(digest)

    def stored(self) -> Iterator[Stored]:
        """Yield the copies, and the halves of some."""
        for one in self._folder.stored():
            yield replace(one, kind="copy") if one.kind == "object" else one

    def remove(self, one: Stored, *, before: float) -> bool:
        """Remove a copy, or the half of one, unless it is younger by now."""
        self._seen.pop(one.name, None)
        return self._folder.remove(replace(one, kind="object") if one.kind == "copy" else one, before=before)

    def doubt(self, digest: str) -> None:
        """Hash the copy again before it is given away the next time."""
        self._seen.pop(digest, None)

    @contextmanager
    def partial(self, digest: str) -> Iterator[FileIO]:
        """Open the file that a download fills, with what a killed one left in it, for one process at a time.

        What the network ends can be gone on with. What the system ends, as a full disk, leaves nothing.
        """
        place = self.root / "incoming" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        with locked(place) as file:
            try:
                yield file
            except OSError:
                file.truncate(0)
                raise
            finally:
                if is_at(place, file) and not os.fstat(file.fileno()).st_size:
                    place.unlink()

    def keep(self, digest: str) -> Path:
        """Make the partial file, which is whole now, the copy."""
        place = self._folder.place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.root / "incoming" / digest).replace(place)
        place.chmod(0o444)
        self._see(digest)
        return place

    def _see(self, digest: str) -> None:
        stamp = self._folder.stamp(digest)
        if stamp is not None:
            self._seen[digest] = stamp
