"""A folder of checkpoints, kept in the store while somebody works: who takes the work over, on any machine, goes on.

Each file in it is replaced as a whole, so that what lies there at any moment is worth going on from. Folders and
hidden files in it stay here.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.every import every
from components.planning.ledger import Lease, Ledger
from components.store.artifact import Artifact
from components.store.store import Stamps, Store

POLL_SECONDS: Final = 1.0
SENT: Final = ".sent"  # a file: the digest of what was in the store when the folder was as new as that
SHARE: Final = 0.1  # of the time may go to sending: a large checkpoint is sent less often
Seen = frozenset[tuple[str, int, int]]  # of each file: name, nanoseconds since 1970, bytes
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mirror:
    """The checkpoints of one stage: `folder` here, the last of them in the store, its name in the ledger by `key`."""

    folder: Path
    key: str
    store: Store
    ledger: Ledger

    def bring(self) -> None:
        """Have what was sent last here, if another machine sent it. Where it is gone, what lies here has to do.

        No clock decides: who holds the lease works alone, so that who sent last was the last to work.
        """
        kept = self.ledger.checkpoint(self.key)
        if kept is None or kept.folder.digest == self._sent():
            return
        brought = self.folder.with_name(f"{self.folder.name}-brought")
        try:
            shutil.rmtree(brought, ignore_errors=True)
            shutil.copytree(self.store.get(kept.folder), brought, copy_function=shutil.copyfile)
            (brought / SENT).write_text(kept.folder.digest)
            shutil.rmtree(self.folder, ignore_errors=True)
            brought.rename(self.folder)  # all of it or none: half of it would look newer than what is in the store
        except Exception as error:
            what = "goes on from an older one" if _files(self.folder) else "begins anew"
            logger.warning("the checkpoint in the store can't be had, the work %s: %s", what, error)

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        """Send what changes until the block ends, as long as the lease is held. Work doesn't fail for it."""
        sending = _Sending(self, lease, sent=_seen(self.folder))
        with every(POLL_SECONDS, sending.turn, name=f"mirror {self.key}", first=POLL_SECONDS):
            yield

    def drop(self) -> None:
        """Forget what was sent: the work is done.

        Its bytes are left to `steelyard reap`, which asks what else needs them: a stage that begins in the same way may
        have just put them, too, and name them in a moment.
        """
        try:
            self.ledger.drop_checkpoint(self.key)
        except Exception as error:
            logger.warning("the checkpoint in the ledger was not removed: %s", error)

    def send(self, lease: Lease) -> bool:
        """Put the folder into the store and name it in the ledger. False: the lease is lost.

        What it replaces is discarded: a state of this work alone, since each tells how long it took.

        Raises:
            FileNotFoundError: somebody has removed some of it meanwhile.
        """
        before = self.ledger.checkpoint(self.key)
        with _snapshot(self.folder) as whole:
            now = self.store.put(whole)
        if not self.ledger.keep_checkpoint(lease, self.key, now):
            return False
        there = self.store.stamps(now)
        if there is None:
            raise FileNotFoundError("some of it was removed meanwhile")
        (self.folder / SENT).write_text(now.digest)
        if before is not None:
            self._discard(before.folder, but=there)
        return True

    def _sent(self) -> str:
        try:
            return (self.folder / SENT).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _discard(self, old: Artifact, *, but: Stamps) -> None:
        others = [one.folder for key, one in self.ledger.checkpoints().items() if key != self.key]
        shared = {digest for one in others for digest in self.store.stamps(one) or ()}  # how a network began, say
        for digest in (self.store.stamps(old) or {}).keys() - but.keys() - shared:
            self.store.blobs.discard(digest)


@dataclass(slots=True)
class _Sending:
    """What changed in the folder since the last turn, on its way."""

    mirror: Mirror
    lease: Lease
    sent: Seen  # what the store has; an older time is a change too: clocks are set back
    rests_until: float = 0.0
    lost: bool = False  # the lease

    def turn(self) -> None:
        """Send it, unless it is too soon."""
        began, seen = time.monotonic(), _seen(self.mirror.folder)
        if seen == self.sent or self.lost or began < self.rests_until:
            return
        try:
            self.lost = not self.mirror.send(self.lease)
            self.sent = seen
        except Exception as error:  # the store is away: the next turn may do
            logger.warning("the checkpoint was not sent: %s", error)
        self.rests_until = time.monotonic() + (time.monotonic() - began) / SHARE


def _seen(folder: Path) -> Seen:
    """Return what tells the folder's files from those that replace them."""
    stats = ((path.name, path.stat()) for path in _files(folder))
    return frozenset((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[!.]*") if path.is_file()]


@contextmanager
def _snapshot(folder: Path) -> Iterator[Path]:
    """Yield a folder with links to the files as they are now: those that replace them are other files."""
    whole = folder.with_name(f"{folder.name}-sent")
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    try:
        for path in _files(folder):
            with suppress(FileNotFoundError):
                os.link(path, whole / path.name)
        yield whole
    finally:
        shutil.rmtree(whole, ignore_errors=True)
