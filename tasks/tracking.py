"""The record of runs, in MLflow.

Training never waits for MLflow and never dies of it: figures go through a queue to a thread that sends them in
batches, and what could not be sent lies in a file beside the run.
"""

import fcntl
import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from components.database.whole import check_database
from components.errors import refuse
from components.home import Home
from components.recipe_file import without_secrets
from tasks.runner import Reached

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Client: TypeAlias = "MlflowClient"
log = logging.getLogger(__name__)
LEDGER = "steelyard.ledger"  # a tag of runs
PROBES = "steelyard doctor"  # the experiment of runs that only look whether there can be one
BATCH = 1000  # metrics, the most that MLflow takes at once
FLUSH_SECONDS = 2.0
LAST_FLUSH_SECONDS = 20.0
Status = Literal["FINISHED", "FAILED", "KILLED"]


def connect(home: Home, *, uri: str | None = None) -> "Client":
    """Return a client: of the server at `uri`, or of the SQLite database in the home, made ready if it is new."""
    _quiet()
    own = uri is None
    if uri is None:
        check(home)
        make_tables(home)
        uri = home.mlflow_uri
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    with _outdated_refused(home) if own else _denials_refused():
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
    with _denials_refused():
        found = client.get_experiment_by_name(PROBES)
        experiment = client.create_experiment(PROBES) if found is None else str(found.experiment_id)
        run = client.create_run(experiment).info.run_id
        client.get_run(run)
        client.delete_run(run)


@contextmanager
def _denials_refused() -> Iterator[None]:
    """Turn what a server elsewhere answers instead of doing as it is asked into a Refusal."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        do = "check its address, the login (with `inherit`: MLFLOW_TRACKING_USERNAME and _PASSWORD) and its rights"
        raise refuse(without_secrets(f"MLflow denies it: {error.message}"), do=do) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """A data set that a run read."""

    name: str
    digest: str  # at most 36 characters, MLflow's limit
    source: Mapping[str, str]
    context: str  # train, validation or test


@dataclass(slots=True)
class Tracking:
    """One parent run of MLflow, and the queue of its live figures."""

    client: "Client"
    run_id: str
    experiment_id: str
    spill: Path
    _queue: "queue.SimpleQueue[Metric | None]" = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Queue the values. Returns at once, whatever the server does."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in values.items():
            self._queue.put(Metric(_allowed(name), float(value), now, step))

    def params(self, values: Mapping[str, str]) -> None:
        """Record parameters, cut to the length that MLflow takes."""
        from mlflow.entities import Param

        params = [Param(_allowed(name), value[:6000]) for name, value in values.items()]
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
        """Record a finished child run."""
        from mlflow.entities import Metric, Param, RunTag

        tags = {"mlflow.parentRunId": self.run_id, "mlflow.runName": name}
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags)
        now = int(time.time() * 1000)
        self.client.log_batch(
            run.info.run_id,
            metrics=[Metric(_allowed(key), value, now, 0) for key, value in metrics.items()],
            params=[Param(_allowed(key), value[:6000]) for key, value in params.items()],
            tags=[RunTag("steelyard.candidate", name)],
        )
        self.client.set_terminated(run.info.run_id)

    def start(self) -> None:
        """Start sending."""
        self._thread = threading.Thread(target=self._send, daemon=True, name="mlflow metrics")
        self._thread.start()

    def flush(self) -> None:
        """Send what is queued, for a limited time."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(LAST_FLUSH_SECONDS)

    def end(self, status: Status) -> None:
        """Send what is queued, and end the run."""
        self.flush()
        try:
            self.client.set_terminated(self.run_id, status)
        except Exception as error:
            log.warning("MLflow didn't take the end of the run: %s", error)

    def _send(self) -> None:
        waiting: list[Metric] = []
        ended = False
        while not ended or waiting:
            ended = self._collect(waiting) or ended
            try:
                for start in range(0, len(waiting), BATCH):
                    self.client.log_batch(self.run_id, metrics=waiting[start : start + BATCH])
            except Exception as error:
                log.warning("MLflow doesn't take figures (%s): they are kept and sent again", error)
                self._spill(waiting)
                if ended:
                    return
                time.sleep(FLUSH_SECONDS)
                continue
            waiting.clear()

    def _collect(self, waiting: "list[Metric]") -> bool:
        """Move queued figures to the list, for as long as a flush lasts. True: the end was reached."""
        until = time.monotonic() + FLUSH_SECONDS
        while (left := until - time.monotonic()) > 0 and len(waiting) < BATCH:
            try:
                metric = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if metric is None:
                return True
            waiting.append(metric)
        return False

    def _spill(self, waiting: "list[Metric]") -> None:
        lines = [json.dumps([m.key, m.value, m.timestamp, m.step]) for m in waiting]
        try:
            self.spill.parent.mkdir(parents=True, exist_ok=True)
            self.spill.write_text("\n".join(lines) + "\n", "utf-8")
        except OSError as error:  # a full disk: the run's own writes say so
            log.warning("figures can't be written beside the run either: %s", error)


@contextmanager
def tracked(
    client: "Client", home: Home, *, model: str, run_name: str, artifacts: str | None, ledger: str = ""
) -> Iterator[Tracking]:
    """Open a parent run; it ends as finished, failed, or killed by the user.

    `artifacts` is the address below which an experiment that is new keeps its own; None: where the server likes.
    `ledger` is the identity of the one that knows whether the run lives.
    """
    experiment = _experiment(client, model, artifacts=artifacts)
    run = client.create_run(experiment, run_name=run_name, tags={LEDGER: ledger})
    tracking = Tracking(client, run.info.run_id, experiment, home.runs / run.info.run_id / "unsent-metrics.jsonl")
    tracking.start()
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
def joined(home: Home, run_id: str) -> Iterator[Tracking]:
    """Open a run that another process began and will end, to add figures to it."""
    tracking = Tracking(client_here(), run_id, "", home.runs / run_id / f"unsent-metrics-{os.getpid()}.jsonl")
    tracking.start()
    try:
        yield tracking
    finally:
        tracking.flush()


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
    return Tracking(client, run_id, run.info.experiment_id, Path())


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
