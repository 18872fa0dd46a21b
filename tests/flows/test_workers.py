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
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.schemas.automations import AutomationCore
from prefect.states import Cancelling

from components.home import Home
from components.planning.ledger import ledger_at
from flows.servers.environment import environment
from flows.servers.pool import WATCHFUL, worker
from flows.servers.processes import FLOW_RUN, asked, spawn
from flows.servers.services import Services, down, running, up
from tasks.living.watch import NAME, automation, keep_watch
from tasks.remote.pools import deployment_of, why_waiting
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.flows.servers.test_services import free_port
from tests.servers.tables import with_tables
from tests.torture.crew import restart_prefect

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
    home = Home(with_tables(folder / "home"))
    with_tables(folder / "alone")
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
    return alive and environ.get("STEELYARD_HOME") == str(place.home) and FLOW_RUN in environ


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
    alone = run(replace(crew, home=crew.folder / "alone"), "train.threads=1", recipe="workers.yaml")
    assert "no servers with workers are up, so this process does their stages: evaluate, export, train" in alone.err
    assert onnx(told) == onnx(alone)
    assert of_train(told) == ["train: asked of pool 'local'"]
    assert "train epoch 3:" in told.err  # what a worker says is shown where the run was started
    figures = points(crew.home, told)
    assert figures["train.validation_loss"] == 3
    assert figures == points(crew.folder / "alone", alone)
    again = run(crew, "train.threads=1", recipe="workers.yaml")
    assert all(stage["cached"] for stage in again.json["stages"])


def test_a_training_by_several_processes_on_a_worker_ends_with_the_file_of_one_at_home(crew: Place) -> None:
    two = ("train.distributed.name=ddp", "train.distributed.processes=2", "train.threads=1", "seed=21")
    told = run(crew, *two)
    assert of_train(told) == ["train: asked of pool 'local'"]
    assert "train epoch 3:" in told.err
    assert onnx(told) == onnx(run(replace(crew, home=crew.folder / "alone"), *two))


def test_a_stage_whose_process_is_killed_is_taken_up_from_its_checkpoint(crew: Place, undisturbed: str) -> None:
    told = run(crew, *LONG, "workers.train.memory_gb=8", at=BEGUN, do=lambda: kill(crew))
    assert onnx(told) == undisturbed
    assert len(of_train(told)) == 3
    assert of_train(told)[1].endswith(
        "perhaps short of memory: once more with 16 GB"
    )  # SIGKILL is how a system ends who takes too much
    assert "train epoch 600:" in told.err
    assert "train goes on from epoch" in told.err


def _is_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # one that has ended
        return "trainer.yaml" in process.cmdline()
    return False


def runner() -> psutil.Process:
    """The process of the run that a test has started."""
    (found,) = (one for one in psutil.Process().children() if _is_run(one))
    return found


def prefect(crew: Place) -> SyncPrefectClient:
    services = running(Home(crew.home))
    assert services is not None
    return SyncPrefectClient(services.prefect_api_url, httpx_settings={"trust_env": False})


def runs_of(crew: Place) -> list[FlowRun]:
    """The runs of recipes, the latest first; a stage on a worker is a run of its own, with the stage in its name."""
    with prefect(crew) as client:
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
    return [one for one in found if one.name == "people"]


def within(seconds: float, seen: Callable[[], object]) -> bool:
    end_by = time.monotonic() + seconds
    while not (found := seen()) and time.monotonic() < end_by:
        time.sleep(0.2)
    return bool(found)


def cancel(crew: Place) -> None:
    """Cancel the run as Prefect's pages do, and `prefect flow-run cancel`."""
    with prefect(crew) as client:
        client.set_flow_run_state(runs_of(crew)[0].id, Cancelling())


@pytest.mark.parametrize(("by", "seed"), [("Ctrl-C", 5), ("Prefect", 7)])  # no checkpoint of the other's is there
def test_a_run_that_is_stopped_leaves_no_process_on_a_worker(crew: Place, by: str, seed: int) -> None:
    stop = (lambda: runner().send_signal(signal.SIGINT)) if by == "Ctrl-C" else (lambda: cancel(crew))
    told = run(crew, *LONG, f"seed={seed}", at=BEGUN, do=stop)
    assert told.code == 130, told.err
    assert "Traceback" not in told.err
    assert ("cancelled in Prefect" in told.err) == (by == "Prefect")
    assert told.err.splitlines()[-1].startswith("stopped; what was done is kept")
    state = runs_of(crew)[0].state
    assert state is not None
    assert (state.type, state.message) == ("CANCELLED", {"Ctrl-C": "stopped by Ctrl-C"}.get(by, "cancelled in Prefect"))
    assert within(60, lambda: not processes(crew))


