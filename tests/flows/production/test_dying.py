"""What becomes of a run whose stage, worker, server or own process ends, and of a stage that nobody waits for."""

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.events.schemas.automations import AutomationCore

from components.errors import Refusal
from components.home import Home
from components.production import Production
from flows.servers.production import up_production
from flows.servers.recorded import recorded
from flows.state import ledger_of
from tasks.living.watch import NAME, automation, keep_watch
from tests.flows.place import Place
from tests.flows.production.crew import (
    BEGUN,
    BY_TWO,
    LONG,
    cancel,
    database,
    delete,
    drawn,
    end,
    kill,
    kill_one,
    of_train,
    prefect,
    processes,
    run,
    runner,
    runs_of,
    trained,
    words,
)
from tests.flows.servers.test_production import free_ports
from tests.servers.faults import wait_until
from tests.torture.crew import kill_server


def test_a_stage_whose_process_is_killed_is_taken_up_from_its_checkpoint(company: Place, undisturbed: str) -> None:
    told = run(company, *LONG, "workers.train.memory_gb=8", at=drawn(1), do=lambda: kill(company))
    assert trained(company, told) == undisturbed
    assert len(of_train(told)) == 3
    assert of_train(told)[1].endswith(
        "perhaps short of memory: once more with 16 GB"
    )  # SIGKILL is how a system ends who takes too much
    assert "train epoch 600:" in told.err
    assert "train goes on from epoch" in told.err


@pytest.mark.slow
def test_of_several_processes_one_that_is_killed_is_lost_as_a_stage_is_and_at_home_ends_the_run(
    company: Place, alone: Place
) -> None:
    two = (*LONG, *BY_TWO, "train.epochs=200", "seed=23")
    whole = trained(alone, alone.call("run", "recipe.yaml", *words(two)))

    kills = {
        "train epoch 5:": lambda: kill_one(company, "rank"),
        "train goes on from epoch": lambda: kill_one(company, "launcher"),
    }
    told = company.watched("run", "trainer.yaml", "--json", *words(two), at=kills)
    assert trained(company, told) == whole
    assert of_train(told) == [
        "train: asked of pool 'local'",
        "train: process 2 of 2 was killed by SIGKILL (status code -9): asked again",
        "train: asked of pool 'local'",
        "train: torchrun was killed by SIGKILL (status code -9): asked again",
        "train: asked of pool 'local'",
    ]

    ledger_of(Home(alone.home)).database.change("DELETE FROM records WHERE stage = 'train'")
    ended = run(alone, *two, recipe="recipe.yaml", at="train epoch 5:", do=lambda: kill_one(alone, "rank"))
    assert ended.code == 2, ended.err
    assert "process 2 of 2 was killed by SIGKILL" in ended.err
    assert "run again: it goes on from its last checkpoint. Perhaps it was out of memory" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "seed", "training"),  # no checkpoint of another's is there
    [("Ctrl-C", 5, ()), ("Prefect", 7, ()), ("Prefect", 9, BY_TWO)],
)
def test_a_run_that_is_stopped_leaves_no_process_on_a_worker(
    company: Place, by: str, seed: int, training: tuple[str, ...]
) -> None:
    met: list[int] = []

    def stop() -> None:
        met.append(len(processes(company)))
        runner().send_signal(signal.SIGINT) if by == "Ctrl-C" else cancel(company)

    told = run(company, *LONG, *training, f"seed={seed}", at=BEGUN, do=stop)
    assert told.code == 130, told.err
    assert met[0] >= (4 if training else 1)  # torchrun's and its two
    assert "Traceback" not in told.err
    assert ("cancelled in Prefect" in told.err) == (by == "Prefect")
    assert told.err.splitlines()[-1].startswith("stopped; what was done is kept")
    state = runs_of(company)[0].state
    assert state is not None
    assert (state.type, state.message) == ("CANCELLED", {"Ctrl-C": "stopped by Ctrl-C"}.get(by, "cancelled in Prefect"))
    wait_until(lambda: not processes(company))


@pytest.mark.slow
def test_a_stage_whose_flow_run_is_deleted_ends_the_run_in_words_and_leaves_no_process_on_a_worker(
    company: Place,
) -> None:
    changes = (*LONG, "train.epochs=90000", "seed=13")
    told = run(company, *changes, at=BEGUN, do=lambda: delete(company, "people train"))
    assert told.code == 2, told.err
    assert "Traceback" not in told.err
    assert "refused: train: its flow run was deleted in Prefect" in told.err
    wait_until(lambda: not processes(company))


def test_one_watch_is_kept_over_silent_runs_brought_up_to_date_and_paused_at_will(company: Place) -> None:
    with prefect(company) as client:
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


@pytest.mark.slow
def test_a_run_that_died_silently_is_found_within_two_minutes_and_its_stage_ends(company: Place) -> None:
    told = run(company, *LONG, "train.epochs=90000", "seed=6", at=BEGUN, do=lambda: runner().kill())
    since = time.monotonic()
    assert told.code == -signal.SIGKILL
    died = runs_of(company)[0]
    assert died.state is not None
    assert died.state.is_running()
    wait_until(lambda: not processes(company))  # nobody waits for its result
    wait_until(lambda: runs_of(company)[0].state_type == "CRASHED", seconds=since + 120 - time.monotonic())
    assert runs_of(company)[0].id == died.id


