"""A real MLflow server behind a proxy that loses answers: what was asked for is there once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.errors import Refusal
from components.home import Home
from tasks.registry import Bundle, _enter_name, register
from tasks.tracking import away, connecting
from tasks.tracking.away import patient
from tasks.tracking.connecting import connect
from tasks.tracking.runs import tracked
from tests.servers.faults import Proxy, once, proxy, times
from tests.servers.mlflow import mlflow_server
from tests.servers.postgres import PostgresServer
from tests.tasks.tracking.test_runs import ROWS, net


@pytest.fixture(scope="module")
def behind(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with (
        mlflow_server(tmp_path_factory.mktemp("mlflow"), postgres.fresh()) as server,
        proxy(server.url) as made,
    ):
        yield made


@pytest.fixture
def client(behind: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.setattr(away, "AGAIN_SECONDS", 0.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    yield connect(Home(tmp_path), uri=behind.endpoint_url)
    behind.fault = lambda _: None
    connect(Home(tmp_path))


def a_bundle(folder: Path) -> Bundle:
    return Bundle(
        files={"onnx": net(folder / "model.onnx")},
        inputs=[("age", "double", True)],
        outputs=[("prediction", "double", True)],
        example=ROWS,
    )


@pytest.mark.parametrize(
    "fault", ["cut answer", *(pytest.param(one, marks=pytest.mark.slow) for one in ("cut", "502"))]
)
def test_what_was_made_though_the_answer_was_lost_is_not_made_again(
    client: MlflowClient, behind: Proxy, fault: str, tmp_path: Path
) -> None:
    model, home = f"with {fault}", Home(tmp_path)
    bundle = a_bundle(tmp_path)

    def losing(path: str, work: Callable[[], object]) -> object:
        before = behind.count("POST", path)
        behind.fault = once(fault, "POST", path)
        found = patient(work, say=str)
        assert behind.count("POST", path) == before + (1 if fault == "cut answer" else 2), path
        return found

    behind.fault = once(fault, "POST", "runs/create")
    with tracked(client, home, model=model, run_name="parent", artifacts=tmp_path.as_uri()) as run:
        losing("runs/create", lambda: run.child("int8", params={}, metrics={"size_bytes": 3}))
        losing("model-versions/create", lambda: register(run, bundle, model=model, description="", tags={}))
    runs = client.search_runs([run.experiment_id])
    assert sorted((one.info.run_name, one.info.status) for one in runs) == [
        ("int8", "FINISHED"),
        ("parent", "FINISHED"),
    ]
    assert len(client.search_model_versions(f"name = '{model}'")) == 1
    assert len(client.search_logged_models([run.experiment_id])) == 1


def test_a_model_whose_making_was_not_answered_is_not_left_beside_the_next(
    client: MlflowClient, behind: Proxy, tmp_path: Path
) -> None:
    """It is on the server, and was never given its files."""
    lost = iter(["cut answer"])
    with tracked(client, Home(tmp_path), model="twice", run_name="parent", artifacts=tmp_path.as_uri()) as run:
        bundle = a_bundle(tmp_path)
        behind.fault = lambda asked: next(lost, None) if asked.path.endswith("/logged-models") else None
        patient(lambda: register(run, bundle, model="twice", description="", tags={}), say=str)
    assert next(lost, None) is None, "no answer was lost"
    (left,) = client.search_logged_models([run.experiment_id])
    assert left.status == "READY"


def test_a_server_that_went_away_behind_the_files_of_a_version_has_them_once(
    client: MlflowClient, behind: Proxy, tmp_path: Path
) -> None:
    said: list[str] = []
    behind.fault = times(away.TRIES, "cut", "POST", "model-versions/create")
    with tracked(client, Home(tmp_path), model="away", run_name="parent", artifacts=tmp_path.as_uri()) as run:
        bundle = a_bundle(tmp_path)
        made = patient(lambda: register(run, bundle, model="away", description="", tags={}), say=said.append)
    assert made == 1
    assert len(said) == 1
    assert len(client.search_logged_models([run.experiment_id])) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut", "MLflow's server doesn't answer"),
        ("500", r"answers with an error \(500\)(.|\n)*look at its log"),  # its database is away
        ("502", r"answers with an error \(502\)(.|\n)*look at its log"),
    ],
)
def test_a_server_that_loses_every_answer_is_refused(
    client: MlflowClient, behind: Proxy, tmp_path: Path, fault: str, said: str
) -> None:
    behind.fault = times(9, fault, "POST", "runs/create")
    before = behind.count("POST", "runs/create")
    with (
        pytest.raises(Refusal, match=said),
        tracked(client, Home(tmp_path), model="lost", run_name="parent", artifacts=tmp_path.as_uri()),
    ):
        pass
    assert behind.count("POST", "runs/create") == before + (1 if fault == "500" else away.TRIES)


def test_a_look_at_a_record_that_is_silent_is_given_up_soon(
    client: MlflowClient, behind: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server says that it is well, and its database doesn't answer: a run would wait for many minutes."""
    monkeypatch.setattr(connecting, "PROBE_SECONDS", 2)
    behind.fault = lambda asked: "hang" if "runs/create" in asked.path else None
    before = behind.count("POST", "runs/create")
    with pytest.raises(Refusal, match="MLflow's server doesn't answer"):
        connecting.probe(Home(tmp_path), uri=behind.endpoint_url)
    assert behind.under_way == behind.count("POST", "runs/create") - before == 2


def test_a_server_that_answers_with_an_error_is_not_told_to_be_silent(client: MlflowClient, behind: Proxy) -> None:
    behind.fault = times(3, "503", "POST", "experiments/create")  # and twice more, by MLflow's own client
    said: list[str] = []
    patient(lambda: client.create_experiment("unwell"), say=said.append)
    assert [line.strip() for line in said] == ["waiting for MLflow: its server answers with an error (503)"]


@pytest.mark.slow
def test_of_two_who_make_the_first_of_a_model_at_once_both_go_on(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks before the other has made it."""
    client.create_experiment("at once")
    client.create_registered_model("at once")
    there, looks = client.get_experiment_by_name, iter([None])
    monkeypatch.setattr(client, "get_experiment_by_name", lambda name: next(looks, there(name)))
    monkeypatch.setattr(client, "search_registered_models", lambda _: [])
    with tracked(client, Home(tmp_path), model="at once", run_name="parent", artifacts=None) as run:
        assert run.experiment_id == there("at once").experiment_id
    _enter_name(client, "at once")
