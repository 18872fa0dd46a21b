"""The record of runs. Training never waits for it and never dies of it: `sending.py` has the figures.

What needs an answer (a version, the champion's alias) waits for a server that went away: `away.py`.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from components.home import Home
from components.recipe_file import without_secrets
from tasks.tracking.away import denials_refused, made_once
from tasks.tracking.connecting import Client, client_here, connect
from tasks.tracking.sending import BATCH, Point, Sender, unsent
from tasks.until import Reached

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)
LEDGER = "steelyard.ledger"  # a tag of runs
BEGUN = "steelyard.begun"  # a tag of runs: by it one is found whose beginning wasn't answered
EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
LAST_FLUSH_SECONDS = 20.0
END = "unsent-end.json"  # how a run ended, where the server wasn't told
Status = Literal["FINISHED", "FAILED", "KILLED"]
Known: TypeAlias = dict[str, set[tuple[float, int]]]  # values and steps of each name that a run has already


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A data set that a run read."""

    name: str
    digest: str  # at most 36 characters, MLflow's limit
    source: Mapping[str, str]
    context: str  # train, validation or test


@dataclass(frozen=True, slots=True)
class Live:
    """The figures of a run, on their way to MLflow."""

    sender: Sender

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Queue the values. Returns at once, whatever the server does."""
        now = int(time.time() * 1000)
        self.sender.put((_allowed(name), float(value), now, step) for name, value in values.items())


@dataclass(slots=True)
class Tracking:
    """One parent run of MLflow, and what sends its live figures."""

    client: "Client"
    run_id: str
    experiment_id: str
    live: Live | None = None  # None: of a run that is only added to

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Queue the values. Returns at once, whatever the server does."""
        if self.live is not None:
            self.live.metrics(values, step=step)

    def params(self, values: Mapping[str, str]) -> None:
        """Record parameters, cut to the length that MLflow takes."""
        from mlflow.entities import Param

        params = [Param(key, value[:6000]) for key, value in zip(_keys(values), values.values(), strict=True)]
        with denials_refused():
            for start in range(0, len(params), 100):
                self.client.log_batch(self.run_id, params=params[start : start + 100])

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in values.items()])

    def inputs(self, inputs: Sequence[Input]) -> None:
        """Record the data sets that the run reads."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self.client.log_inputs(
            self.run_id,
            datasets=[
                DatasetInput(
                    Dataset(one.name, one.digest, "steelyard", json.dumps(dict(one.source))),
                    [InputTag("mlflow.data.context", one.context)],
                )
                for one in inputs
            ],
        )

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Record a file."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def child(self, name: str, *, params: Mapping[str, str], metrics: Mapping[str, float]) -> None:
        """Record a finished child run, unless it is there from an attempt that was broken off later."""
        from mlflow.entities import Metric, Param, RunTag

        told, run = self._child_of(name)
        if told:
            return
        now = int(time.time() * 1000)
        self.client.log_batch(
            run,
            metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            params=[Param(key, value[:6000]) for key, value in params.items()],
            tags=[RunTag("steelyard.candidate", name)],
        )
        self.client.set_terminated(run)

    def _child_of(self, name: str) -> tuple[bool, str]:
        """Return whether a child of that name is finished, and its id; it is made where there is none."""

        def find() -> "Run | None":
            children = self.client.search_runs([self.experiment_id], f"tags.`mlflow.parentRunId` = '{self.run_id}'")
            return next((one for one in children if one.info.run_name == name), None)

        def make() -> "Run":
            tags = {"mlflow.parentRunId": self.run_id, "mlflow.runName": name}
            return self.client.create_run(self.experiment_id, run_name=name, tags=tags)

        child = find() or made_once(make, find=find)
        return child.info.status == "FINISHED", str(child.info.run_id)

    def flush(self) -> None:
        """Send what is queued, for a limited time."""
        if self.live is not None:
            self.live.sender.finish(LAST_FLUSH_SECONDS)

    def end(self, status: Status) -> None:
        """Send what is queued, and end the run. Where MLflow doesn't take that, a later run of the home says it."""
        self.flush()
        try:
            self.client.set_terminated(self.run_id, status)
        except Exception as error:
            log.warning("MLflow didn't take the end of the run: %s", without_secrets(str(error)))
            if self.live is not None:
                _write_end(self.live.sender.file.with_name(END), status)


def _write_end(file: Path, status: Status) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([status, int(time.time() * 1000)]), "utf-8")
    except OSError as error:  # a full disk: the run's own writes say so
        log.warning("nor can it be written beside the run: %s", error)