def test_one_watch_is_kept_over_silent_runs_brought_up_to_date_and_paused_at_will(crew: Place) -> None:
    with prefect(crew) as client:
        (first,) = client.read_automations_by_name(NAME)  # made by `up`
        client.create_automation(automation())  # by two runs at once
        client.pause_automation(first.id)
        ours = {one.id for one in client.read_automations_by_name(NAME)}
        client.update_automation(first.id, until_silent(77).model_copy(update={"enabled": False}))
        other = client.create_automation(until_silent(77).model_copy(update={"name": "another team's"}))
        keep_watch(client)
        (kept,) = client.read_automations_by_name(NAME)
        assert kept.id in ours
        assert kept.trigger == automation().trigger
        client.resume_automation(kept.id)
        (theirs,) = client.read_automations_by_name("another team's")
        assert theirs.trigger == until_silent(77).trigger
        client.delete_automation(other)
        before = client.request("GET", "/automations/{id}", path_params={"id": kept.id}).json()
        keep_watch(client)
        assert client.request("GET", "/automations/{id}", path_params={"id": kept.id}).json() == before


def until_silent(seconds: float) -> AutomationCore:
    """The watch, with another patience."""
    made = automation()
    return made.model_copy(update={"trigger": made.trigger.model_copy(update={"within": timedelta(seconds=seconds)})})


def test_a_run_that_died_silently_is_found_and_its_stage_ends(crew: Place) -> None:
    with prefect(crew) as client:
        (watch,) = client.read_automations_by_name(NAME)
        client.update_automation(watch.id, until_silent(25))  # instead of 90: two signs that didn't come
    try:
        told = run(crew, *LONG, "train.epochs=90000", "seed=6", at=BEGUN, do=lambda: runner().kill())
        assert told.code == -signal.SIGKILL
        died = runs_of(crew)[0]
        assert died.state is not None
        assert died.state.is_running()
        assert within(60, lambda: not processes(crew))  # nobody waits for its result
        assert within(60, lambda: runs_of(crew)[0].state_type == "CRASHED")
        assert runs_of(crew)[0].id == died.id
    finally:
        with prefect(crew) as client:
            keep_watch(client)


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

    run(crew, "train.epochs=90000", "seed=16", at=BEGUN, do=killed)
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


def test_a_stage_short_of_memory_is_done_with_twice_as_much(crew: Place) -> None:
    """It takes 1 GB: 0.4 for libraries, and the weights with all that training and its checkpoints have beside them."""
    wide = ("network.width=2500", "network.depth=2", "train.epochs=1")
    told = run(crew, *wide, "workers.train.memory_gb=0.7", "--until", "train")
    assert told.code == 0, told.err[-3000:]
    assert "train: out of memory" in told.err
    assert "once more with 1.4 GB" in told.err
    assert "Traceback" not in told.err


def test_a_pool_that_can_not_express_what_is_asked_is_an_error(crew: Place) -> None:
    plain = {"name": "plain", "type": "process"}
    services = running(Home(crew.home))
    assert services is not None
    assert asked(f"{services.prefect_api_url}/work_pools/", seconds=9, method="POST", content=plain)
    told = run(crew, "workers.train.pool=plain", "train.epochs=4")
    assert told.code == 2
    assert "the pool 'plain' can't express cpus: its template has no such variable" in told.err


def test_a_deployment_is_made_once_and_mended_where_it_is_otherwise(crew: Place) -> None:
    """Each run asks for it: if each wrote it, many at once would keep Prefect's database from all other work."""
    with prefect(crew) as client:
        pool = client.read_work_pool("local")
        found = deployment_of(client, pool)
        before = client.read_deployment(found)
        assert deployment_of(client, pool) == found
        assert client.read_deployment(found).updated == before.updated
        client.update_deployment(found, DeploymentUpdate(enforce_parameter_schema=True))
        assert deployment_of(client, pool) == found
        assert not client.read_deployment(found).enforce_parameter_schema


def test_why_nobody_takes_a_stage_up_is_told(crew: Place) -> None:
    with prefect(crew) as client:
        for name in ("idle", "paused"):
            client.create_work_pool(WorkPoolCreate(name=name, type="process", is_paused=name == "paused"))
        told = {name: why_waiting(client, name) for name in ("idle", "paused", "local")}
    assert told == {
        "idle": "no worker of it is there",
        "paused": "it is paused",
        "local": "all of its workers are busy",
    }


def test_a_run_that_is_killed_is_gone_on_with_by_the_next(crew: Place, undisturbed: str) -> None:
    ledger_at(Home(crew.home).ledger).database.change("DELETE FROM records WHERE stage = 'train'")
    assert run(crew, *LONG, at=BEGUN, do=lambda: runner().kill()).code == -signal.SIGKILL
    assert onnx(run(crew, *LONG)) == undisturbed


def test_a_prefect_server_that_is_killed_and_comes_back_is_waited_for(crew: Place, undisturbed: str) -> None:
    def restart() -> None:
        restart_prefect(Home(crew.home), pause=2)

    told = run(crew, *LONG, "--force", "train", at=BEGUN, do=restart)
    assert onnx(told) == undisturbed
    assert of_train(told) == ["train: asked of pool 'local'"], "the stage went on meanwhile"


def test_a_worker_that_is_killed_is_replaced_by_another(crew: Place, undisturbed: str) -> None:
    """The last one here: the worker of `up` may be the one that goes."""

    def kill_worker() -> None:
        (stage,) = processes(crew)
        end(next(one for one in stage.parents() if "worker" in one.cmdline()))

    told = run(crew, *LONG, "--force", "train", at=BEGUN, do=kill_worker)
    assert onnx(told) == undisturbed
    assert len(of_train(told)) == 3
