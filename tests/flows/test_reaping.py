"""`reap` in a home with two promoted versions: what it removes, and that all that may be asked for is still there."""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.home import Home
from components.planning import held
from components.planning.held import DATA, REAP, RUN, living
from components.planning.history import results
from components.planning.key import Json
from components.planning.ledger import Lease, Ledger, Record, ledger_at
from components.planning.mirror import Mirror
from components.reap.garbage import Garbage
from components.store.artifact import Stored
from components.store.folder import sha256
from flows.reap import reap as reaping
from flows.reap.reap import reap
from flows.running import yard_of
from flows.state import sign
from tasks.remote.pools import deployment_of
from tasks.remote.rows import LEDGER, TAG
from tasks.remote.rows import RUN as RUN_TAG
from tasks.stage import Yard
from tasks.versioning import Pieces, snapshot
from tests.flows.conftest import people
from tests.flows.place import Place, Told
from tests.servers.faults import proxy
from tests.servers.prefect import shared_server

pytestmark = pytest.mark.timeout(900)
DAY = 86_400
TABLES = ("records", "uses", "runs", "releases", "moves", "decisions", "checkpoints")


def age(home: Home, *, days: float, but: str = "") -> None:
    """Let everything in the home look as old as that; without a table, if need be."""
    back = days * DAY
    database = ledger_at(home.ledger).database
    for table in {*TABLES} - {but}:
        database.change(f"UPDATE {table} SET at = at - ?", (back,))
    rows = [] if but == "releases" else database.ask("SELECT model, version, content FROM releases")
    for model, version, content in rows:
        told = json.loads(content)
        told["at"] -= back
        set_content = "UPDATE releases SET content = ? WHERE model = ? AND version = ?"
        database.change(set_content, (json.dumps(told), model, version))
    with closing(sqlite3.connect(home.mlflow_db)) as connection:
        connection.execute("UPDATE runs SET start_time = start_time - ?", (int(back * 1000),))
        connection.commit()
    files = {path.lstat().st_ino: path for part in ("store", "work", "dvc") for path in (home.root / part).rglob("*")}
    for path in sorted(files.values(), reverse=True):
        status = path.lstat()
        os.utime(path, (status.st_atime - back, status.st_mtime - back))


def leave(yard: Yard, text: str, *, stage: str = "train", recorded: bool = True) -> str:
    """Leave an object, and a result that names it; return its digest."""
    source = yard.home.root / "left"
    source.write_text(text)
    kept = yard.store.put(source)
    if recorded:
        lease = yard.ledger.acquire(text, seconds=5)
        assert lease is not None
        stamps = yard.store.stamps(kept)
        assert stamps is not None
        record = Record(
            key=text, stage=stage, label=stage, model="people", run="gone", outputs={}, stamps=stamps, parts={},
            seconds=1.0, at=time.time(),
        )  # fmt: skip
        yard.ledger.commit(lease, record)
    return kept.digest


def checkpoint(yard: Yard, key: str) -> tuple[str, Lease]:
    """Leave a checkpoint in the store, with its stage at work; return the digest of the file in it, and the lease."""
    folder = yard.home.root / key
    folder.mkdir()
    (folder / "weights").write_text(key)
    lease = yard.ledger.acquire(f"stage {key}", seconds=600)
    assert lease is not None
    assert yard.ledger.keep_checkpoint(lease, key, yard.store.put(folder))
    return sha256(folder / "weights"), lease


def open_run(home: Home, name: str) -> str:
    """Leave a run in MLflow as a killed process does; return its id."""
    from tasks.tracking.connecting import connect
    from tasks.tracking.runs import LEDGER

    client = connect(home)
    experiment = client.get_experiment_by_name("people")
    assert experiment is not None
    tags = {LEDGER: ledger_at(home.ledger).identity()}
    return str(client.create_run(experiment.experiment_id, run_name=name, tags=tags).info.run_id)


def status(home: Home, run: str) -> str:
    with closing(sqlite3.connect(home.mlflow_db)) as connection:
        return str(connection.execute("SELECT status FROM runs WHERE run_uuid = ?", (run,)).fetchone()[0])


def names(told: Told, kind: str) -> set[str]:
    assert told.code == 0, told.err
    return {item["name"] for one in told.json["kinds"] if one["kind"] == kind for item in one["items"]}


def stored(home: Home) -> set[str]:
    return {one.name for one in yard_of(home, "").store.blobs.stored() if one.kind == "object"}