REAP = """
import sys
from components.reap import processes

processes.START_SECONDS = 0.0
from flows.cli import main
sys.argv = ["steelyard", "reap", "--json", "--yes"]
main()
"""


def reaped(place: Place) -> dict[str, list[str]]:
    """Call `reap`, to which no process is too young, and return the names of what it found by kind."""
    variables = {**place.variables(), "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-P", "-c", REAP]
    told = subprocess.run(command, env=variables, cwd=place.folder, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return {one["kind"]: [item["name"] for item in one["items"]] for one in json.loads(told.stdout)["kinds"]}


@pytest.mark.slow
def test_the_process_of_a_run_that_was_killed_is_ended_and_old_rows_go(company: Place, production: Production) -> None:
    def killed() -> None:
        assert "processes" not in reaped(company)  # somebody waits for it
        runner().kill()

    run(company, "train.epochs=90000", "seed=16", at=BEGUN, do=killed)
    (stage,) = processes(company)
    ended = "UPDATE leases SET expires = 0 WHERE name LIKE 'run of %'"  # as in some seconds
    ledger_of(Home(company.home)).database.change(ended)
    runs = "flow_id = (SELECT id FROM flow WHERE name = 'retrain')"
    with database(production, "prefect") as ask:
        ask.execute(f"UPDATE flow_run SET end_time = '2020-01-01' WHERE {runs}")
    rows = count_of_flow_runs(production)
    found = reaped(company)
    assert found["processes"] == [f"{stage.pid} {stage.create_time()}"]
    assert not processes(company)
    assert count_of_flow_runs(production, f"WHERE {runs}") == 0
    assert count_of_flow_runs(production) == rows - len(found["flow runs"])


def count_of_flow_runs(production: Production, where: str = "") -> int:
    with database(production, "prefect") as ask:
        ask.execute(f"SELECT count(*) FROM flow_run {where}")
        return int(ask.fetchall()[0][0])


def test_a_run_that_is_killed_is_gone_on_with_by_the_next(company: Place, undisturbed: str) -> None:
    ledger_of(Home(company.home)).database.change("DELETE FROM records WHERE stage = 'train'")
    assert run(company, *LONG, at=drawn(2), do=lambda: runner().kill()).code == -signal.SIGKILL
    assert trained(company, run(company, *LONG)) == undisturbed


def test_a_prefect_server_that_is_killed_and_comes_back_is_waited_for(company: Place, undisturbed: str) -> None:
    def restart() -> None:
        kill_server("prefect", Home(company.home))
        time.sleep(2)
        up_production(Home(company.home), ports={}, say=str)

    told = run(company, *LONG, "--force", "train", at=drawn(3), do=restart)
    assert trained(company, told) == undisturbed
    assert of_train(told) == ["train: asked of pool 'local'"], "the stage went on meanwhile"


def test_a_worker_that_is_killed_is_replaced_by_another(company: Place, undisturbed: str) -> None:
    def kill_worker() -> None:
        (stage,) = processes(company)
        end(next(one for one in stage.parents() if "worker" in one.cmdline()))

    told = run(company, *LONG, "--force", "train", at=drawn(5), do=kill_worker)
    assert trained(company, told) == undisturbed
    assert len(of_train(told)) == 3
    up_production(Home(company.home), ports={}, say=str)  # the worker is back, for other tests


@pytest.mark.slow
def test_a_run_whose_mlflow_goes_away_in_the_middle_loses_and_doubles_nothing(
    company: Place, production: Production
) -> None:
    """Training ends while it is away: it is back only when the run says that it waits for it."""
    home, epochs = Home(company.home), 300

    def away() -> None:
        kill_server("mlflow", home)

    def back() -> None:
        before = {one.pid for one in recorded(home)}
        with pytest.raises(Refusal, match="known to each other by the ports"):  # they would be told of no other
            up_production(home, ports={"mlflow": free_ports()["mlflow"]}, say=lambda _: None)
        up_production(home, ports={}, say=lambda _: None)
        assert {one.name for one in recorded(home) if one.pid not in before} == {"mlflow"}, "all else stays as it is"

    changes = [word for one in ("model=outage", "seed=7", f"train.epochs={epochs}") for word in ("--set", one)]
    told = company.watched(
        "run", "recipe.yaml", *changes, "--json", at={"train epoch 3:": away, "waiting for MLflow": back}
    )
    assert told.code == 0, told.err[-3000:]
    assert told.err.index(f"train epoch {epochs}:") < told.err.index("waiting for MLflow")
    run = told.json["run_id"]
    with database(production, "mlflow") as cursor:

        def ask(question: str) -> list[tuple[object, ...]]:
            cursor.execute(question, (run,))
            return cursor.fetchall()

        points = (
            "SELECT count(*), count(DISTINCT step) FROM metrics WHERE run_uuid = %s AND key = 'train.validation_loss'"
        )
        assert ask(points) == [(epochs, epochs)]
        assert ask("SELECT status FROM runs WHERE run_uuid = %s") == [("FINISHED",)]
        children = ask("SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = %s")
        assert len(children) == len(told.json["candidates"])
        assert ask("SELECT version FROM model_versions WHERE run_id = %s") == [(1,)]
    assert not list((home.runs / run).glob("unsent*"))
