"""The only file that imports MLflow: the record of runs, and the registry of models.

Training never waits for MLflow and never dies of it: figures go through a queue to a thread that sends them in
batches, and what could not be sent lies in a file beside the run.
"""

import json
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from components.errors import refuse
from components.home import Home
from components.recipe_file import public_source

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.models import Model, ModelSignature

    from components.recipe import Recipe
    from tasks.export import Exported
    from tasks.profile import Profiled
    from tasks.select import Selected
    from tasks.split import Splits

Client: TypeAlias = "MlflowClient"
log = logging.getLogger(__name__)
BATCH = 1000  # metrics, the most that MLflow takes at once
FLUSH_SECONDS = 2.0
LAST_FLUSH_SECONDS = 20.0
CHAMPION = "champion"
Status = Literal["FINISHED", "FAILED", "KILLED"]


def connect(home: Home, *, uri: str | None = None) -> "Client":
    """Return a client: of the server at `uri`, or of the SQLite database in the home, made ready if it is new."""
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if uri is None:
        home.mlflow_db.parent.mkdir(parents=True, exist_ok=True)
        check(home)
        uri = home.mlflow_uri
    import mlflow

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    client.search_experiments(max_results=1)  # makes or migrates the tables
    if uri.startswith("sqlite"):
        with closing(sqlite3.connect(home.mlflow_db, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    return client


def client_here() -> "Client":
    """Return a client of what `connect` has connected to."""
    import mlflow

    return mlflow.MlflowClient()


def check(home: Home) -> None:
    """Refuse a damaged database before anything is run."""
    if not home.mlflow_db.exists():
        return
    try:
        with closing(sqlite3.connect(home.mlflow_db, timeout=60)) as connection:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise refuse(
            f"MLflow's database is damaged ({verdict})",
            where=str(home.mlflow_db),
            do="put a backup in its place, or move it away to begin a new one; the artifacts beside it are untouched",
        )


def alias_in_database(home: Home, model: str) -> int | None:
    """Return the version that the alias `champion` names, read from the local database without loading MLflow."""
    query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    rows = _read_only(home, query, (model, CHAMPION))
    return int(rows[0][0]) if rows else None


def version_in_database(home: Home, model: str, version: int) -> bool:
    """Say whether the local database has the version, read without loading MLflow."""
    query = "SELECT 1 FROM model_versions WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
    return bool(_read_only(home, query, (model, version)))


def _read_only(home: Home, query: str, values: tuple[str | int, ...]) -> list[tuple[int]]:
    if not home.mlflow_db.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{home.mlflow_db.as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError:  # no such table: MLflow has yet to make it
        return []
    except sqlite3.DatabaseError:
        check(home)
        raise


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

    def progress(self, name: str, step: int, steps: int) -> None:
        """Steps aren't recorded."""

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

    def end(self, status: Status) -> None:
        """Send what is queued, for a limited time, and end the run."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(LAST_FLUSH_SECONDS)
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
        self.spill.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps([m.key, m.value, m.timestamp, m.step]) for m in waiting]
        self.spill.write_text("\n".join(lines) + "\n", "utf-8")


@contextmanager
def tracked(client: "Client", home: Home, *, model: str, run_name: str) -> Iterator[Tracking]:
    """Open a parent run; it ends as finished, failed, or killed by the user."""
    experiment = _experiment(client, home, model)
    run = client.create_run(experiment, run_name=run_name)
    tracking = Tracking(client, run.info.run_id, experiment, home.runs / run.info.run_id / "unsent-metrics.jsonl")
    tracking.start()
    status: Status = "FAILED"
    try:
        yield tracking
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        tracking.end(status)


def existing(run_id: str) -> Tracking:
    """Return a run that is there already, to add to it."""
    client = client_here()
    run = client.get_run(run_id)
    return Tracking(client, run_id, run.info.experiment_id, Path())


def _experiment(client: "Client", home: Home, model: str) -> str:
    found = client.get_experiment_by_name(model)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(model, artifact_location=(home.mlflow_artifacts / model).as_uri()))


def _allowed(name: str) -> str:
    """Return the name with only characters that MLflow takes in a key."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in name)[:250]


# The registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The files of a version, and how callers speak to it."""

    files: Mapping[str, Path]  # by the name that `served.py` knows them by
    inputs: Sequence[tuple[str, str, bool]]  # name, type, required
    outputs: Sequence[tuple[str, str, bool]]
    example: Sequence[Mapping[str, str | float | bool | None]]


def register(tracking: Tracking, bundle: Bundle, *, model: str) -> int:
    """Log the bundle as a pyfunc model from code, register it, and return its version."""
    import mlflow
    import pandas as pd
    from mlflow.models import Model

    from components.release import served

    with mlflow.start_run(run_id=tracking.run_id):
        info = Model.log(
            None,
            _PublicPyfunc,
            name="model",
            flavor_name="pyfunc",
            python_model=served.__file__,
            artifacts={name: str(path) for name, path in bundle.files.items()},
            signature=_signature(bundle),
            input_example=pd.DataFrame([dict(row) for row in bundle.example]),
            pip_requirements=_requirements(),
            registered_model_name=model,
        )
    return int(info.registered_model_version)


class _PublicPyfunc:
    """MLflow's pyfunc flavor, without the absolute paths that it notes of the machine that saved the model.

    It reads none of them when it loads: only the last part of the code's path, and the artifacts' relative ones.
    """

    @staticmethod
    def save_model(
        *,
        path: str,
        mlflow_model: "Model",
        python_model: str,
        artifacts: Mapping[str, str],
        signature: "ModelSignature",
        input_example: "pd.DataFrame",
        pip_requirements: Sequence[str],
    ) -> None:
        import mlflow

        mlflow.pyfunc.save_model(
            path=path,
            mlflow_model=mlflow_model,
            python_model=python_model,
            artifacts=artifacts,
            signature=signature,
            input_example=input_example,
            pip_requirements=pip_requirements,
        )
        noted = mlflow_model.flavors["python_function"]
        noted["model_code_path"] = Path(noted["model_code_path"]).name
        for artifact in noted["artifacts"].values():
            artifact["uri"] = artifact["path"]
        mlflow_model.artifact_path = "model"
        mlflow_model.save(str(Path(path, "MLmodel")))


def download(model: str, version: int | str, *, into: Path) -> Path:
    """Have the files of a version, or of what an alias such as `champion` names, and return their folder."""
    import mlflow

    into.mkdir(parents=True, exist_ok=True)
    uri = f"models:/{model}/{version}" if isinstance(version, int) else f"models:/{model}@{version}"
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(into)))


def answers(folder: Path, rows: Sequence[Mapping[str, str | float | bool | None]]) -> "pd.DataFrame":
    """Load a downloaded version as its users do, and return its answers to rows given as records."""
    import mlflow
    import pandas as pd

    found = mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame([dict(row) for row in rows]))
    return found if isinstance(found, pd.DataFrame) else pd.DataFrame(found)


