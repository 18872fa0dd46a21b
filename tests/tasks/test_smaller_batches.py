"""A training that a GPU is too small for: done with half the batch, once, and found by every later run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from components.planning.held import living
from components.planning.key import key_of
from components.reap.recorded import forget
from components.training.config import TrainConfig
from tasks.perform import find, perform, stand_in
from tasks.runner import Planner, PrefectRun
from tasks.stage import Yard
from tasks.tracker import Silent
from tests.servers.prefect import shared_server
from tests.tasks.tiny import Summed, train, yard_at

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is
WHOLE, HALF = TrainConfig(batch_size=64, accumulate=3), TrainConfig(batch_size=32, accumulate=6)
SAID = "train: out of GPU memory: once more with half the batch, and twice as many to a step"
LOG = logging.getLogger("test")
LATER = 1e12  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Listening(Silent):
    """Notes what is said."""

    said: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.said.append(line.strip())


@contextmanager
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let the log of Prefect's tasks be heard, whether or not its logger hands it on: that depends on who was first."""
    logger = logging.getLogger("prefect.task_runs")
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)


def train_by(run: PrefectRun, journal: Path, config: TrainConfig = WHOLE, *, fits: int = 32) -> Summed:
    """Have the training done in a flow of Prefect's."""
    from prefect import flow

    @flow(name="small")
    def as_flow() -> None:
        run(train, config, journal=str(journal), fits=fits)

    with shared_server():
        as_flow()
    outputs = run.done[-1].outputs
    assert isinstance(outputs, Summed)
    return outputs


def tried(journal: Path) -> list[str]:
    return journal.read_text().splitlines()


def key(journal: Path, config: TrainConfig) -> str:
    return key_of(train.parts(train.bind(config, journal=str(journal), fits=32)))


def planned(yard: Yard, journal: Path) -> list[str]:
    planner = Planner(yard)
    planner(train, WHOLE, journal=str(journal), fits=32)
    return [line.state for line in planner.plan]


def test_what_a_gpu_is_too_small_for_is_done_with_half_the_batch_and_as_large_a_step(
    home: Path, journal: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_by(PrefectRun(yard_at(tmp_path / "first")), tmp_path / "first journal")  # Prefect arranges its loggers then
    tracker = Listening()
    with heard(caplog):
        made = train_by(PrefectRun(replace(yard_at(home), tracker=tracker)), journal)
    assert tried(journal) == ["3 x 64 beside 0", "6 x 32 beside 0"]  # what the first had on the GPU is gone
    assert tracker.said == [SAID]
    assert {one.levelname for one in caplog.records if one.getMessage() == SAID} == {"WARNING"}
    assert made == train_by(PrefectRun(yard_at(tmp_path / "direct")), journal, HALF)


def test_what_was_done_with_half_the_batch_is_found_by_later_runs(home: Path, journal: Path) -> None:
    first, again = PrefectRun(yard_at(home)), PrefectRun(yard_at(home, run="r2"))
    made = train_by(first, journal)
    assert planned(yard_at(home, run=""), journal) == ["cached"]
    assert train_by(again, journal) == made
    assert tried(journal) == ["3 x 64 beside 0", "6 x 32 beside 0"]
    assert [(one.key, one.cached) for one in (*first.done, *again.done)] == [
        (key(journal, WHOLE), False),
        (key(journal, WHOLE), True),
    ]


def test_a_forced_training_tries_the_whole_batch_again(home: Path, journal: Path) -> None:
    train_by(PrefectRun(yard_at(home)), journal)
    forced = yard_at(home, run="r2", force=frozenset({"train"}))
    assert planned(forced, journal) == ["run"]
    train_by(PrefectRun(forced), journal)
    assert len(tried(journal)) == 4
    assert find(train, train.bind(WHOLE, journal=str(journal), fits=32), forced), "it is this run's own by now"


def test_why_compares_the_whole_batch_with_what_was_before(home: Path, journal: Path) -> None:
    """Both records are the run's, of the same time: the one that was asked for is the one that it used last."""
    train_by(PrefectRun(yard_at(home)), journal)
    used, done = yard_at(home).ledger.history("m", "train")
    assert (used.key, done.key) == (key(journal, WHOLE), key(journal, HALF))
    assert used.parts == train.parts(train.bind(WHOLE, journal=str(journal), fits=32))
    assert (used.run, used.at, used.outputs, used.stamps) == (done.run, done.at, done.outputs, done.stamps)


def test_reap_forgets_each_of_the_two_results_by_itself(home: Path, journal: Path) -> None:
    yard = yard_at(home, run="")
    train_by(PrefectRun(yard_at(home)), journal)
    assert forget(yard.ledger, key(journal, HALF), used_before=LATER)
    assert planned(yard, journal) == ["cached"]
    assert forget(yard.ledger, key(journal, WHOLE), used_before=LATER)
    assert planned(yard, journal) == ["run"]


def test_a_result_of_the_whole_batch_by_another_run_is_not_replaced(home: Path, journal: Path) -> None:
    yard, other = yard_at(home), replace(yard_at(home, run="r2"), model="other")
    whole, half = (train.bind(config, journal=str(journal), fits=32) for config in (WHOLE, HALF))
    done = perform(train, half, yard, log=LOG)
    with living(f"stage {key(journal, WHOLE)}", yard.ledger, seconds=15.0):  # it is at work
        assert stand_in(done, train, whole, yard) == done
    assert planned(yard, journal) == ["run"]
    stand_in(done, train, whole, other)
    assert [one.key for one in yard.ledger.history("other", "train")] == [key(journal, WHOLE)]
    before = yard.ledger.record(key(journal, WHOLE))
    assert stand_in(done, train, whole, yard).cached
    assert yard.ledger.record(key(journal, WHOLE)) == before


@pytest.mark.parametrize("config", [TrainConfig(batch_size=63), TrainConfig(batch_size=128)])
def test_a_batch_without_a_half_that_fits_is_an_error(home: Path, journal: Path, config: TrainConfig) -> None:
    from torch import OutOfMemoryError

    with pytest.raises(OutOfMemoryError, match="CUDA out of memory"):
        train_by(PrefectRun(yard_at(home)), journal, config)
    assert len(tried(journal)) == 2 - config.batch_size % 2
    assert not yard_at(home).ledger.history("m", "train")