def _live(client: "Callable[[], Client]", home: Home, run_id: str, *, file: str, known: Known | None = None) -> Live:
    """Return what sends the figures of a run, and then what earlier processes of the home have left.

    `known` is for a run that others may have added the same to; None: there is nobody else.
    """
    place = home.runs / run_id / file

    def send(points: Sequence[Point]) -> None:
        _log(client(), run_id, points if known is None else _missing(client(), run_id, points, known))

    def then() -> None:
        _send_left(client(), home, but=place)
        if known is not None:
            known.clear()  # there may be more now

    sender = Sender(send=send, file=place, then=then)
    sender.start()
    return Live(sender)


def _missing(client: "Client", run_id: str, points: Sequence[Point], known: Known) -> list[Point]:
    """Return the points that aren't there: a stage that was taken up again does some epochs twice, at other times."""
    for name in {name for name, *_ in points} - known.keys():
        known[name] = {(one.value, one.step) for one in client.get_metric_history(run_id, name)}
    return [point for point in points if (point[1], point[3]) not in known[point[0]]]


def _log(client: "Client", run_id: str, points: Sequence[Point]) -> None:
    from mlflow.entities import Metric

    for start in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=[Metric(*point) for point in points[start : start + BATCH]])


def _send_left(client: "Client", home: Home, *, but: Path) -> None:
    """Send what processes left that ended while the server was away. What isn't taken, as of another server, stays."""
    for one in unsent(home.runs, but=but):
        try:
            _log(client, one.run, _missing(client, one.run, one.points, {}))
            one.file.unlink(missing_ok=True)
        except Exception as error:
            log.info("MLflow doesn't take the figures in %s: %s", one.file, error)
    for file in home.runs.glob(f"*/{END}"):
        try:
            status, at = json.loads(file.read_text("utf-8"))
            client.set_terminated(file.parent.name, status, end_time=at)
            file.unlink(missing_ok=True)
        except Exception as error:
            log.info("MLflow doesn't take the end in %s: %s", file, error)


@contextmanager
def tracked(
    client: "Client", home: Home, *, model: str, run_name: str, artifacts: str | None, ledger: str = ""
) -> Iterator[Tracking]:
    """Open a parent run; it ends as finished, failed, or killed by the user.

    `artifacts` is the address below which an experiment that is new keeps its own; None: where the server likes.
    `ledger` is the identity of the one that knows whether the run lives.
    """
    with denials_refused():
        experiment = _experiment(client, model, artifacts=artifacts)
        run_id = _begun(client, experiment, run_name, ledger=ledger)
    tracking = Tracking(client, run_id, experiment, _live(lambda: client, home, run_id, file="unsent.jsonl"))
    status: Status = "FAILED"
    try:
        yield tracking
        status = "FINISHED"
    except Reached:
        status = "FINISHED"
        raise
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        tracking.end(status)


@contextmanager
def joined(home: Home, run_id: str, *, uri: str | None) -> Iterator[Live]:
    """Open a run that another process began and will end, to add figures to it. The server may be away meanwhile.

    MLflow takes seconds to load: that is done by the thread that sends, once there are figures.
    """
    client = cache(partial(connect, home, uri=uri, ask=False))
    live = _live(client, home, run_id, file=f"unsent-{uuid.uuid4().hex}.jsonl", known={})
    try:
        yield live
    finally:
        live.sender.finish(LAST_FLUSH_SECONDS)


def existing(run_id: str) -> Tracking:
    """Return a run that is there already, to add to it."""
    client = client_here()
    run = client.get_run(run_id)
    return Tracking(client, run_id, run.info.experiment_id)


def _experiment(client: "Client", model: str, *, artifacts: str | None) -> str:
    """Return the experiment of the model; of several who make it at once, one does."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(model)) is not None:
        return str(found.experiment_id)
    place = None if artifacts is None else f"{artifacts}/{model}"
    try:
        return str(client.create_experiment(model, artifact_location=place, tags=EXPERIMENT))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or not (found := client.get_experiment_by_name(model)):
            raise
        return str(found.experiment_id)


def _begun(client: "Client", experiment: str, name: str, *, ledger: str) -> str:
    """Begin a parent run, and return its id."""
    token = uuid.uuid4().hex

    def make() -> "Run":
        return client.create_run(experiment, run_name=name, tags={LEDGER: ledger, BEGUN: token})

    def find() -> "Run | None":
        return next(iter(client.search_runs([experiment], f"tags.`{BEGUN}` = '{token}'")), None)

    return str(made_once(make, find=find).info.run_id)


def _allowed(name: str) -> str:
    """Return the name with only characters that MLflow takes in any place of a key."""
    return "".join(letter if letter.isalnum() or letter in "_-. :" else "_" for letter in name)[:240]


def _keys(names: Iterable[str]) -> Iterator[str]:
    """Yield a key for each name; those that MLflow has alike are numbered."""
    taken: set[str] = set()
    for plain in map(_allowed, names):
        numbered = (f"{plain} {number}" for number in count(2))
        key = next(one for one in chain([plain], numbered) if one not in taken)
        taken.add(key)
        yield key
