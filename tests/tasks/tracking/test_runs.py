"""MLflow on SQLite: figures arrive in batches, and training neither waits for them nor dies of them."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, ViewType
from mlflow.exceptions import MlflowException, RestException
from onnx import TensorProto, helper

from components.errors import Refusal
from components.home import Home
from components.reap.marking import Registered
from tasks import registry
from tasks.registry import Bundle, alias_in_database, answers, download, register
from tasks.tracking import away, runs, sending
from tasks.tracking.away import patient
from tasks.tracking.connecting import PROBES, check, connect, probe
from tasks.tracking.runs import LEDGER, joined, tracked
from tasks.tracking.unended import began, end_open, open_runs
from tasks.until import Reached
from tests.servers.faults import wait_until

ROWS = [{"age": 1.0}]
soon = partial(wait_until, seconds=20)


def net(path: Path) -> Path:
    """An ONNX file as ours are: its answer to a row is the age, plus a half."""
    nodes = [
        helper.make_node("Cast", ["age"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Add", ["real", "half"], ["values"]),
    ]
    inputs = [helper.make_tensor_value_info("age", TensorProto.DOUBLE, ["batch", 1])]
    outputs = [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", 1])]
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opsets, ir_version=10)
    columns = json.dumps({"age": "number", "price": "number"})
    facts = {"task": "regression", "classes": "[]", "columns": columns, "target": "price"}
    helper.set_model_props(model, {f"steelyard.{key}": value for key, value in facts.items()})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    found = Home(tmp_path_factory.mktemp("home"))
    connect(found)
    return found


def test_every_figure_of_a_run_arrives(home: Home) -> None:
    client = connect(home)
    with tracked(client, home, model="m", run_name="r", artifacts=home.mlflow_artifacts.as_uri()) as run:
        for step in range(3000):
            run.metrics({"train.loss": float(step), "odd name: ä?": 1.0}, step=step)
    history = client.get_metric_history(run.run_id, "train.loss")
    assert [metric.value for metric in sorted(history, key=lambda one: one.step)] == list(map(float, range(3000)))
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_any_name_of_a_parameter_is_taken_and_none_takes_the_place_of_another(home: Home) -> None:
    client = connect(home)
    columns = ["# orders", "% orders", "a//b", "fail/", "../up", "x" * 300, "x" * 301, "ä-b.c d:1"]
    names = [f"data.columns.{name}" for name in columns]
    with tracked(client, home, model="m", run_name="r", artifacts=None) as run:
        run.params({name: str(number) for number, name in enumerate(names)})
    params = client.get_run(run.run_id).data.params
    assert sorted(params.values()) == sorted(str(number) for number in range(len(names)))
    assert [params[f"data.columns.{name}"] for name in ("_ orders", "_ orders 2", "ä-b.c d:1")] == ["0", "1", "7"]


def test_the_end_of_a_run_says_how_it_ended(home: Home) -> None:
    client = connect(home)
    for error, status in ((ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (Reached, "FINISHED")):
        with (
            pytest.raises(error),
            tracked(client, home, model="m", run_name="r", artifacts=home.mlflow_artifacts.as_uri()) as run,
        ):
            raise error
        assert client.get_run(run.run_id).info.status == status


def silent(*_: object, **__: object) -> None:
    """What MLflow's client raises where nobody answers."""
    raise MlflowException("API request to http://there/api failed with exception HTTPConnectionPool: refused")


def fail(error: Exception) -> None:
    raise error


def recorded(client: MlflowClient, run_id: str, name: str) -> list[int]:
    return sorted(metric.step for metric in client.get_metric_history(run_id, name))


def test_what_a_server_that_stayed_away_did_not_take_is_sent_by_the_next_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(runs, "LAST_FLUSH_SECONDS", 0.2)
    client = connect(home)
    with (
        monkeypatch.context() as outage,
        pytest.raises(ValueError, match="a bug"),
        tracked(client, home, model="m", run_name="r", artifacts=None) as run,
    ):
        run.metrics({"loss": 0.5}, step=7)
        soon(lambda: recorded(client, run.run_id, "loss") == [7])
        outage.setattr(client, "log_batch", silent)
        outage.setattr(client, "set_terminated", silent)
        run.metrics({"loss": 0.25}, step=8)
        raise ValueError("a bug")
    left = home.runs / run.run_id
    assert {path.name for path in left.iterdir()} == {"unsent.jsonl", "unsent-end.json"}
    for _ in range(2):
        with tracked(client, home, model="m", run_name="next", artifacts=None) as later:
            later.metrics({"loss": 1.0}, step=0)
    assert recorded(client, run.run_id, "loss") == [7, 8]
    assert client.get_run(run.run_id).info.status == "FAILED"
    assert not list(left.iterdir())


