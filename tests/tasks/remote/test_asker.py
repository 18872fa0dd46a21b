"""A worker's process ends when the run that asked for its stage is gone for good, not when that is only late."""

from pathlib import Path

import pytest

from components.planning.held import RUN, living
from components.planning.ledger import Ledger, ledger_at
from tasks.remote import asker as module
from tasks.remote.asker import GONE, Asker
from tests.clock import Clock


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "ledger.db")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Told:
    why = ""

    def __call__(self, why: str) -> None:
        self.why = why


def test_it_goes_on_while_the_run_lives_and_for_a_while_after(ledger: Ledger, clock: Clock) -> None:
    told = Told()
    asker = Asker(ledger, RUN + "r1", told, gone_seconds=20.0)
    with living(RUN + "r1", ledger, seconds=15.0):
        asker.look()
        clock.sleep(30.0)
        asker.look()
        assert not told.why
    asker.look()
    assert not told.why
    clock.sleep(30.0)
    asker.look()
    assert told.why == GONE


def test_a_run_that_was_away_for_a_moment_is_not_gone(ledger: Ledger, clock: Clock) -> None:
    told = Told()
    asker = Asker(ledger, RUN + "r1", told, gone_seconds=20.0)
    asker.look()
    clock.sleep(15.0)
    with living(RUN + "r1", ledger, seconds=15.0):
        asker.look()
    asker.look()
    clock.sleep(10.0)
    asker.look()
    assert not told.why


@pytest.mark.parametrize(("over_for", "begins"), [(-10.0, True), (200.0, True), (400.0, False)])
def test_work_begins_for_a_run_that_may_live(ledger: Ledger, over_for: float, begins: bool) -> None:
    """While a ledger is away for minutes nobody can renew a lease."""
    assert ledger.acquire(RUN + "r1", seconds=15.0)
    ledger.database.change("UPDATE leases SET expires = clock() - ?", (over_for,))
    assert Asker(ledger, RUN + "r1", Told()).begins() == begins


def test_nothing_begins_for_a_run_that_has_ended_though_another_lives(ledger: Ledger) -> None:
    with living(RUN + "r1", ledger, seconds=15.0):
        pass
    with living(RUN + "r10", ledger, seconds=15.0):
        assert not Asker(ledger, RUN + "r1", Told()).begins()
