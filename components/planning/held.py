"""A lease that lasts as long as the work: renewed in the background."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from components.planning.ledger import Lease, Ledger

logger = logging.getLogger(__name__)


@contextmanager
def held(lease: Lease, ledger: Ledger, *, seconds: float) -> Iterator[None]:
    """Renew a lease of so many seconds until the block ends, or until it is lost."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds / 3):
            try:
                if not ledger.renew(lease, seconds=seconds):
                    return
            except Exception as error:  # the ledger is busy: the next turn may do, and what is written last decides
                logger.warning("the lease of %s wasn't renewed: %s", lease.name, error)

    thread = threading.Thread(target=renew, daemon=True, name=f"lease {lease.name}")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