def test_a_stage_that_is_taken_up_again_has_each_epoch_once_whoever_sent_it(home: Home) -> None:
    """The first process sent some epochs, left one in a file, and was killed before it sent another."""
    client = connect(home)
    with tracked(client, home, model="m", run_name="r", artifacts=None) as run:
        done = [Metric("loss", 1.0 - step / 8, 1000 + step, step) for step in (0, 2)]
        client.log_batch(run.run_id, metrics=done)
        left = home.runs / run.run_id / "unsent-of-the-first.jsonl"
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_text(json.dumps(["loss", 1.0 - 3 / 8, 1003, 3]) + "\n")
        with joined(home, run.run_id, uri=None) as again:
            again.metrics({"loss": 1.0}, step=0)
            soon(lambda: not left.exists())
            for step in range(1, 6):
                again.metrics({"loss": 1.0 - step / 8}, step=step)
    assert recorded(client, run.run_id, "loss") == [0, 1, 2, 3, 4, 5]


def test_another_value_of_an_epoch_is_another_figure(home: Home) -> None:
    """A stage that runs short of memory begins again with half the batch."""
    client = connect(home)
    with tracked(client, home, model="m", run_name="r", artifacts=None) as run:
        for value in (1.0, 2.0):
            with joined(home, run.run_id, uri=None) as live:
                live.metrics({"loss": value}, step=0)
    assert recorded(client, run.run_id, "loss") == [0, 0]


def test_a_run_that_a_worker_joins_may_be_on_a_server_that_is_away(home: Home) -> None:
    client = connect(home, uri="http://127.0.0.1:9", ask=False)
    assert client.tracking_uri == "http://127.0.0.1:9"
    connect(home)


def test_a_registry_that_is_away_is_waited_for_and_one_that_denies_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "AGAIN_SECONDS", 0.0)
    said: list[str] = []
    failures = [3]

    def work() -> str:
        failures[0] -= 1
        if failures[0] >= 0:
            silent()
        return "done"

    assert patient(work, say=said.append) == "done"
    assert len(said) == 1
    for error in (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), ValueError("a bug")):
        with pytest.raises(type(error)):
            patient(partial(fail, error), say=said.append)
    assert away.AWAY_SECONDS > 600
    monkeypatch.setattr(away, "AWAY_SECONDS", 0.0)
    with pytest.raises(Refusal, match="doesn't answer, for 0 minutes now"):
        patient(silent, say=said.append)


def test_a_child_run_is_told_once_however_often_it_is_begun(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(home)
    with tracked(client, home, model="m", run_name="r", artifacts=None) as run:
        with monkeypatch.context() as outage:
            outage.setattr(client, "log_batch", silent)
            with pytest.raises(MlflowException):
                run.child("int8 + pruned, the 'small' one", params={}, metrics={"size_bytes": 3})
        for _ in range(2):
            run.child("int8 + pruned, the 'small' one", params={"verdict": "front"}, metrics={"size_bytes": 3})
    (child,) = client.search_runs([run.experiment_id], f"tags.`mlflow.parentRunId` = '{run.run_id}'")
    assert (child.info.status, child.data.metrics, child.data.params) == (
        "FINISHED",
        {"size_bytes": 3},
        {"verdict": "front"},
    )


def test_a_damaged_database_is_refused_before_anything_runs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.mlflow_db.parent.mkdir(parents=True)
    home.mlflow_db.write_bytes(b"This is no database at all." * 100)
    with pytest.raises(Refusal, match="MLflow's database is damaged"):
        check(home)
    with pytest.raises(Refusal, match="damaged"):
        alias_in_database(home, "m")


def test_a_probe_leaves_a_deleted_run_and_is_made_again(home: Home) -> None:
    for _ in range(2):
        probe(home, uri=None)
    client = connect(home)
    experiment = client.get_experiment_by_name(PROBES).experiment_id
    assert client.search_runs([experiment]) == []
    assert len(client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)) == 2


