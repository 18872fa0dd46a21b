"""A held lease is renewed until the work ends, also where the ledger was busy for once."""

import time

import pytest

from components.planning.held import held
from components.planning.ledger import Lease


class Busy:
    """A ledger that is busy the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def renew(self, _lease: Lease, *, seconds: float) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise OSError("database is locked")
        return True


def test_one_busy_moment_does_not_end_the_renewal(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Busy()
    with held(Lease("work", "token"), ledger, seconds=0.15):  # type: ignore[arg-type]
        time.sleep(0.6)
    assert ledger.asked >= 3
    assert "wasn't renewed" in caplog.text
