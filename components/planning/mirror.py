"""A folder of checkpoints, kept in the store while somebody works: who takes the work over, on any machine, goes on.

Each file in it is replaced as a whole, so that what lies there at any moment is worth going on from. Folders and
hidden files in it stay here.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.planning.ledger import Lease, Ledger
from components.store.artifact import Artifact
from components.store.store import Stamps, Store

POLL_SECONDS: Final = 1.0
SHARE: Final = 0.1  # of the time may go to sending: a large checkpoint is sent less often
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mirror:
    """The checkpoints of one stage: `folder` here, the last of them in the store, its name in the ledger by `key`."""

    folder: Path
    key: str
    store: Store
    ledger: Ledger

    def bring(self) -> None:
        """Have what was sent last here, unless what lies here is newer. Where it is gone, the work begins anew."""
        kept = self.ledger.checkpoint(self.key)
        if kept is None or kept.at <= _newest(self.folder):
            return
        brought = self.folder.with_name(f"{self.folder.name}-brought")
        try:
            shutil.rmtree(brought, ignore_errors=True)
            shutil.copytree(self.store.get(kept.folder), brought, copy_function=shutil.copyfile)
            shutil.rmtree(self.folder, ignore_errors=True)
            brought.rename(self.folder)  # all of it or none: half of it would look newer than what is in the store
        except Exception as error:
            logger.warning("the checkpoint in the store can't be had, the work begins anew: %s", error)

    @contextmanager
    def kept(self, lease: Lease) -> Iterator[None]:
        """Send what changes until the block ends, as long as the lease is held. Work doesn't fail for it."""
        ended, there = threading.Event(), _newest(self.folder)
        work = (lease, there, ended)
        thread = threading.Thread(target=self._send_all, args=work, daemon=True, name=f"mirror {self.key}")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def drop(self) -> None:
        """Forget what was sent: the work is done. What can't be removed now is left to `steelyard reap`."""
        try:
            kept = self.ledger.checkpoint(self.key)
            if kept is not None:
                self.ledger.drop_checkpoint(self.key)
                self._discard(kept.folder, but={})
        except Exception as error:
            logger.warning("the checkpoint in the store was not removed: %s", error)

    def _send_all(self, lease: Lease, sent: float, ended: threading.Event) -> None:
        pause = POLL_SECONDS
        while not ended.wait(pause):
            began = time.monotonic()
            try:
                newest = _newest(self.folder)
                if newest != sent and not self._send(lease, at=newest):
                    return
                sent = newest
            except Exception as error:  # the store is away: the next turn may do
                logger.warning("the checkpoint was not sent: %s", error)
            pause = max(POLL_SECONDS, (time.monotonic() - began) / SHARE)

    def _send(self, lease: Lease, *, at: float) -> bool:
        """Put the folder into the store and name it in the ledger. False: the lease is lost."""
        before = self.ledger.checkpoint(self.key)
        with _snapshot(self.folder) as whole:
            now = self.store.put(whole)
        if not self.ledger.keep_checkpoint(lease, self.key, now, at=at):
            return False
        if before is not None:
            self._discard(before.folder, but=self.store.stamps(now) or {})
        return True

    def _discard(self, old: Artifact, *, but: Stamps) -> None:
        others = [one.folder for key, one in self.ledger.checkpoints().items() if key != self.key]
        shared = {digest for one in others for digest in self.store.stamps(one) or ()}  # how a network began, say
        for digest in (self.store.stamps(old) or {}).keys() - but.keys() - shared:
            self.store.blobs.discard(digest)


def _newest(folder: Path) -> float:
    """Return when a file in the folder was written last, in seconds since 1970; 0 where there is none."""
    return max((path.stat().st_mtime for path in _files(folder)), default=0.0)


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
