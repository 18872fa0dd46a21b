"""A lease that lasts as long as the work: renewed in the background."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from components.every import every
from components.planning.ledger import Lease, LeaseLost, Ledger

RUN: Final = "run of "  # begins the name of the lease that the process of a run holds while it lives
REAP: Final = "reap"  # the lease of who removes what nothing refers to, or makes something be referred to again
DATA: Final = "reap data"  # the lease of who removes data sets from the DVC remote
FREE_SECONDS: Final = 0.5  # between two looks at a lease that is waited for
logger = logging.getLogger(__name__)


class Taken(Exception):
    """Somebody holds the lease already."""


@dataclass(slots=True)
class Hold:
    """What those who work under a lease know of it."""

    name: str
    lost: bool = False

    def check(self) -> None:
        """Raise LeaseLost where somebody has taken the work over: long work asks between its steps."""
        if self.lost:
            raise LeaseLost(self.name)


def wait_for(name: str, ledger: Ledger) -> None:
    """Return when nobody holds the lease of that name."""
    while ledger.is_taken(name):
        time.sleep(FREE_SECONDS)


@contextmanager
def living(name: str, ledger: Ledger, *, seconds: float) -> Iterator[Hold]:
    """Hold the lease of that name until the block ends: where it is gone, so is the process. Raises Taken."""
    lease = ledger.acquire(name, seconds=seconds)
    if lease is None:
        raise Taken(name)
    try:
        with held(lease, ledger, seconds=seconds) as hold:
            yield hold
    finally:
        ledger.release(lease)


@contextmanager
def held(lease: Lease, ledger: Ledger, *, seconds: float) -> Iterator[Hold]:
    """Renew a lease of so many seconds until the block ends. One that is lost stays so, and that is said once."""
    hold = Hold(lease.name)

    def renew() -> None:
        try:
            if not hold.lost and not ledger.renew(lease, seconds=seconds):
                hold.lost = True
                logger.warning("the lease of %s was taken over: what is done under it is thrown away", lease.name)
        except Exception as error:  # the ledger is busy: the next turn may do, and what is written last decides
            logger.warning("the lease of %s wasn't renewed: %s", lease.name, error)

    with every(seconds / 3, renew, name=f"lease {lease.name}", first=seconds / 3):
        yield hold
