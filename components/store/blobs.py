"""What a place for bytes must offer: content-addressed puts, nothing more. A folder and S3 both can."""

from pathlib import Path
from typing import Protocol

from components.store.artifact import Stamp


class Blobs(Protocol):
    """Bytes by their SHA-256. A blob is whole or absent, never half there."""

    def put(self, source: Path) -> str:
        """Copy the file in and return its digest. What was stored under that digest is replaced, and so healed."""

    def get(self, digest: str) -> Path:
        """Return a local file with the bytes, to be read and not changed. Raises FileNotFoundError."""

    def stamp(self, digest: str) -> Stamp | None:
        """Return size and time of the blob without reading it, or None where it isn't there."""

    def is_sound(self, digest: str) -> bool:
        """Read the blob and say whether it has the digest that it is named by."""