@pytest.fixture
def yard(place: Place, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setenv("STEELYARD_HOME", str(place.home))
    return yard_of(Home(place.home), "people")


def test_what_nothing_refers_to_goes_and_releases_live_on(place: Place, yard: Yard) -> None:
    """The last steps are a rollback, and a run on more data that goes on from the splits before."""
    home = yard.home
    old, unrecorded = leave(yard, "old"), leave(yard, "never recorded", recorded=False)
    killed, at_work = open_run(home, "killed"), open_run(home, "at work")
    (stopped, ended), (working, stage) = checkpoint(yard, "stopped"), checkpoint(yard, "working")
    yard.ledger.release(ended)
    piece = home.dvc_remote / "files" / "md5" / "ab" / ("c" * 30)
    piece.parent.mkdir(exist_ok=True)
    piece.write_text("never recorded")
    (home.work / "key" / "token").mkdir(parents=True)
    (home.work / "key" / "token" / "checkpoint").write_bytes(b"x" * 1000)
    age(home, days=40)
    young = leave(yard, "young", recorded=False)
    assert yard.ledger.note_use("people", "train", "old")
    lease = yard.ledger.acquire(RUN + at_work, seconds=600)
    assert lease is not None
    assert place.call("reap", "--json").json["kinds"] == []  # that run has begun before all of this came
    yard.ledger.release(lease)

    told = place.call("reap", "--json")
    assert names(told, "checkpoints") == {"stopped"}
    assert stopped in names(told, "objects")
    assert working not in names(told, "objects")
    assert not names(told, "data")
    assert any("a stage is at work" in note for note in told.json["left_out"])
    yard.ledger.release(stage)

    before = stored(home)
    listed = place.call("reap", "--json")
    assert {unrecorded, working} <= names(listed, "objects") <= before - {old, young}
    assert names(listed, "data") == {"ab" + "c" * 30}
    assert names(listed, "runs") == {killed, at_work}
    assert names(listed, "work") == {str(home.work / "key")}
    assert "old" not in names(listed, "results")
    assert len(names(listed, "results")) > 10
    assert (stored(home), status(home, killed)) == (before, "RUNNING")  # it was only listed
    shown = place.call("reap").out
    assert "to free; nothing was removed: `steelyard reap --yes` does that" in shown

    removed = place.call("reap", "--yes", "--json")
    assert [removed.json[key] for key in ("kinds", "size_bytes")] == [
        listed.json[key] for key in ("kinds", "size_bytes")
    ]
    assert stored(home) == before - names(listed, "objects")
    assert (status(home, killed), list(home.work.iterdir())) == ("KILLED", [])
    assert (yard.ledger.checkpoints(), piece.exists()) == ({}, False)
    assert {"old"} == {key for (key,) in yard.ledger.database.ask("SELECT key FROM records WHERE stage = 'train'")}
    assert place.call("reap", "--json").json["kinds"] == []

    for version in ("1", "2"):
        checks = place.call("verify", "people", "--version", version, "--json").json
        assert {one["status"] for one in checks} == {"verified", "stated"}
    (data,) = place.call("data", "list", "--json").json
    assert place.call("data", "restore", data["sha256"], "--output", str(home.root / "back")).code == 0
    assert place.call("rollback", "people").code == 0
    assert place.call("predict", "people", "people.csv", "--output", str(home.root / "answers.csv")).code == 0

    (home.root / "people.csv").write_text(people(220), "utf-8")
    more = ("--set", f"data.source={home.root / 'people.csv'}", "--set", "train.optimizer.lr=0.04")
    result = place.call("run", "recipe.yaml", *more, "--json", code=0).json
    assert (result["version"], result["decision"]["promoted"]) == (3, True)
    assert "people 1" in result["decision"]["reason"]  # it was compared with the champion
    (split, *_) = yard.ledger.history("people", "split")
    assert isinstance(split.outputs, dict)
    assert split.outputs["previous"] is not None
    uses = yard.ledger.database.ask("SELECT at FROM uses WHERE label = 'split'")
    assert all(at > time.time() - DAY for (at,) in uses)  # what is continued is in use


def test_what_a_dead_run_has_asked_of_workers_is_withdrawn(
    place: Place, yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not what others wait for: of a run that lives, or that couldn't renew its lease of late, or of theirs."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.states import Pending

    ours = yard.ledger.identity()
    assert yard.ledger.acquire(RUN + "late", seconds=-60)
    with (
        living(RUN + "alive", yard.ledger, seconds=600),
        shared_server() as server,
        SyncPrefectClient(server.api_url, httpx_settings={"trust_env": False}) as client,
    ):
        pool = client.create_work_pool(WorkPoolCreate(name=uuid.uuid4().hex, type="process"))
        deployment = deployment_of(client, pool)
        asked = {
            (ledger, run): client.create_flow_run_from_deployment(
                deployment, tags=[TAG, LEDGER + ledger, RUN_TAG + run]
            ).id
            for ledger, run in (
                (ours, "dead"),
                (ours, "alive"),
                (ours, "late"),
                (ours, "dead as its worker"),
                ("theirs", "dead"),
            )
        }
        pending = client.create_flow_run_from_deployment(deployment, tags=[TAG, LEDGER + ours, RUN_TAG + "alive"]).id
        for one in (pending, asked[ours, "dead as its worker"]):
            client.set_flow_run_state(one, Pending(), force=True)
        dead = {asked[ours, "dead"], asked[ours, "dead as its worker"]}
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", server.api_url)

        def cancelled() -> set[uuid.UUID]:
            states = {one: client.read_flow_run(one).state for one in (*asked.values(), pending)}
            return {one for one, state in states.items() if state and state.is_cancelled()}

        assert names(place.call("reap", "--json"), "requests") == set(map(str, dead))
        assert cancelled() == set(), "it was only listed"
        assert names(place.call("reap", "--yes", "--json"), "requests") == set(map(str, dead))
        assert cancelled() == dead
        assert names(place.call("reap", "--json"), "requests") == set()


def test_a_prefect_that_answers_with_an_error_is_asked_once_and_its_rows_are_left_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with shared_server() as server, proxy(server.api_url) as unwell:
        unwell.fault = lambda asked: "503" if "flow_runs/count" in asked.path else None
        url = f"{unwell.endpoint_url}/api"
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", url)
        with temporary_settings({PREFECT_API_URL: url}):
            told = place.call("reap", "--json", code=0).json
        assert unwell.count("POST", "flow_runs/count") == 1
    assert "flow runs: Prefect answers with an error (503)" in told["left_out"]


def test_versions_that_cannot_rise_again_go_unless_an_alias_pins_them(place: Place, yard: Yard) -> None:
    from tasks.tracking.connecting import connect

    assert place.call("rollback", "people").code == 0  # version 2 is barred
    leave(yard, "later split", stage="split")  # which the next one continues
    age(yard.home, days=40)
    client = connect(yard.home)
    client.set_registered_model_alias("people", "pinned", "2")
    (two,) = (one for one in place.call("list", "--json").json if one["version"] == 2)
    assert two["state"] == "rolled back"
    onnx = place.told["second"].json["onnx"]["sha256"]
    assert onnx not in names(place.call("reap", "--json"), "objects")
    assert "later split" not in names(place.call("reap", "--json"), "results")
    client.delete_registered_model_alias("people", "pinned")
    assert onnx in names(place.call("reap", "--json"), "objects")


@pytest.mark.parametrize("kind", ["results", "objects"])
def test_a_version_that_is_pinned_while_reap_is_at_work_keeps_what_is_left_of_it(
    place: Place, yard: Yard, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The first thing of the kind goes; then somebody pins the version, and the rest of the kind stays."""
    from tasks.tracking.connecting import connect

    assert place.call("rollback", "people").code == 0  # version 2 is barred
    age(yard.home, days=40)
    onnx = place.told["second"].json["onnx"]["sha256"]
    before, taken = stored(yard.home), list[Garbage]()
    assert onnx in names(place.call("reap", "--json"), "objects")

    def one_by_one(found: Iterable[Garbage]) -> Iterator[list[Garbage]]:
        for one in sorted(found, key=lambda one: one.name == onnx):
            if one.kind == kind and len(taken) == 1:
                connect(yard.home).set_registered_model_alias("people", "pinned", "2")
            taken.extend([one] if one.kind == kind else [])
            yield [one]

    monkeypatch.setattr(reaping, "_chunks", one_by_one)
    found = reap(yard.home, keep_days=30, remove=True)
    assert [one for one in found.found if one.kind == kind] == taken[:1]
    assert "people 2 was given an alias meanwhile" in "".join(found.notes)
    assert onnx in stored(yard.home)
    if kind == "objects":
        assert before - stored(yard.home) == {taken[0].name}
    monkeypatch.undo()
    connect(yard.home).delete_registered_model_alias("people", "pinned")


def test_a_barred_version_and_reap_keep_out_of_each_others_way(place: Place, yard: Yard) -> None:
    assert place.call("rollback", "people").code == 0
    lease = yard.ledger.acquire(REAP, seconds=600)
    assert lease is not None
    assert place.call("promote", "people", "2", "--force").refused("`reap` is at work")
    yard.ledger.release(lease)
    assert place.call("promote", "people", "2", "--force").code == 0
    assert not yard.ledger.is_taken(REAP)


def test_an_unchanged_run_uses_its_results(place: Place, yard: Yard) -> None:
    age(yard.home, days=40, but="releases")  # which are inputs of the gate
    again = place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--json")
    assert all(one["cached"] for one in again.json["stages"])
    used = {key for (key,) in yard.ledger.database.ask("SELECT key FROM uses WHERE at > ?", (time.time() - DAY,))}
    assert len(used) > 8
    assert not used & names(place.call("reap", "--json"), "results")


def test_a_place_that_another_ledger_knows_is_left_alone(place: Place, yard: Yard) -> None:
    left = leave(yard, "left", recorded=False)
    age(yard.home, days=40)
    yard.store.blobs.sign("another")
    told = place.call("reap", "--yes", "--json")
    assert not names(told, "objects")
    assert any("another ledger has records about" in note for note in told.json["left_out"])
    assert left in stored(yard.home)


@pytest.fixture
def taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """A home whose only result is a data set, old, in a DVC remote that isn't the home's own."""
    monkeypatch.setenv("STEELYARD_DVC_REMOTE", str(tmp_path / "remote"))
    yard, work = yard_of(Home(tmp_path / "home"), "people"), tmp_path / "taken in"
    (work / "data").mkdir(parents=True)
    for name in ("a", "b"):
        (work / "data" / name).write_text(name)
    outputs: Json = {"dvc_md5": snapshot(work / "data", workspace=work, remote=yard.remote).md5}
    lease = yard.ledger.acquire("data", seconds=5)
    assert lease is not None
    record = Record(
        key="data", stage="ingest", label="ingest", model="people", run="gone", outputs=outputs, stamps={}, parts={},
        seconds=1.0, at=time.time() - 40 * DAY,
    )  # fmt: skip
    yard.ledger.commit(lease, record)
    yard.ledger.database.change("UPDATE uses SET at = at - ?", (40 * DAY,))
    for path in (tmp_path / "remote").rglob("*"):
        os.utime(path, (time.time() - 40 * DAY,) * 2)
    sign(yard)
    return yard


def in_remote(yard: Yard) -> int:
    return sum(path.is_file() for path in (Path(yard.remote.url) / "files").rglob("*"))


def reaped(yard: Yard) -> set[str]:
    return {one.kind for one in reap(yard.home, keep_days=30, remove=True).found}


def test_data_that_could_not_go_along_with_its_result_goes_the_next_time(taken_in: Yard) -> None:
    working = taken_in.ledger.acquire("stage working", seconds=600)
    assert working is not None
    assert (reaped(taken_in), in_remote(taken_in)) == ({"results"}, 3)
    assert (taken_in.ledger.record("data"), results(taken_in.ledger, "ingest")) == (None, [])
    taken_in.ledger.release(working)
    assert (reaped(taken_in), in_remote(taken_in)) == ({"data"}, 0)
    assert taken_in.ledger.database.ask("SELECT key FROM records") == []


@pytest.mark.parametrize("until", [0, 1, 2])
def test_a_removal_of_data_that_was_broken_off_goes_on(
    taken_in: Yard, monkeypatch: pytest.MonkeyPatch, until: int
) -> None:
    real, removed = Pieces.remove, list[str]()

    def remove(there: Pieces, one: Stored, *, before: float) -> bool:
        if len(removed) == until:
            raise OSError("the network is gone")
        removed.append(one.name)
        return real(there, one, before=before)

    with monkeypatch.context() as broken:
        broken.setattr(Pieces, "remove", remove)
        with pytest.raises(OSError, match="the network is gone"):
            reaped(taken_in)
    assert in_remote(taken_in) == 3 - until
    assert (reaped(taken_in), in_remote(taken_in)) == ({"data"}, 0)


def test_data_is_sent_only_when_nobody_removes_any(
    first: Place, taken_in: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC doesn't send what is there: it must not go between that look and the record."""
    real, seen = Pieces.remove, list[bool]()

    def remove(there: Pieces, one: Stored, *, before: float) -> bool:
        seen.append(taken_in.ledger.is_taken(DATA))
        return real(there, one, before=before)

    monkeypatch.setattr(Pieces, "remove", remove)
    assert (reaped(taken_in), seen) == ({"results", "data"}, [True, True, True])

    lease = taken_in.ledger.acquire(DATA, seconds=600)
    assert lease is not None
    monkeypatch.setenv("STEELYARD_HOME", str(taken_in.home.root))
    at = Place(folder=first.folder, home=taken_in.home.root)
    monkeypatch.setattr(held, "time", SimpleNamespace(sleep=lambda _: taken_in.ledger.release(lease)))

    def sent(*_: object, **__: object) -> None:
        seen.append(taken_in.ledger.is_taken(DATA))
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.versioning.snapshot", sent)
    assert at.call("run", "recipe.yaml").code == 130
    assert seen[3:] == [False]


def test_leases_of_those_that_were_killed_long_ago_are_forgotten(taken_in: Yard) -> None:
    ledger = taken_in.ledger
    for name in ("stage killed", "stage late"):
        assert ledger.acquire(name, seconds=0.0) is not None
    ledger.database.change("UPDATE leases SET expires = expires - ? WHERE name = 'stage killed'", (2 * DAY,))
    reaped(taken_in)
    assert ledger.database.ask("SELECT name FROM leases") == [("stage late",)]


def test_data_that_is_taken_in_again_stays_though_its_removal_was_put_off(taken_in: Yard) -> None:
    working = taken_in.ledger.acquire("stage working", seconds=600)
    assert working is not None
    (outputs,) = taken_in.ledger.database.ask("SELECT outputs FROM records")[0]
    reaped(taken_in)
    again = Record(
        key="data", stage="ingest", label="ingest", model="people", run="later", outputs=json.loads(outputs),
        stamps={}, parts={}, seconds=1.0, at=time.time(),
    )  # fmt: skip
    taken_in.ledger.commit(working, again)
    assert (reaped(taken_in), in_remote(taken_in)) == (set(), 3)
    assert taken_in.ledger.database.ask("SELECT key FROM records") == [("data",)]


def test_the_checkpoint_of_a_stage_that_is_done_goes_and_what_another_began_with_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEELYARD_HOME", str(tmp_path / "home"))
    yard = yard_of(Home(tmp_path / "home"), "people")
    done, working = (Mirror(tmp_path / key / "checkpoint", key, yard.store, yard.ledger) for key in ("done", "working"))
    for mirror in (done, working):
        mirror.folder.mkdir(parents=True)
        (mirror.folder / "state").write_text(mirror.key)
        (mirror.folder / "start").write_text("how both begin")
        lease = yard.ledger.acquire(f"stage {mirror.key}", seconds=600)
        assert lease is not None
        assert mirror.send(lease)
    sign(yard)
    needed = stored(yard.home)
    done.drop()
    state = sha256(done.folder / "state")
    for path in yard.home.store.rglob("*"):
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    gone = {one.name for one in reap(yard.home, keep_days=30, remove=True).found if one.kind == "objects"}
    assert (len(gone), state in gone, stored(yard.home)) == (2, True, needed - gone)
    assert sha256(working.folder / "start") in needed - gone


def test_one_reap_at_a_time(place: Place, yard: Yard) -> None:
    lease = yard.ledger.acquire("reap", seconds=600)
    assert lease is not None
    assert place.call("reap", "--yes").refused("another `reap`, or a promotion with --force, is at work")
    assert place.call("reap").code == 0


def test_where_nothing_was_done_there_is_nothing(place: Place, tmp_path: Path) -> None:
    empty = Place(folder=place.folder, home=tmp_path / "empty")
    assert "nothing to remove" in empty.call("reap").out
    assert not empty.home.exists()
    assert empty.call("reap", "--keep", "0.5").code == 2


def test_runs_hold_a_lease_while_they_live(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import running

    seen: list[set[str]] = []
    ledger: Ledger = ledger_at(Home(place.home).ledger)

    def stopped(*_: object) -> None:
        seen.append(ledger.taken(RUN))
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "in_prefect", stopped)
    assert place.call("run", "recipe.yaml", "--set", "seed=77").code == 130
    assert [len(one) for one in seen] == [1]
    assert ledger.taken(RUN) == set()
