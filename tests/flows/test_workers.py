"""Stages on workers: a real Prefect server, a real MLflow server, and two workers of a process pool."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from components.home import Home
from components.planning.ledger import ledger_at
from flows.servers.environment import environment
from flows.servers.pool import WATCHFUL, worker
from flows.servers.processes import asked, spawn
from flows.servers.services import Services, down, running, up
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.flows.servers.test_services import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workers")]

WORKERS = """
workers:
  train: {pool: local, cpus: 1, time_limit_minutes: 10}
  evaluate: {pool: local}
  export: {pool: local}
"""
TRAINER = "\nworkers: {train: {pool: local, cpus: 1}}\n"
# Long enough to be met in the middle, and with a checkpoint at almost each step.
LONG = ("train.epochs=600", "train.checkpoint_seconds=0.05", "train.threads=1")
BEGUN = "train epoch 2:"  # what a run says of a worker that is at it


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home whose servers are up, with a second worker beside the one of `up`, and a recipe that uses them."""
    folder = tmp_path_factory.mktemp("crew")
    (folder / "people.csv").write_text(people(), "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    (folder / "workers.yaml").write_text(RECIPE + WORKERS, "utf-8")
    (folder / "trainer.yaml").write_text(RECIPE + TRAINER, "utf-8")
    home = Home(folder / "home")
    services = up(home, prefect_port=free_port(), mlflow_port=free_port())
    second = another_worker(home, services)
    try:
        yield Place(folder=folder, home=home.root)
    finally:
        end(psutil.Process(second.pid))
        second.wait()
        down(home)


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
        [sys.executable, "-P", "-m", "flows.cli", "run", recipe, "--json", *settings],
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
    return alive and environ.get("STEELYARD_HOME") == str(place.home) and "PREFECT__FLOW_RUN_ID" in environ


def kill(place: Place) -> None:
    """Kill every process that does a stage, and nothing else."""
    found = processes(place)
    assert found
    for process in found:
        process.kill()


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


@pytest.fixture(scope="module")
def undisturbed(crew: Place) -> str:
    """The file of a long run in one process, in a home of its own."""
    return onnx(run(replace(crew, home=crew.folder / "alone"), *LONG, recipe="recipe.yaml"))


def test_stages_on_workers_end_with_the_file_of_a_run_at_home(crew: Place) -> None:
    told = run(crew, "train.threads=1", recipe="workers.yaml")
    alone = run(replace(crew, home=crew.folder / "alone"), "train.threads=1", recipe="recipe.yaml")
    assert onnx(told) == onnx(alone)
    assert of_train(told) == ["train: asked of pool 'local'"]
    assert "train epoch 3:" in told.err  # what a worker says is shown where the run was started
    figures = points(crew.home, told)
    assert figures["train.validation_loss"] == 3
    assert figures == points(crew.folder / "alone", alone)
    again = run(crew, "train.threads=1", recipe="workers.yaml")
    assert all(stage["cached"] for stage in again.json["stages"])


def test_a_stage_whose_process_is_killed_is_taken_up_from_its_checkpoint(crew: Place, undisturbed: str) -> None:
    told = run(crew, *LONG, at=BEGUN, do=lambda: kill(crew))
    assert onnx(told) == undisturbed
    assert len(of_train(told)) == 3
    assert of_train(told)[1].endswith("asked again")
    assert "train epoch 600:" in told.err
    assert "train goes on from epoch" in told.err


def _is_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # one that has ended
        return "trainer.yaml" in process.cmdline()
    return False


def test_a_run_that_is_stopped_leaves_no_process_on_a_worker(crew: Place) -> None:
    def interrupt() -> None:
        (runner,) = (one for one in psutil.Process().children() if _is_run(one))
        runner.send_signal(signal.SIGINT)

    told = run(crew, *LONG, "seed=5", at=BEGUN, do=interrupt)
    assert told.code == 130, told.err
    end_by = time.monotonic() + 60
    while processes(crew) and time.monotonic() < end_by:
        time.sleep(0.2)
    assert not processes(crew)


REAP = """
import sys
from components.reap import processes

processes.START_SECONDS = 0.0
from flows.cli import main
sys.argv = ["steelyard", "reap", "--json", *sys.argv[1:]]
main()
"""


def reaped(place: Place, *options: str) -> dict[str, list[str]]:
    """Call `reap`, to which no process is too young, and return the names of what it found by kind."""
    command = [sys.executable, "-P", "-c", REAP, *options]
    variables = {**place.variables(), "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, env=variables, cwd=place.folder, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return {one["kind"]: [item["name"] for item in one["items"]] for one in json.loads(told.stdout)["kinds"]}


def in_prefect(place: Place, question: str) -> int:
    with closing(sqlite3.connect(place.home / "prefect" / "prefect.db", timeout=60)) as connection:
        found = connection.execute(question).fetchone()
        connection.commit()
        return int(found[0]) if found else 0


def test_the_process_of_a_run_that_was_killed_is_ended_and_old_rows_go(crew: Place) -> None:
    def killed() -> None:
        (runner,) = (one for one in psutil.Process().children() if _is_run(one))
        assert "processes" not in reaped(crew, "--yes")  # somebody waits for it
        runner.kill()

    run(crew, "train.epochs=90000", "seed=6", at=BEGUN, do=killed)
    (stage,) = processes(crew)
    ledger = ledger_at(Home(crew.home).ledger)
    ledger.database.change("UPDATE leases SET expires = 0 WHERE name LIKE 'run of %'")  # as in some seconds
    runs = "flow_id = (SELECT id FROM flow WHERE name = 'retrain')"
    in_prefect(crew, f"UPDATE flow_run SET end_time = '2020-01-01 00:00:00.000000' WHERE {runs}")
    rows = in_prefect(crew, "SELECT count(*) FROM flow_run")
    found = reaped(crew, "--yes")
    assert found["processes"] == [f"{stage.pid} {stage.create_time()}"]
    assert not processes(crew)
    assert in_prefect(crew, f"SELECT count(*) FROM flow_run WHERE {runs}") == 0
    assert in_prefect(crew, "SELECT count(*) FROM flow_run") == rows - len(found["flow runs"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("workers.train.pool=locall", ("there is no work pool 'locall'", "did you mean 'local'?")),
        ("workers.train.gpus=1", ("1 GPUs are asked for, and the worker's process sees 0",)),
        ("workers.train.time_limit_minutes=0.02", ("it took longer than 0.02 minutes", "time_limit_minutes")),
        (
            "workers.train.memory_gb=2",  # its weights alone take 6
            ("out of memory", "once more with 4 GB", "raise workers.train.memory_gb"),
        ),
    ],
)
def test_what_a_worker_can_not_do_is_refused(crew: Place, change: str, words: tuple[str, ...]) -> None:
    wide = ("network.width=40000", "network.depth=2") if "memory" in change else ()
    told = run(crew, "train.epochs=90000", *wide, change)
    assert "asked again" not in told.err  # how it ended was heard: it isn't taken for lost
    assert "Traceback" not in told.err
    assert told.code == 2, told.err[-3000:]
    assert all(word in told.err for word in words), told.err[-3000:]


def test_a_pool_that_can_not_express_what_is_asked_is_an_error(crew: Place) -> None:
    plain = {"name": "plain", "type": "process"}
    services = running(Home(crew.home))
    assert services is not None
    assert asked(f"{services.prefect_api_url}/work_pools/", seconds=9, method="POST", content=plain)
    told = run(crew, "workers.train.pool=plain", "train.epochs=4")
    assert told.code == 2
    assert "the pool 'plain' can't express cpus: its template has no such variable" in told.err


def test_a_worker_that_is_killed_is_replaced_by_another(crew: Place, undisturbed: str) -> None:
    """The last one here: the worker of `up` may be the one that goes."""

    def kill_worker() -> None:
        (stage,) = processes(crew)
        end(next(one for one in stage.parents() if "worker" in one.cmdline()))

    told = run(crew, *LONG, "--force", "train", at=BEGUN, do=kill_worker)
    assert onnx(told) == undisturbed
    assert len(of_train(told)) == 3
