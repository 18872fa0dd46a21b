"""Two ways to go through a flow: run its stages as Prefect tasks, or only plan them.

The same flow function serves both, so a plan can't disagree with the run that follows.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast

from components.errors import Refusal
from components.memory import short_memory
from components.planning.nested import nested
from components.planning.unknown import UNKNOWN, has_unknown
from components.training.config import TrainConfig
from components.workers import Worker, Workers
from tasks.perform import Done, begun, find, perform, stand_in
from tasks.remote.call import perform_elsewhere
from tasks.stage import Inputs, Stage, Yard
from tasks.tracking.away import patient
from tasks.until import Reached

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """What a flow calls its stages through."""

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the outputs of the stage for these inputs."""

    def ask(self, question: Callable[Concatenate[Yard, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the answer of a quick question to the ledger or the registry."""

    def note(self, found: Callable[Concatenate[Yard, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Write down in MLflow what the run found, where there is a run."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One line of a plan.

    `seconds` is what the stage took when it last ran, None where it never did. `begun`: a stopped run left checkpoints.
    """

    stage: str
    label: str
    state: Literal["cached", "run", "wait"]  # wait: it will run, or be cached, depending on the stages before it
    key: str
    seconds: float | None
    begun: bool = False


@dataclass(slots=True)
class Planner:
    """Goes through a flow without running anything."""

    yard: Yard
    until: str | None = None
    order: tuple[str, ...] = ()  # the names of the flow's stages
    plan: list[Planned] = field(default_factory=list)
    outputs: dict[str, object] = field(default_factory=dict)  # by label, of the cached stages
    libraries: frozenset[str] = frozenset()  # that decide the results of the stages that will run

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Note what would become of the stage."""
        _stop_after(self.until, stage.name, [line.stage for line in self.plan], self.order)
        inputs = stage.bind(*args, **kwargs)
        label = stage.label(inputs)
        unknown = has_unknown(inputs)
        done = None if unknown else find(stage, inputs, self.yard)
        if done is None:
            goes_on = not unknown and begun(stage, inputs, self.yard)
            self._note(stage.name, label, "wait" if unknown else "run", "", begun=goes_on)
            self.libraries |= set(stage.libraries)
            return cast(R, UNKNOWN)
        self._note(stage.name, label, "cached", done.key, seconds=None if stage.settled else done.seconds)
        self.outputs[label] = done.outputs
        return done.outputs

    def ask(self, question: Callable[Concatenate[Yard, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask, unless what is asked about is unknown."""
        return cast(R, UNKNOWN) if has_unknown([args, kwargs]) else question(self.yard, *args, **kwargs)

    def note(self, found: Callable[Concatenate[Yard, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Nothing: a plan is no run."""

    @property
    def uses(self) -> list[tuple[str, str]]:
        """The label and the key of each recorded result that the plan takes."""
        return [(line.label, line.key) for line in self.plan if line.state == "cached" and line.key != line.stage]

    @property
    def nothing_to_do(self) -> bool:
        """Whether every stage is cached."""
        return all(line.state == "cached" for line in self.plan)

    def _note(
        self,
        stage: str,
        label: str,
        state: Literal["cached", "run", "wait"],
        key: str,
        *,
        seconds: float | None = None,
        begun: bool = False,
    ) -> None:
        if seconds is None:
            past = self.yard.ledger.history(self.yard.model, label, limit=1)
            seconds = past[0].seconds if past else None
        self.plan.append(Planned(stage, label, state, key, seconds, begun))


class Watcher(Protocol):
    """Is told of the stages of a run."""

    def begins(self, label: str) -> None:
        """The stage is looked up, and worked at if need be."""

    def ends(self, done: Done[object]) -> None:
        """The stage is done."""


@dataclass(slots=True)
class PrefectRun:
    """Runs each stage as a task of the Prefect flow that it is used in, in this process and thread."""

    yard: Yard
    until: str | None = None
    order: tuple[str, ...] = ()  # the names of the flow's stages
    workers: Workers = field(default_factory=Workers)  # of the stages that run elsewhere
    watcher: Watcher | None = None
    done: list[Done[object]] = field(default_factory=list)
    states: "list[State[Any]]" = field(default_factory=list)  # of what is done, in Prefect

    def __call__(self, stage: Stage[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the stage, or take its recorded outputs; in Prefect the latter is Completed and named Cached."""
        _stop_after(self.until, stage.name, [line.stage for line in self.done], self.order)
        inputs = stage.bind(*args, **kwargs)
        if self.watcher:
            self.watcher.begins(stage.label(inputs))
        done, state = _as_prefect_task(
            stage, inputs, self.yard, worker=self.workers.of(stage.name), after=list(self._sources(inputs))
        )
        self.done.append(cast(Done[object], done))
        self.states.append(state)
        if self.watcher:
            self.watcher.ends(cast(Done[object], done))
        return done.outputs

    def ask(self, question: Callable[Concatenate[Yard, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask the ledger, and MLflow's server, which is waited for where it is away."""
        return patient(lambda: question(self.yard, *args, **kwargs), say=self.yard.tracker.say)

    def note(self, found: Callable[Concatenate[Yard, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Write it down; where MLflow's server is away, when it is back."""
        patient(lambda: found(self.yard, *args, **kwargs), say=self.yard.tracker.say)

    def _sources(self, value: object) -> "Iterator[State[Any]]":
        """Yield the states of the stages whose outputs the value holds: what Prefect draws arrows from."""
        inner = nested(value)
        for done, state in zip(self.done, self.states, strict=True):
            if value is done.outputs and inner:  # None, an int or () may be the same and come from elsewhere
                yield state
                return
        for part in inner:
            yield from self._sources(part)


def _stop_after(until: str | None, stage: str, past: list[str], order: tuple[str, ...]) -> None:
    """Raise Reached before the first stage that comes after `until`, whether or not `until` itself had work."""
    if until is None:
        return
    if order.index(stage) > order.index(until) if order else stage != until and until in past:
        raise Reached(until)


def _performed(
    stage: Stage[P, R], inputs: Inputs, yard: Yard, *, worker: Worker | None, log: logging.Logger
) -> Done[R]:
    """Have the stage done, here or on a worker; once more with smaller batches where a GPU was too small for it.

    What was done so counts as what was asked for: else every later run would run out of memory again to find it.
    """

    def done(given: Inputs) -> Done[R]:
        if stage.settled is not None:  # it changes the registry
            return patient(lambda: perform(stage, given, yard, log=log), say=yard.tracker.say)
        if worker is None:
            return perform(stage, given, yard, log=log)
        return perform_elsewhere(stage, given, yard, worker=worker, log=log)

    try:
        return done(inputs)
    except Exception as error:
        smaller = smaller_batches(inputs) if short_memory(error) == "GPU" else None
        if smaller is None:
            raise
    # Not in the block above: as long as the error is there, so is all that its frames hold on the GPU.
    said = f"{stage.label(inputs)}: out of GPU memory: once more with half the batch, and twice as many to a step"
    log.warning(said)
    yard.tracker.say(f"{'':10}{said}")
    return stand_in(done(smaller), stage, inputs, yard)


def _as_prefect_task(
    stage: Stage[P, R], inputs: Inputs, yard: Yard, *, worker: Worker | None, after: "Sequence[State[Any]]"
) -> "tuple[Done[R], State[Any]]":
    from prefect import get_run_logger, task
    from prefect.cache_policies import NO_CACHE
    from prefect.client.schemas.objects import State
    from prefect.states import Completed, Failed

    finished: list[Done[R]] = []
    refused: list[Refusal] = []

    def body() -> State[None]:
        logger = cast(logging.Logger, get_run_logger())
        try:
            done = _performed(stage, inputs, yard, worker=worker, log=logger)
        except Refusal as refusal:  # input that a person can mend: no traceback, and no second try
            refused.append(refusal)
            return Failed(message=str(refusal))
        finished.append(done)
        logger.info("%s: %s", done.label, "cached" if done.cached else f"{done.seconds:.1f} s")
        return Completed(name="Cached" if done.cached else "Completed")

    prefect_task = task(
        name=stage.name,
        task_run_name=stage.label(inputs).replace("{", "{{").replace("}", "}}"),  # Prefect takes it for a template
        retries=max(stage.retries, 1),  # Prefect logs a traceback where none is left: the condition ends them quietly
        retry_condition_fn=lambda _task, _run, _state: not refused and stage.retries > 0,
        cache_policy=NO_CACHE,  # the stage cache is ours: docs/decisions/
        persist_result=False,
    )(body)
    state = prefect_task(return_state=True, wait_for=after)
    if refused:
        raise refused[0]
    if not finished:
        state.result()  # raises what went wrong
    return finished[-1], state


def smaller_batches(inputs: Inputs) -> Inputs | None:
    """Return the inputs of a training with half the batch and as large a step, None where there is no such half."""
    config = inputs.get("config")
    if not isinstance(config, TrainConfig) or config.halved is None:
        return None
    return {**inputs, "config": config.halved}
