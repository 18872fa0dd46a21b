"""The way to MLflow: the server that is set, or the database in the home, made where there is none."""

import atexit
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakSet

from components.database.whole import check_database
from components.errors import refuse
from components.home import Home
from tasks.tracking.away import asked_briefly, denials_refused
from tasks.tracking.moved import follow

if TYPE_CHECKING:
    from mlflow import MlflowClient

Client: TypeAlias = "MlflowClient"
PROBES = "steelyard doctor"  # the experiment of runs that only look whether there can be one
PROBE_SECONDS = 10  # for each of its answers


def connect(home: Home, *, uri: str | None = None, ask: bool = True) -> "Client":
    """Return a client: of the server at `uri`, or of the SQLite database in the home, made ready if it is new.

    Raises:
        Refusal: it denies us, or doesn't answer; without `ask` that is left open.
    """
    _quiet()
    own = uri is None
    uri = uri or home.mlflow_uri
    if uri.startswith("sqlite"):
        _close_at_the_end()
    if own:
        check(home)
        make_ready(home)
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    if not ask:
        return client
    with _outdated_refused(home) if own else denials_refused():
        client.search_experiments(max_results=1)
    return client


def make_ready(home: Home) -> None:
    """Make MLflow's database in the home where there is none: whole, or not at all, by one process of several.

    One that is there is told where its artifacts are, in case that the home was moved.
    """
    database, fresh = home.mlflow_db, home.mlflow_db.with_name("mlflow.new.db")
    if database.exists():
        follow(home)
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


@cache
def _close_at_the_end() -> None:
    """Close MLflow's databases when this process ends: SQLite then takes in what lies beside the file."""
    from sqlalchemy import event
    from sqlalchemy.engine import Connection, Engine

    engines: WeakSet[Engine] = WeakSet()

    def noted(connection: Connection) -> None:
        engines.add(connection.engine)

    def closed() -> None:
        for engine in engines:
            engine.dispose()

    event.listen(Engine, "engine_connect", noted)
    atexit.register(closed)


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
    """Return a client of what `connect` has connected to, or of what the environment names."""
    _quiet()
    import mlflow

    return mlflow.MlflowClient()


def check(home: Home) -> None:
    """Refuse a damaged database before anything is run."""
    do = "put a backup in its place; without one, move it away: the next run begins with version 1 again, "
    do += "and the files of the versions before stay beside it"
    check_database(home.mlflow_db, name="MLflow's", do=do)


def probe(home: Home, *, uri: str | None) -> None:
    """Create a run, read it and delete it. Raises Refusal where that fails, or an answer is long in coming."""
    with asked_briefly(retries=1, seconds=PROBE_SECONDS):
        client = connect(home, uri=uri)
        with denials_refused():
            found = client.get_experiment_by_name(PROBES)
            experiment = client.create_experiment(PROBES) if found is None else str(found.experiment_id)
            run = client.create_run(experiment).info.run_id
            client.get_run(run)
            client.delete_run(run)
