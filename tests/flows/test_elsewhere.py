"""Whole runs whose bytes, records and pages are on servers: nothing but caches stays on the machine that runs them."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from components.home import Home
from components.planning.ledger import ledger_at
from components.settings import NAMES, variable
from components.store.folder import object_name
from flows.running import yard_of
from flows.servers.processes import asked
from flows.servers.services import temporary
from tasks.living.watch import CANCELLED, NAME
from tests.flows.place import Place
from tests.servers.mlflow import mlflow_server
from tests.servers.postgres import PASSWORD, PostgresServer
from tests.servers.s3 import BUCKET, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SETTINGS = [name for name in NAMES if name != "inherit"]
SECOND = ("run", "recipe.yaml", "--set", "quantize=[]")  # what is trained and exported comes from the first
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """Servers, and two machines that use them, by variables and by a file: one made version 1, the other version 2."""

    bucket: Path  # of the S3 server, as a folder
    prefect_api_url: str
    one: Place
    two: Place

    def flow_runs(self) -> int:
        """Return how many runs the Prefect server knows."""
        return int(asked(f"{self.prefect_api_url}/flow_runs/count", seconds=30, method="POST", content={}) or -1)


@pytest.fixture(scope="module")
def elsewhere(
    first: Place, server: S3Server, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elsewhere]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with ExitStack() as stack:
        shutil.copytree(first.home / "prefect", folder / "server" / "prefect")  # quicker than to make its tables
        prefect = stack.enter_context(temporary(Home(folder / "server")))
        mlflow = stack.enter_context(mlflow_server(folder, postgres.fresh()))
        prefect.ready()
        settings = {
            "store": f"s3://{BUCKET}/elsewhere/store",
            "ledger": postgres.fresh(),
            "dvc_remote": f"s3://{BUCKET}/elsewhere/dvc",
            "s3_endpoint_url": server.endpoint_url,
            "mlflow_tracking_uri": mlflow.url,
            "mlflow_artifacts": f"s3://{BUCKET}/elsewhere/mlflow",
            "prefect_api_url": prefect.api_url,
        }
        keys = {name: server.variables()[name] for name in AWS}
        variables = {variable(name): value for name, value in settings.items()}
        one = Place(folder=first.folder, home=folder / "one", settings=keys | variables)
        one.told["first"] = one.child("run", "recipe.yaml", "--json")
        two = replace(one, home=folder / "two", settings=keys, told={})
        two.home.mkdir()
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        (two.home / "config.toml").write_text("".join(lines))
        two.told["second"] = two.child(*SECOND, "--json")
        bucket = server.folder / BUCKET / "elsewhere"
        yield Elsewhere(bucket=bucket, prefect_api_url=prefect.api_url, one=one, two=two)


@pytest.fixture
def machine(elsewhere: Elsewhere, tmp_path: Path) -> Place:
    """A machine that has seen nothing yet."""
    return replace(elsewhere.one, home=tmp_path / "home")


def test_a_run_ends_with_the_same_bytes_as_at_home(first: Place, elsewhere: Elsewhere) -> None:
    there, here = elsewhere.one.told["first"].json, first.told["first"].json
    assert there["onnx"]["sha256"] == here["onnx"]["sha256"]
    assert there["decision"]["promoted"]
    assert list((elsewhere.bucket / "store" / "objects").rglob("*"))
    assert list((elsewhere.bucket / "dvc").rglob("*.dir"))
    assert list((elsewhere.bucket / "mlflow").rglob("model.onnx"))
    assert not list(elsewhere.one.home.rglob("*.db")), "records are on servers"
    assert not (elsewhere.one.home / "mlflow").exists()


def test_the_second_machine_went_on_from_the_first(elsewhere: Elsewhere) -> None:
    result = elsewhere.two.told["second"].json
    done = {one["name"]: one["cached"] for one in result["stages"]}
    assert done["train"]
    assert done["export uncompressed"]
    assert not done["profile"]
    assert (result["version"], result["decision"]["promoted"]) == (2, True)


def test_a_server_elsewhere_is_made_to_watch_over_silent_runs_and_cancelled_ones_once(elsewhere: Elsewhere) -> None:
    found = asked(f"{elsewhere.prefect_api_url}/automations/filter", seconds=30, method="POST", content={})
    assert sorted(one["name"] for one in json.loads(found or b"")) == sorted([NAME, CANCELLED])


def test_another_machine_finds_everything_done_and_starts_no_flow(elsewhere: Elsewhere, machine: Place) -> None:
    before = elsewhere.flow_runs()
    again = machine.child(*SECOND, "--json").json
    assert all(one["cached"] for one in again["stages"])
    told = elsewhere.two.told["second"].json
    assert [again[name] for name in ("run_id", "flow_run_id", "version")] == [
        told[name] for name in ("run_id", "flow_run_id", "version")
    ]
    assert Path(again["report"]).read_bytes() == Path(told["report"]).read_bytes()
    assert elsewhere.flow_runs() == before == 3, "one at home, whose records the server began with, and two"


def test_a_training_whose_machine_dies_is_taken_up_by_another(machine: Place, tmp_path: Path) -> None:
    sent = ledger_at(machine.settings[variable("ledger")]).database
    long = ("train.epochs=700", "train.checkpoint_seconds=0.1", "seed=9")
    train = ("run", "recipe.yaml", "--until", "train", *(word for one in long for word in ("--set", one)))
    seen = set[object]()
    with machine.begun(*train) as run:
        while len(seen) < 2:  # the first may hold no more than the linear model that the network begins as
            assert run.poll() is None, "it ended before it was killed"
            time.sleep(0.1)
            seen.update(sent.ask("SELECT folder FROM checkpoints"))
        run.kill()
    other = replace(machine, home=tmp_path / "other").child(*train)
    assert "train goes on from epoch" in other.err
    assert not sent.ask("SELECT key FROM checkpoints"), "it is done"


def test_data_comes_back_from_the_remote_on_another_machine(machine: Place, tmp_path: Path) -> None:
    (row,) = machine.call("data", "list", "--json").json
    told = machine.call("data", "restore", row["sha256"][:12], "--output", str(tmp_path / "back"))
    assert told.code == 0, told.err
    assert {path.name for path in (tmp_path / "back").iterdir()} == {"card.json", "part-00000.parquet"}


def test_the_doctor_tries_all_that_is_set_and_shows_no_secret(machine: Place) -> None:
    told = machine.call("doctor", "--json")
    found = {one["name"]: one for one in told.json}
    assert told.code == 0, [one for one in told.json if one["state"] == "bad"]
    assert {"store", "ledger", "dvc remote", "mlflow artifacts", "mlflow server", "mlflow run"} <= set(found)
    assert found["setting ledger"]["detail"].startswith("postgresql://***@127.0.0.1:")
    assert all(f"(from {variable(name)})" in found[f"setting {name}"]["detail"] for name in SETTINGS)
    assert quote(PASSWORD, safe="") not in told.out + told.err


@pytest.mark.parametrize(
    ("variables", "bad"),
    [
        ({"STEELYARD_STORE": "s3://nobody/store"}, {"store": "every stage"}),
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            {"store": "every stage", "dvc remote": "ingest", "mlflow artifacts": "registration"},
        ),
        ({"STEELYARD_LEDGER": "postgresql://me:hush-hush@127.0.0.1:9/db"}, {"ledger": "every command"}),
        ({"STEELYARD_MLFLOW_TRACKING_URI": "http://me:hush-hush@127.0.0.1:9"}, {"mlflow server": "runs"}),
        ({"STEELYARD_PREFECT_API_URL": "http://me:hush-hush@127.0.0.1:9/api"}, {"prefect server": "runs"}),
    ],
)
def test_the_doctor_names_what_fails_and_who_needs_it(
    machine: Place, variables: dict[str, str], bad: dict[str, str]
) -> None:
    told = replace(machine, settings={**machine.settings, **variables}).call("doctor", "--json")
    assert told.code == 2
    found = {one["name"]: one["detail"] for one in told.json if one["state"] == "bad"}
    assert found.keys() == bad.keys(), found
    assert all(f"is needed by {who}" in found[name] for name, who in bad.items()), found
    assert "hush-hush" not in told.out + told.err


def test_the_doctor_notes_a_ledger_that_speaks_of_what_only_one_machine_has(machine: Place) -> None:
    ledger = variable("ledger")
    told = replace(machine, settings={ledger: machine.settings[ledger]}).call("doctor", "--json")
    assert told.code == 0, told.out
    (note,) = [one["detail"] for one in told.json if one["name"] == "shared ledger"]
    assert note.startswith("store, dvc_remote, mlflow_tracking_uri: not set")
    assert not [one for one in machine.call("doctor", "--json").json if one["name"] == "shared ledger"]


def test_the_doctor_tells_every_setting_that_is_wrong(machine: Place) -> None:
    wrong = {"STEELYARD_STORE": "store", "STEELYARD_LEGDER": "postgresql://me:hush-hush@host/db"}
    told = replace(machine, settings=wrong).call("doctor", "--json")
    assert told.code == 2
    assert {one["detail"].partition(":")[0] for one in told.json if one["state"] == "bad"} == set(wrong)
    assert "hush-hush" not in told.out + told.err


def test_releases_are_shown_asked_moved_and_verified_on_another_machine(machine: Place, tmp_path: Path) -> None:
    assert machine.call("show", "people", "--json").json["version"]["version"] == 2
    told = machine.call("predict", "people", "people.csv", "--output", str(tmp_path / "answers.csv"))
    assert told.code == 0, told.err
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 201
    checks = machine.call("verify", "people", "--json").json
    assert {one["status"] for one in checks} == {"verified", "stated"}, checks
    assert machine.call("rollback", "people", "--reason", "as tried").code == 0
    assert machine.call("show", "people", "--json").json["version"]["version"] == 1
    assert machine.call("promote", "people", "2", "--force").code == 0
    assert machine.call("list", "--json").json[0]["champion"]


def test_reap_tidies_all_of_these_servers_and_releases_live_on(
    elsewhere: Elsewhere, machine: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one here: results are gone afterwards."""
    for name, value in machine.settings.items():
        monkeypatch.setenv(name, value)
    yard = yard_of(Home(machine.home), "people")
    (tmp_path / "left").write_bytes(b"never recorded")
    left = yard.store.put(tmp_path / "left").digest
    for table in ("records", "uses", "releases"):
        yard.ledger.database.change(f"UPDATE {table} SET at = at - ?", (40 * 86_400,))
    worker = elsewhere.two  # has copies of its own
    for part in (elsewhere.bucket, machine.home / "store", worker.home / "store"):
        for path in part.rglob("*"):
            os.utime(path, (then := path.stat().st_mtime - 40 * 86_400, then))
    prefect = elsewhere.one.home.parent / "server" / "prefect" / "prefect.db"
    with closing(sqlite3.connect(prefect, timeout=60)) as connection:
        connection.execute("UPDATE flow_run SET end_time = '2020-01-01 00:00:00.000000' WHERE end_time IS NOT NULL")
        connection.commit()
    rows = elsewhere.flow_runs()
    told = machine.child("reap", "--yes", "--json").json
    found = {one["kind"]: {item["name"] for item in one["items"]} for one in told["kinds"]}
    assert told["left_out"] == []
    assert found.keys() == {"results", "objects", "copies", "flow runs"}
    assert found["copies"] == {left}
    assert left in found["objects"]
    assert len(found["flow runs"]) >= 2
    assert elsewhere.flow_runs() == rows - len(found["flow runs"])
    assert not (elsewhere.bucket / "store" / object_name(left)).exists()
    for version in ("1", "2"):
        checks = machine.call("verify", "people", "--version", version, "--json").json
        assert {one["status"] for one in checks} == {"verified", "stated"}, checks
    assert machine.child("reap", "--json").json["kinds"] == []
    before, needed = copies(worker.home / "store"), copies(elsewhere.bucket / "store")
    told = worker.child("reap", "--yes", "--json").json
    found = {one["kind"]: {item["name"] for item in one["items"]} for one in told["kinds"]}
    assert found["copies"] == before - needed != set()
    assert found.keys() <= {"copies", "folders"}
    assert copies(worker.home / "store") == before & needed != set()
    assert worker.call("verify", "people").code == 0


def copies(store: Path) -> set[str]:
    """The digests of the blobs in a folder."""
    return {path.parent.name + path.name for path in (store / "objects").glob("*/*")}