def load(folder: Path) -> "Callable[[pd.DataFrame], pd.DataFrame]":
    """Load a downloaded version as its users do, and return what answers a frame of raw rows.

    The answering raises Refusal for rows that the model can't read.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    model = mlflow.pyfunc.load_model(str(folder))

    def answer(rows: "pd.DataFrame") -> "pd.DataFrame":
        try:
            return model.predict(rows)  # type: ignore[no-any-return]
        except MlflowException as error:
            raise refuse(str(error.message), do="mend the rows") from None

    return answer


def alias(client: "Client", model: str) -> int | None:
    """Return the version that the alias `champion` names."""
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(model, CHAMPION).version)
    except MlflowException:
        return None


def set_alias(client: "Client", model: str, version: int | None) -> None:
    """Let the alias `champion` name the version, or nothing."""
    if version is None:
        client.delete_registered_model_alias(model, CHAMPION)
    else:
        client.set_registered_model_alias(model, CHAMPION, str(version))


def versions(client: "Client", model: str) -> list[int]:
    """Return the versions that the registry has of the model."""
    return sorted(int(one.version) for one in client.search_model_versions(f"name = '{model}'"))


def _signature(bundle: Bundle) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = cast(Callable[[], AnyType], AnyType)()

    def columns(fields: Sequence[tuple[str, str, bool]]) -> Schema:
        return Schema([ColSpec(any_type if kind == "any" else kind, name, required) for name, kind, required in fields])

    return ModelSignature(inputs=columns(bundle.inputs), outputs=columns(bundle.outputs))


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow")
    return [f"{name}=={version(name)}" for name in names]


def record(
    run: Tracking,
    recipe: "Recipe",
    *,
    exported: "Sequence[Exported]",
    profiled: "Profiled",
    selected: "Selected",
    splits: "Splits",
) -> None:
    """Record a child run per candidate, and the data that the run read."""
    files = {one.name: one for one in exported}
    for one in profiled.measurements:
        file = files[profiled.files[one.name]]
        run.child(
            one.name,
            params={
                "verdict": selected.verdicts[one.name],
                "selected": str(one.name == selected.name),
                "runtime": profiled.runtimes[one.name],
                "sha256": file.onnx.digest,
                "quantized_operators": json.dumps(file.operators),
            },
            metrics={
                f"validation.{recipe.judged_by}": one.quality.value,
                "size_bytes": one.size_bytes,
                "parameters": file.parameters,
                "max_abs_diff": file.max_abs_diff,
                **{f"latency_ms.batch_{size}": value.value for size, value in one.latency_ms.items()},
                **{f"speedup.batch_{size}": value.value for size, value in one.speedup.items()},
            },
        )
    data = splits.dataset
    source = {"sha256": data.folder.digest, "dvc_md5": data.dvc_md5, "source": public_source(data.source)}
    run.inputs(
        [
            Input(name=f"{recipe.model} {part}", digest=splits.assignments.digest[:36], source=source, context=part)
            for part in splits.rows
        ]
    )
