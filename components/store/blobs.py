"""What a place for bytes must offer: content-addressed puts, nothing more. A folder and S3 both can."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from components.store.artifact import Stamp, Stored


class Blobs(Protocol):
    """Bytes by their SHA-256. A blob is whole or absent, never half there. Threads may share one of these."""

    @property
    def at_once(self) -> int:
        """How many of the calls below are worth having under way at once."""

    def put(self, source: Path) -> str:
        """Copy the file in and return its digest. What was stored under that digest is replaced, and so healed.

        What the place itself vouches for may stay as it is for some hours: what it vouches for wrongly needs a
        `discard` first. Then it is put anew: its time shows that somebody has use for it.
        """

    def get(self, digest: str) -> Path:
        """Return a local file with the bytes, to be read and not changed.

        Raises:
            FileNotFoundError: the blob isn't there.
            ValueError: it was looked at on the way, and is damaged.
        """

    def stamp(self, digest: str) -> Stamp | None:
        """Return size and time of the blob without reading it, or None where it isn't there."""

    def digest_now(self, digest: str) -> str | None:
        """Read the blob where it is stored and return the digest that it has now, or None where it isn't there."""

    def discard(self, digest: str) -> None:
        """Remove the blob, which proved damaged, and every copy of it that `get` may return."""

    def stored(self) -> Iterator[Stored]:
        """Yield all that takes room, in any order and as it is found: there may be 100,000s."""

    def remove(self, one: Stored, *, before: float) -> bool:
        """Remove what is still as old as that; False: it was put again meanwhile. `before`: in seconds since 1970."""

    def sign(self, ledger: str) -> None:
        """Note that the ledger of that id has records about what is here."""

    def signed(self) -> list[str]:
        """Return the ids of the ledgers that do."""
