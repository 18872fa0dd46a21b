"""A held lease is renewed until the work ends, also where the ledger was busy for once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.planning import held as module
from components.planning.held import held
from components.planning.ledger import Lease, Ledger, ledger_at


class Turns:
    """In place of `every`: a turn comes when a test wants it."""

    work: Callable[[], object]
    pauses: tuple[float, float]

    @contextmanager
    def every(self, seconds: float, work: Callable[[], object], *, name: str, first: float) -> Iterator[None]:
        self.work, self.pauses = work, (first, seconds)
        yield


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    turns = Turns()
    monkeypatch.setattr(module, "every", turns.every)
    return turns


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "ledger.db")


@pytest.fixture
def lease(ledger: Ledger) -> Lease:
    lease = ledger.acquire("work", seconds=60)
    assert lease is not None
    return lease


def test_two_turns_may_come_to_nothing_before_it_runs_out(ledger: Ledger, lease: Lease, turns: Turns) -> None:
    with held(lease, ledger, seconds=60):
        first, pause = turns.pauses
    assert first + pause < 60


def test_each_turn_renews_it(ledger: Ledger, lease: Lease, turns: Turns) -> None:
    with held(lease, ledger, seconds=60):
        ledger.database.change("UPDATE leases SET expires = clock() - 1")
        assert not ledger.is_taken("work")
        turns.work()
        assert ledger.is_taken("work")


def test_one_busy_moment_does_not_end_the_renewal(
    ledger: Ledger, lease: Lease, turns: Turns, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_busy(_lease: Lease, *, seconds: float) -> bool:
        raise OSError("database is locked")

    with held(lease, ledger, seconds=60) as hold:
        with monkeypatch.context() as context:
            context.setattr(Ledger, "renew", is_busy)
            turns.work()
        assert "wasn't renewed" in caplog.text
        ledger.database.change("UPDATE leases SET expires = clock() - 1")
        turns.work()
        assert ledger.is_taken("work")
    assert not hold.lost


def test_a_lease_that_was_taken_over_is_said_once(
    ledger: Ledger, lease: Lease, turns: Turns, caplog: pytest.LogCaptureFixture
) -> None:
    with held(lease, ledger, seconds=60) as hold:
        ledger.release(lease)
        assert ledger.acquire("work", seconds=60) is not None
        turns.work()
        turns.work()
    assert hold.lost
    assert caplog.text.count("was taken over") == 1
