"""The planner and the run through Prefect, over one small flow."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import pytest

from components.errors import Refusal
from components.planning.key import key_of
from components.planning.unknown import UNKNOWN
from components.training.config import DDP, TrainConfig
from tasks.perform import Done, perform
from tasks.runner import Planner, PrefectRun, Run, smaller_batches
from tasks.stage import Stage, Yard
from tasks.until import Reached
from tests.servers.prefect import shared_server
from tests.tasks.tiny import Knobs, Made, Summed, add, make, yard_at

if TYPE_CHECKING:
    from prefect.client.schemas.objects import TaskRun

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is
P = ParamSpec("P")
R = TypeVar("R")
PLAIN = Knobs()
NONE: frozenset[str] = frozenset()


def small(run: Run, journal: Path, knobs: Knobs = PLAIN) -> Summed:
    made: Made = run(make, knobs, journal=str(journal))
    best = run.ask(lambda yard, made: made.scores[0].name, made)
    run(add, made=made, name="twice", journal=str(journal))
    summed: Summed = run(add, made=made, name=best, journal=str(journal))
    return summed


class Direct:
    """Runs each stage here and now."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return perform(stage, stage.bind(*args, **kwargs), self.yard, log=logging.getLogger("test")).outputs

    def ask(self, question: Callable[Concatenate[Yard, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return question(self.yard, *args, **kwargs)

    def note(self, found: Callable[Concatenate[Yard, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Nothing: there is no run in MLflow."""


def plan(
    home: Path, journal: Path, knobs: Knobs = PLAIN, *, until: str | None = None, force: frozenset[str] = NONE
) -> list[tuple[str, str]]:
    planner = Planner(yard_at(home, run="", force=force), until)
    with suppress(Reached):
        small(planner, journal, knobs)
    return [(line.label, line.state) for line in planner.plan]


def test_of_a_first_run_only_the_first_stage_is_certain(home: Path, journal: Path) -> None:
    assert plan(home, journal) == [("make", "run"), ("add twice", "wait"), ("add", "wait")]
    assert not journal.exists()


def test_a_stage_whose_stopped_attempt_left_checkpoints_is_planned_as_begun(home: Path, journal: Path) -> None:
    inputs = make.bind(PLAIN, journal=str(journal))
    folder = home / "work" / key_of(make.parts(inputs)) / "attempt" / "checkpoint"
    folder.mkdir(parents=True)

    def begun() -> list[str]:
        planner = Planner(yard_at(home, run=""))
        small(planner, journal)
        return [line.label for line in planner.plan if line.begun]

    assert begun() == []
    (folder / "state").write_text("so far")
    assert begun() == ["make"]


def test_a_planned_output_is_unknown(home: Path, journal: Path) -> None:
    found: object = small(Planner(yard_at(home)), journal)
    assert found is UNKNOWN


def test_after_a_run_everything_is_cached_with_its_seconds(home: Path, journal: Path) -> None:
    done = small(Direct(yard_at(home)), journal)
    planner = Planner(yard_at(home, run=""))
    assert small(planner, journal) == done
    assert planner.nothing_to_do
    assert [line.state for line in planner.plan] == ["cached"] * 3
    assert all(line.seconds is not None and line.key for line in planner.plan)
    assert set(planner.outputs) == {"make", "add twice", "add a"}


def test_a_cached_stage_is_planned_with_the_seconds_of_its_own_result(home: Path, journal: Path) -> None:
    slow = Knobs(seed=1, seconds=0.2)
    for knobs in (slow, PLAIN):
        small(Direct(yard_at(home)), journal, knobs)
    planner = Planner(yard_at(home, run=""))
    small(planner, journal, slow)
    (took,) = (line.seconds for line in planner.plan if line.label == "make")
    assert took is not None
    assert took >= slow.seconds, "the stage took less when it last ran, with other knobs"


def test_a_changed_input_or_a_forced_stage_is_planned_to_run(home: Path, journal: Path) -> None:
    small(Direct(yard_at(home)), journal)
    assert plan(home, journal, Knobs(seed=1))[0] == ("make", "run")
    assert plan(home, journal, force=frozenset({"add"})) == [("make", "cached"), ("add twice", "run"), ("add a", "run")]


@pytest.mark.parametrize(("until", "labels"), [("make", ["make"]), ("add", ["make", "add twice", "add"])])
def test_a_plan_ends_after_the_stage_that_was_named(home: Path, journal: Path, until: str, labels: list[str]) -> None:
    assert [label for label, _ in plan(home, journal, until=until)] == labels


@pytest.fixture
def in_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    with shared_server():
        yield


def task_runs_of(run: PrefectRun, journal: Path, knobs: Knobs = PLAIN) -> "list[TaskRun]":
    """Run the small flow in Prefect and return its task runs, the first first."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    @flow(name="small")
    def as_flow() -> None:
        with suppress(Reached):
            small(run, journal, knobs)

    state = as_flow(return_state=True)
    identity = state.state_details.flow_run_id
    assert identity is not None
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=[identity]))
        runs = sorted(client.read_task_runs(flow_run_filter=wanted), key=lambda one: str(one.expected_start_time))
    if state.is_failed():
        state.result()
    return runs


def flow_of(run: PrefectRun, journal: Path, knobs: Knobs = PLAIN) -> list[str]:
    """Run the small flow in Prefect and return the name and type of each task run's state."""
    runs = task_runs_of(run, journal, knobs)
    return [f"{one.name}: {one.state.name} ({one.state.type.value})" for one in runs if one.state]


class Told:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[Done[object]] = []

    def begins(self, label: str) -> None:
        self.begun.append(label)

    def ends(self, done: Done[object]) -> None:
        self.ended.append(done)


def test_prefect_shows_what_was_done_and_what_was_cached_as_it_was_planned(
    in_prefect: None, home: Path, journal: Path
) -> None:
    run = PrefectRun(yard_at(home))
    told = Told()
    run.watcher = told
    assert flow_of(run, journal) == [f"{label}: Completed (COMPLETED)" for label in ("make", "add twice", "add a")]
    assert [done.cached for done in run.done] == [False, False, False]
    assert (told.begun, told.ended) == (["make", "add twice", "add a"], run.done)

    assert [state for _, state in plan(home, journal)] == ["cached"] * 3
    again = PrefectRun(yard_at(home, run="r2"))
    assert flow_of(again, journal) == [f"{label}: Cached (COMPLETED)" for label in ("make", "add twice", "add a")]
    assert [done.outputs for done in again.done] == [done.outputs for done in run.done]

    forced = frozenset({"add"})
    planned = [state for _, state in plan(home, journal, force=forced)]
    third = PrefectRun(yard_at(home, run="r3", force=forced))
    flow_of(third, journal)
    assert ["cached" if done.cached else "run" for done in third.done] == planned == ["cached", "run", "run"]


def test_prefect_knows_from_which_stages_a_stage_has_its_inputs(in_prefect: None, home: Path, journal: Path) -> None:
    for run in (PrefectRun(yard_at(home)), PrefectRun(yard_at(home, run="all cached"))):
        runs = task_runs_of(run, journal)
        names = {one.id: one.name for one in runs}
        assert {
            one.name: sorted(names[source.id] for source in one.task_inputs.get("wait_for", []) if source.id in names)
            for one in runs
        } == {"make": [], "add twice": ["make"], "add a": ["make"]}


def test_a_run_ends_after_the_stage_that_was_named(in_prefect: None, home: Path, journal: Path) -> None:
    assert flow_of(PrefectRun(yard_at(home), until="make"), journal) == ["make: Completed (COMPLETED)"]


def test_a_run_ends_before_the_first_later_stage_though_the_named_one_has_no_work(home: Path) -> None:
    planner = Planner(yard_at(home), until="skipped", order=("skipped", "make"))
    with pytest.raises(Reached):
        planner(make, Knobs(), journal="")
    assert planner.plan == []


@pytest.mark.parametrize("retries", [0, 2])
def test_a_refusal_is_a_refusal_without_a_traceback_or_a_second_try(
    in_prefect: None, home: Path, journal: Path, caplog: pytest.LogCaptureFixture, retries: int
) -> None:
    from prefect import flow

    @flow(name="first")
    def first() -> None:
        """Prefect arranges its loggers at the first run of a process, and takes the handler below away."""

    first()
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(caplog.handler)
    run, refused = PrefectRun(yard_at(home)), []
    states = []

    @flow(name="small")
    def as_flow() -> None:
        try:
            run(replace(make, retries=retries), Knobs(refuses=True), journal=str(journal))
        except Refusal as refusal:
            refused.append(refusal)

    try:
        states.append(as_flow(return_state=True))
    finally:
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).removeHandler(caplog.handler)
    assert [str(one) for one in refused] == ["the data has no rows\n  to do:   add some"]
    assert len(journal.read_text().splitlines()) == 1
    text = caplog.text
    assert "the data has no rows" in text
    assert "Traceback" not in text
    assert "NoneType: None" not in text


def test_a_stage_that_fails_is_tried_again_as_often_as_it_says(
    in_prefect: None, home: Path, journal: Path, tmp_path: Path
) -> None:
    from prefect import flow

    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    for retries, attempts in ((0, 1), (2, 3)):
        journal.write_text("")

        @flow(name="small")
        def as_flow(retries: int = retries) -> None:
            PrefectRun(yard_at(home))(replace(make, retries=retries), Knobs(fails=str(obstacle)), journal=str(journal))

        state = as_flow(return_state=True)
        assert state.is_failed()
        with pytest.raises(RuntimeError, match="as it was told"):
            state.result()
        assert len(journal.read_text().splitlines()) == attempts


def test_a_label_with_braces_is_no_template(in_prefect: None, home: Path, journal: Path) -> None:
    from prefect import flow

    run = PrefectRun(yard_at(home))

    @flow(name="small")
    def as_flow() -> None:
        made: Made = run(make, Knobs(), journal=str(journal))
        run(add, made=made, name="{curly}", journal=str(journal))

    as_flow()
    assert [done.label for done in run.done] == ["make", "add {curly}"]


def test_a_training_is_halved_without_changing_its_steps() -> None:
    config = TrainConfig(batch_size=64, accumulate=3)
    inputs = smaller_batches({"config": config, "seed": 3})
    assert inputs == {"config": TrainConfig(batch_size=32, accumulate=6), "seed": 3}
    assert smaller_batches({"config": TrainConfig(batch_size=33)}) is None
    assert smaller_batches({"config": TrainConfig(batch_size=2)}) is None
    assert smaller_batches({"config": TrainConfig(batch_size=6, distributed=DDP(processes=4))}) is None
    assert smaller_batches({"config": 3}) is None
    assert smaller_batches({}) is None