def test_a_server_that_denies_is_something_to_mend_and_told_without_the_login(home: Home) -> None:
    class Denies(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(403, "not you")

    with ThreadingHTTPServer(("127.0.0.1", 0), Denies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(Refusal, match=r"MLflow denies it: (.|\n)*403") as caught:
            connect(home, uri=f"http://me:hush-hush@127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "hush-hush" not in str(caught.value)


def test_a_new_experiment_keeps_its_artifacts_where_it_is_told(home: Home) -> None:
    client = connect(home)
    for artifacts, place in (("s3://bucket/mlflow", "s3://bucket/mlflow/far"), ("/other", "s3://bucket/mlflow/far")):
        with tracked(client, home, model="far", run_name="r", artifacts=artifacts) as run:
            pass
        assert client.get_experiment(run.experiment_id).artifact_location == place


def test_the_alias_is_read_without_mlflow(home: Home) -> None:
    client = connect(home)
    client.create_registered_model("read")
    client.create_model_version("read", source=home.mlflow_artifacts.as_uri())
    assert alias_in_database(home, "read") is None
    registry.set_alias(client, "read", 1)
    assert alias_in_database(home, "read") == 1 == registry.alias(client, "read")
    assert registry.known_versions(home, "read", uri=None) == {1}
    with sqlite3.connect(home.mlflow_db) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_version_that_the_registry_never_had_or_has_no_longer_is_gone(home: Home, tmp_path: Path) -> None:
    client = connect(home)
    client.create_registered_model("lost")
    client.create_model_version("lost", source=home.mlflow_artifacts.as_uri())
    client.delete_model_version("lost", "1")
    for model, version in (("lost", 1), ("lost", 2), ("lost", "champion"), ("never", 1)):
        with pytest.raises(registry.Gone, match=f"the registry no longer has {model}.{version}"):
            download(model, version, into=tmp_path / "there")


def test_a_home_of_any_name_has_its_database_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "a b#c%20d?e")
    client = connect(home)
    client.create_registered_model("read")
    client.create_model_version("read", source=home.mlflow_artifacts.as_uri())
    registry.set_alias(client, "read", 1)
    assert alias_in_database(home, "read") == 1
    assert home.mlflow_db.exists()


def test_an_address_has_the_path_as_it_is_where_that_can_be_read() -> None:
    assert Home(Path("/ä b#c/d")).mlflow_uri == "sqlite:////ä b#c/d/mlflow/mlflow.db"
    assert Home(Path("/a%20?")).mlflow_uri == "sqlite:////a%2520%3F/mlflow/mlflow.db"


def test_a_registered_version_tells_nothing_of_the_machine_it_came_from(home: Home, tmp_path: Path) -> None:
    client = connect(home)
    files = {"onnx": net(tmp_path / "model.onnx"), "trial": tmp_path / "trial.json"}
    files["trial"].write_text("{}")
    spoken = [("age", "double", True)], [("prediction", "double", True)]
    bundle = Bundle(files=files, inputs=spoken[0], outputs=spoken[1], example=ROWS)
    with tracked(client, home, model="m", run_name="r", artifacts=home.mlflow_artifacts.as_uri()) as run:
        version = register(run, bundle, model="private", description="the first", tags={"steelyard.gate": "yes"})
    folder = download("private", version, into=tmp_path / "there")
    text = (folder / "MLmodel").read_text()
    assert "/" not in text.replace("artifacts/", "").replace("application/", "")
    assert [str(path) for path in (home.root, tmp_path, Path(runs.__file__).parents[2]) if str(path) in text] == []
    assert answers(folder, ROWS)["prediction"].tolist() == [1.5]
    seen = run.client.get_model_version("private", str(version))
    assert register(run, bundle, model="private", description="again", tags={}) == version, "the run has made it"
    assert (seen.description, seen.tags, seen.run_id) == ("the first", {"steelyard.gate": "yes"}, run.run_id)
    again = {"model": "private", "description": "", "tags": {}}
    assert register(run, bundle, **again, spent={1, 2}) == 3, "another run's number is passed over"
    assert registry.versions(run.client, "private") == [3]
    assert register(run, bundle, **again, spent={1, 2}) == 3


def test_a_home_that_was_moved_has_its_versions_and_one_whose_files_are_gone_says_so(
    home: Home, tmp_path: Path
) -> None:
    before, after, elsewhere = (
        Home(tmp_path / "here"),
        Home(tmp_path / "over there, ü"),
        tmp_path / "mlflow/artifacts/n",
    )
    shutil.copytree(home.root, before.root)
    spoken = {"inputs": [("age", "double", True)], "outputs": [("prediction", "double", True)]}
    bundle = Bundle(files={"onnx": net(tmp_path / "model.onnx")}, **spoken, example=ROWS)
    client = connect(before)
    with tracked(client, before, model="moved", run_name="r", artifacts=before.mlflow_artifacts.as_uri()) as run:
        version = register(run, bundle, model="moved", description="", tags={})
        run.artifact(tmp_path / "model.onnx")
    (tmp_path / "mlflow").mkdir()
    client.create_experiment("of another place", artifact_location=elsewhere.as_uri())
    client.create_experiment("empty", artifact_location=(before.mlflow_artifacts / "empty").as_uri())
    before.root.rename(after.root)
    client = connect(after)
    folder = download("moved", version, into=tmp_path / "whole")
    assert (folder / "artifacts" / "model.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()
    assert [one.path for one in client.list_artifacts(run.run_id)] == ["model.onnx"]
    kept = {one.name: one.artifact_location for one in client.search_experiments()}
    assert kept["of another place"] == elsewhere.as_uri()
    assert kept["empty"] == (after.mlflow_artifacts / "empty").as_uri()
    with tracked(client, after, model="moved", run_name="again", artifacts=None) as run:
        run.artifact(tmp_path / "model.onnx")
    assert not before.root.exists(), "what is new is written where the home is"
    shutil.rmtree(after.mlflow_artifacts / "moved" / "models")
    with pytest.raises(Refusal, match=f"moved/{version} are gone"):
        download("moved", version, into=tmp_path / "gone")


@pytest.mark.slow
def test_processes_that_are_the_first_in_a_home_at_once_make_its_tables_once(tmp_path: Path) -> None:
    """A killed one has left half of them behind."""
    home = Home(tmp_path)
    home.mlflow_db.parent.mkdir(parents=True)
    home.mlflow_db.with_name("mlflow.new.db").write_bytes(b"half a database")
    body = "import sys; from pathlib import Path; from components.home import Home; from tasks.tracking.connecting import connect;"
    body += "print(len(connect(Home(Path(sys.argv[1]))).search_experiments()))"
    first = [
        subprocess.Popen([sys.executable, "-c", body, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    told = [one.communicate(timeout=200) for one in first]
    assert [out.strip() for out, _ in told] == [b"1"] * 4, told
    assert {path.name for path in home.mlflow_db.parent.iterdir()} == {"mlflow.db", "mlflow.lock"}


def test_runs_without_an_end_are_told_by_their_ledger_and_marked_as_killed(home: Home) -> None:
    client = connect(home)
    with tracked(client, home, model="open", run_name="r", artifacts=None, ledger="ours") as run:
        client.create_run(run.experiment_id, tags={"mlflow.parentRunId": run.run_id})
        client.create_run(run.experiment_id, tags={LEDGER: "another"})
        found = open_runs(client, "ours")
        assert len(found) == 2
        assert {one.parent for one in found} == {run.run_id}
        assert {(one.model, abs(one.began - time.time()) < 60) for one in found} == {("open", True)}
        assert began(client, run.run_id) in {one.began for one in found}
    (child,) = open_runs(client, "ours")
    assert end_open(client, child.run_id)
    assert client.get_run(child.run_id).info.status == "KILLED"
    assert not end_open(client, run.run_id)
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert began(client, "nobody") == 0.0


def test_versions_are_told_with_their_aliases_and_their_data(home: Home) -> None:
    client = connect(home)
    client.create_registered_model("aliased")
    for data in ("d1", "d2"):
        client.create_model_version("aliased", "file:///nowhere", tags={"steelyard.data_sha256": data})
    client.set_registered_model_alias("aliased", "shadow", "1")
    client.delete_model_version("aliased", "2")
    assert registry.registered(client, "aliased") == {1: Registered(aliases={"shadow"}, data="d1")}
    assert registry.registered(client, "never registered") == {}
