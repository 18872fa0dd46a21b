"""The run that asked for a stage, as the worker's process sees it: nobody waits for a result when it is gone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from components.planning.ledger import Ledger

TURN_SECONDS: Final = 5.0
GONE_SECONDS: Final = 25.0  # without its lease: a ledger that restarts must be no reason
GONE: Final = "the run that asked for it is gone"


@dataclass(slots=True)
class Asker:
    """Looks for the lease that the process of the run holds while it lives."""

    ledger: Ledger
    lease: str
    stop: Callable[[str], None]  # ends this process, and says why
    gone_seconds: float = GONE_SECONDS
    _missed: float | None = None  # since when

    def begins(self) -> bool:
        """Say whether there is anything to begin for: a request may have waited for days, and outlive its run.

        A lease that ran out of late counts as held: while the ledger was away nobody could renew it.
        """
        return self.lease in self.ledger.taken("")

    def look(self) -> None:
        """End this process where the lease has been free for long enough. A ledger that can't be asked says nothing."""
        if self.ledger.is_taken(self.lease):
            self._missed = None
            return
        now = time.monotonic()
        self._missed = now if self._missed is None else self._missed
        if now - self._missed >= self.gone_seconds:
            self.stop(GONE)
