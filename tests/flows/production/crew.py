"""What the tests of this folder do with runs, and with the processes of workers."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelling

from components.home import Home
from flows.servers.environment import environment
from flows.servers.pool import WATCHFUL, worker
from flows.servers.processes import FLOW_RUN, spawn
from flows.servers.services import Services, running
from tests.flows.place import Place, Told

# Long enough to be met in the middle, and with a checkpoint at almost each step.
LONG = ("train.epochs=600", "train.checkpoint_seconds=0.05", "train.threads=1")
BEGUN = "train epoch 2:"  # what a run says of a worker that is at it


def another_worker(home: Home, services: Services) -> "subprocess.Popen[bytes]":
    variables = environment(home, prefect_url=services.prefect_api_url, mlflow_uri=services.mlflow_tracking_uri)
    with (home.root / "logs" / "second.log").open("wb") as output:
        return spawn(worker("second"), {**variables, **WATCHFUL, "OMP_NUM_THREADS": "1"}, output)


def end(process: psutil.Process) -> None:
    """Kill a worker and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            one.kill()


def run(
    place: Place, *changes: str, recipe: str = "trainer.yaml", at: str = "", do: Callable[[], object] = list
) -> Told:
    """Run a recipe; do something as soon as the run says `at`. What has no `=` is an option."""
    settings = [word for change in changes for word in (("--set", change) if "=" in change else (change,))]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.start", "run", recipe, "--json", *settings],
        cwd=place.folder,
        env=place.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    said = []
    try:
        for line in child.stderr:
            said.append(line)
            if at and at in line:
                do()
                at = ""
        assert not at, "".join(said)
        out, _ = child.communicate()
    finally:
        child.kill()
    return Told(child.returncode, out, "".join(said))


def processes(place: Place) -> list[psutil.Process]:
    """The processes in which workers have a stage done."""
    return [process for process in psutil.process_iter() if _does_a_stage(process, place)]


def _does_a_stage(process: psutil.Process, place: Place) -> bool:
    try:
        environ = process.environ()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return alive and environ.get("STEELYARD_HOME") == str(place.home) and FLOW_RUN in environ


def kill(place: Place) -> None:
    """Kill every process that does a stage, and nothing else."""
    found = processes(place)
    assert found
    for process in found:
        process.kill()


def _is_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # one that has ended
        return "trainer.yaml" in process.cmdline()
    return False


def runner() -> psutil.Process:
    """The process of the run that a test has started."""
    (found,) = (one for one in psutil.Process().children() if _is_run(one))
    return found


def onnx(told: Told) -> str:
    assert told.code == 0, told.err[-3000:]
    return str(told.json["onnx"]["sha256"])


def of_train(told: Told) -> list[str]:
    """What was said of the stage `train` as such."""
    return [line.strip() for line in told.err.splitlines() if line.strip().startswith("train: ")]


def points(home: Path, told: Told) -> dict[str, int]:
    """How many points each figure of the run has in MLflow."""
    asked = "SELECT key, count(*) FROM metrics WHERE run_uuid = ? GROUP BY key"
    with closing(sqlite3.connect(Home(home).mlflow_db)) as connection:
        return dict(connection.execute(asked, (told.json["run_id"],)))


def prefect(crew: Place) -> SyncPrefectClient:
    services = running(Home(crew.home))
    assert services is not None
    return SyncPrefectClient(services.prefect_api_url, httpx_settings={"trust_env": False})


def runs_of(crew: Place) -> list[FlowRun]:
    """The runs of recipes, the latest first; a stage on a worker is a run of its own, with the stage in its name."""
    with prefect(crew) as client:
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
    return [one for one in found if one.name == "people"]


def cancel(crew: Place) -> None:
    """Cancel the run as Prefect's pages do, and `prefect flow-run cancel`."""
    with prefect(crew) as client:
        client.set_flow_run_state(runs_of(crew)[0].id, Cancelling())
