"""The record of runs, in MLflow. Training never waits for it and never dies of it: `tasks/sending.py` has the figures.

What needs an answer (a version, the champion's alias) waits for a server that went away: `tasks/away.py`.
"""

import fcntl
import json
import logging
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from components.database.whole import check_database
from components.errors import refuse
from components.home import Home
from components.recipe_file import without_secrets
from tasks.away import denials_refused
from tasks.runner import Reached
from tasks.sending import BATCH, Point, Sender, unsent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Client: TypeAlias = "MlflowClient"
log = logging.getLogger(__name__)
LEDGER = "steelyard.ledger"  # a tag of runs
PROBES = "steelyard doctor"  # the experiment of runs that only look whether there can be one
LAST_FLUSH_SECONDS = 20.0
END = "unsent-end.json"  # how a run ended, where the server wasn't told
Status = Literal["FINISHED", "FAILED", "KILLED"]


def connect(home: Home, *, uri: str | None = None, ask: bool = True) -> "Client":
    """Return a client: of the server at `uri`, or of the SQLite database in the home, made ready if it is new.

    Raises:
        Refusal: it denies us, or doesn't answer; without `ask` that is left open.
    """
    _quiet()
    own = uri is None
    if uri is None:
        check(home)
        make_tables(home)
        uri = home.mlflow_uri
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    if not ask:
        return client
    with _outdated_refused(home) if own else denials_refused():
        client.search_experiments(max_results=1)
    return client


