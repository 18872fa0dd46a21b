"""What becomes of a run whose stage, worker, server or own process ends, and of a stage that nobody waits for."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.events.schemas.automations import AutomationCore

from components.home import Home
from components.planning.ledger import ledger_at
from tasks.living.watch import NAME, automation, keep_watch
from tests.flows.place import Place
from tests.flows.workers.crew import (
    BEGUN,
    LONG,
    cancel,
    end,
    kill,
    of_train,
    onnx,
    prefect,
    processes,
    run,
    runner,
    runs_of,
)
from tests.servers.faults import wait_until
from tests.torture.crew import restart_prefect

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workers")]


def test_a_stage_whose_process_is_killed_is_taken_up_from_its_checkpoint(crew: Place, undisturbed: str) -> None:
    told = run(crew, *LONG, "workers.train.memory_gb=8", at=BEGUN, do=lambda: kill(crew))
    assert onnx(told) == undisturbed
    assert len(of_train(told)) == 3
    assert of_train(told)[1].endswith(
        "perhaps short of memory: once more with 16 GB"
    )  # SIGKILL is how a system ends who takes too much
    assert "train epoch 600:" in told.err
    assert "train goes on from epoch" in told.err


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
    wait_until(lambda: not processes(crew))


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
        wait_until(lambda: not processes(crew))  # nobody waits for its result
        wait_until(lambda: runs_of(crew)[0].state_type == "CRASHED")
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
    variables = {**place.variables(), "PYTHONPATH": str(Path(__file__).parents[3])}
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
        assert "processes" not in reaped(crew, "--yes")  # somebody waits for it
        runner().kill()

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
