"""What workers do: the same as a run at home, what they can't, and how they are asked."""

import sqlite3
from contextlib import closing

import pytest
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate

from components.home import Home
from components.production import Production
from tasks.remote.pools import deployment_of, why_waiting
from tests.flows.place import Place
from tests.flows.production.crew import BY_TWO, asked_of_prefect, database, of_train, onnx, prefect, run, trained, words

POINTS = "SELECT key, count(*) FROM metrics WHERE run_uuid = {} GROUP BY key"


def test_stages_on_workers_end_with_the_file_of_a_run_at_home(
    company: Place, production: Production, alone: Place
) -> None:
    told, at_home = company.told["run"], alone.call("run", "workers.yaml", "--json")
    assert "no servers with workers are up, so this process does their stages: export, train" in at_home.err
    assert onnx(told) == onnx(at_home)
    assert told.json["decision"]["promoted"]
    assert of_train(told) == ["train: asked of pool 'local'"]
    assert "train epoch 3:" in told.err  # what a worker says is shown where the run was started
    with closing(sqlite3.connect(Home(alone.home).mlflow_db)) as connection:
        figures = dict(connection.execute(POINTS.format("?"), (at_home.json["run_id"],)).fetchall())
    assert figures["train.validation_loss"] == 3
    with database(production, "mlflow") as ask:
        ask.execute(POINTS.format("%s"), (told.json["run_id"],))
        assert dict(ask.fetchall()) == figures
    again = company.call("run", "workers.yaml", "--json")
    assert all(stage["cached"] for stage in again.json["stages"])


@pytest.mark.slow
def test_a_training_by_several_processes_on_a_worker_ends_with_the_bytes_of_one_at_home(
    company: Place, alone: Place
) -> None:
    two = (*BY_TWO, "train.threads=1", "seed=21")
    told = run(company, *two, "--until", "train")
    assert of_train(told) == ["train: asked of pool 'local'"]
    assert "train epoch 3:" in told.err
    at_home = alone.call("run", "recipe.yaml", *words(two), "--until", "train")
    assert trained(company, told) == trained(alone, at_home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("workers.train.pool=locall", ("there is no work pool 'locall'", "did you mean 'local'?")),
        ("workers.train.gpus=1", ("train: 1 GPU is asked for, and the worker's process sees 0",)),
        (
            "workers.train.time_limit_minutes=0.02",
            ("train: it took longer than 0.02 minutes", "workers.train.time_limit_minutes"),
        ),
        (
            "workers.train.memory_gb=2",  # weights, gradients and what AdamW keeps of them take 4.6
            ("out of memory", "once more with 4 GB", "raise workers.train.memory_gb"),
        ),
    ],
)
def test_what_a_worker_can_not_do_is_refused(company: Place, change: str, said: tuple[str, ...]) -> None:
    wide = ("network.width=17000", "network.depth=2") if "memory" in change else ()
    told = run(company, "train.epochs=90000", *wide, change)
    assert "asked again" not in told.err  # how it ended was heard: it isn't taken for lost
    assert "Traceback" not in told.err
    assert told.code == 2, told.err[-3000:]
    assert all(word in told.err for word in said), told.err[-3000:]


@pytest.mark.slow
def test_a_stage_short_of_memory_is_done_with_twice_as_much(company: Place) -> None:
    """It takes 1 GB: 0.4 for libraries, and the weights with all that training and its checkpoints have beside them."""
    wide = ("network.width=2500", "network.depth=2", "train.epochs=1")
    told = run(company, *wide, "workers.train.memory_gb=0.7", "--until", "train")
    assert told.code == 0, told.err[-3000:]
    assert "train: out of memory" in told.err
    assert "once more with 1.4 GB" in told.err
    assert "Traceback" not in told.err


@pytest.mark.slow
def test_a_pool_that_can_not_express_what_is_asked_is_an_error(company: Place, production: Production) -> None:
    asked_of_prefect(production, "POST", "/work_pools/", {"name": "plain", "type": "process"})
    told = run(company, "workers.train.pool=plain", "train.epochs=4")
    assert told.code == 2
    assert "the pool 'plain' can't express cpus: its template has no such variable" in told.err


def test_a_deployment_is_made_once_and_mended_where_it_is_otherwise(company: Place) -> None:
    """Each run asks for it: if each wrote it, many at once would keep Prefect's database from all other work."""
    with prefect(company) as client:
        pool = client.read_work_pool("local")
        found = deployment_of(client, pool)
        before = client.read_deployment(found)
        assert deployment_of(client, pool) == found
        assert client.read_deployment(found).updated == before.updated
        client.update_deployment(found, DeploymentUpdate(enforce_parameter_schema=True))
        assert deployment_of(client, pool) == found
        assert not client.read_deployment(found).enforce_parameter_schema


def test_why_nobody_takes_a_stage_up_is_told(company: Place) -> None:
    with prefect(company) as client:
        for name in ("idle", "paused"):
            client.create_work_pool(WorkPoolCreate(name=name, type="process", is_paused=name == "paused"))
        told = {name: why_waiting(client, name) for name in ("idle", "paused", "local")}
    assert told == {
        "idle": "no worker of it is there",
        "paused": "it is paused",
        "local": "its workers do nothing: are they still alive?",
    }