def make_tables(home: Home) -> None:
    """Make MLflow's database in the home where there is none: whole, or not at all, by one process of several."""
    database, fresh = home.mlflow_db, home.mlflow_db.with_name("mlflow.new.db")
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name("mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if database.exists():
            return
        fresh.unlink(missing_ok=True)  # of a process that was killed
        _quiet()
        import mlflow

        uri = home.mlflow_uri.removesuffix(database.name) + fresh.name
        mlflow.MlflowClient(tracking_uri=uri).search_experiments(max_results=1)  # makes the tables, some 3 seconds
        with closing(sqlite3.connect(fresh, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        fresh.rename(database)


@contextmanager
def _outdated_refused(home: Home) -> Iterator[None]:
    """Refuse a database whose tables aren't those of this MLflow: of another version, or left half made."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if "schema" not in str(error):
            raise
        what, do = "MLflow's database has the tables of another version", "copy it, then run: mlflow db upgrade URI, "
        do += "with the URI that `steelyard doctor` shows; or move it away to begin a new one"
        raise refuse(what, where=str(home.mlflow_db), do=do) from error


def _quiet() -> None:
    """Keep MLflow from telling more than its results. It reads the variables when it is imported."""
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
    }
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback of what it raises anyway
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # it asks for pip, which uv leaves out


def client_here() -> "Client":
    """Return a client of what `connect` has connected to."""
    import mlflow

    return mlflow.MlflowClient()


def check(home: Home) -> None:
    """Refuse a damaged database before anything is run."""
    do = "put a backup in its place, or move it away to begin a new one; the artifacts beside it are untouched"
    check_database(home.mlflow_db, name="MLflow's", do=do)


def probe(home: Home, *, uri: str | None) -> None:
    """Create a run, read it and delete it. Raises Refusal where that fails."""
    client = connect(home, uri=uri)
    with denials_refused():
        found = client.get_experiment_by_name(PROBES)
        experiment = client.create_experiment(PROBES) if found is None else str(found.experiment_id)
        run = client.create_run(experiment).info.run_id
        client.get_run(run)
        client.delete_run(run)


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A data set that a run read."""

    name: str
    digest: str  # at most 36 characters, MLflow's limit
    source: Mapping[str, str]
    context: str  # train, validation or test


@dataclass(slots=True)
class Tracking:
    """One parent run of MLflow, and what sends its live figures."""

    client: "Client"
    run_id: str
    experiment_id: str
    live: "Live | None" = None  # None: of a run that is only added to

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Queue the values. Returns at once, whatever the server does."""
        if self.live is not None:
            self.live.metrics(values, step=step)

    def params(self, values: Mapping[str, str]) -> None:
        """Record parameters, cut to the length that MLflow takes."""
        from mlflow.entities import Param

        params = [Param(_allowed(name), value[:6000]) for name, value in values.items()]
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
            metrics=[Metric(_allowed(key), value, now, 0) for key, value in metrics.items()],
            params=[Param(_allowed(key), value[:6000]) for key, value in params.items()],
            tags=[RunTag("steelyard.candidate", name)],
        )
        self.client.set_terminated(run)

    def _child_of(self, name: str) -> tuple[bool, str]:
        """Return whether a child of that name is finished, and its id; it is made where there is none."""
        children = self.client.search_runs([self.experiment_id], f"tags.`mlflow.parentRunId` = '{self.run_id}'")
        if found := [one for one in children if one.info.run_name == name]:
            return found[0].info.status == "FINISHED", str(found[0].info.run_id)
        tags = {"mlflow.parentRunId": self.run_id, "mlflow.runName": name}
        made = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        return False, str(made.info.run_id)

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


@dataclass(frozen=True, slots=True)
class Live:
    """The figures of a run, on their way to MLflow."""

    sender: Sender

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Queue the values. Returns at once, whatever the server does."""
        now = int(time.time() * 1000)
        self.sender.put((_allowed(name), float(value), now, step) for name, value in values.items())


def _live(client: "Callable[[], Client]", home: Home, run_id: str, *, file: str) -> Live:
    """Return what sends the figures of a run, and then what earlier processes of the home have left."""
    place = home.runs / run_id / file
    sender = Sender(
        send=lambda points: _log(client(), run_id, points),
        file=place,
        then=lambda: _send_left(client(), home, but=place),
    )
    sender.start()
    return Live(sender)


def _log(client: "Client", run_id: str, points: Sequence[Point]) -> None:
    from mlflow.entities import Metric

    for start in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=[Metric(*point) for point in points[start : start + BATCH]])


def _send_left(client: "Client", home: Home, *, but: Path) -> None:
    """Send what processes left that ended while the server was away. What isn't taken, as of another server, stays."""
    for one in unsent(home.runs, but=but):
        try:
            _log(client, one.run, one.points)
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
        run_id = str(client.create_run(experiment, run_name=run_name, tags={LEDGER: ledger}).info.run_id)
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
    live = _live(client, home, run_id, file=f"unsent-{uuid.uuid4().hex}.jsonl")
    try:
        yield live
    finally:
        live.sender.finish(LAST_FLUSH_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """A run without an end."""

    run_id: str
    parent: str  # the run whose lease tells whether it lives: itself, unless it is a child
    name: str
    model: str
    began: float  # seconds since 1970


def open_runs(client: "Client", ledger: str) -> list[Open]:
    """Return the runs without an end that were begun under that ledger, and their children."""
    found = []
    experiments = {str(one.experiment_id): one.name for one in client.search_experiments()}
    for run in _running(client, list(experiments)):
        parent = run.data.tags.get("mlflow.parentRunId", "")
        tags = client.get_run(parent).data.tags if parent else run.data.tags
        if tags.get(LEDGER) == ledger:
            info = run.info
            model, began = experiments[str(info.experiment_id)], info.start_time / 1000
            name = info.run_name or ""
            found.append(Open(run_id=info.run_id, parent=parent or info.run_id, name=name, model=model, began=began))
    return found


def _running(client: "Client", experiments: list[str]) -> "Iterator[Run]":
    token = None
    while experiments:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def began(client: "Client", run_id: str) -> float:
    """Return when a run began, in seconds since 1970: 0 where MLflow doesn't know it."""
    from mlflow.exceptions import MlflowException

    try:
        return float(client.get_run(run_id).info.start_time) / 1000
    except MlflowException:
        return 0.0


def end_open(client: "Client", run_id: str) -> bool:
    """Mark a run as killed, unless it has ended meanwhile: False."""
    if client.get_run(run_id).info.status != "RUNNING":
        return False
    client.set_terminated(run_id, "KILLED")
    return True


def existing(run_id: str) -> Tracking:
    """Return a run that is there already, to add to it."""
    client = client_here()
    run = client.get_run(run_id)
    return Tracking(client, run_id, run.info.experiment_id)


def _experiment(client: "Client", model: str, *, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(model)
    if found is not None:
        return str(found.experiment_id)
    place = None if artifacts is None else f"{artifacts}/{model}"
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(model, artifact_location=place, tags=tags))


def _allowed(name: str) -> str:
    """Return the name with only characters that MLflow takes in a key."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in name)[:250]
