"""A held lease is renewed until the work ends, also where the ledger was busy for once."""

import time
from pathlib import Path

import pytest

from components.planning.held import held
from components.planning.ledger import Lease, ledger_at


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


def test_a_lease_that_was_taken_over_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = ledger_at(tmp_path / "ledger.db")
    lease = ledger.acquire("work", seconds=60)
    assert lease is not None
    with held(lease, ledger, seconds=0.15):
        ledger.release(lease)
        assert ledger.acquire("work", seconds=60) is not None
        time.sleep(0.6)
    assert caplog.text.count("was taken over") == 1
