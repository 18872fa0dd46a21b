"""What a worker found, beside what was found here: differences are pointed out, and only those that matter to it."""

import os
import time
import uuid
from pathlib import Path

import pytest

from components.home import Home
from components.production import Ports, Production, new_secrets, write_down
from flows.doctor import workers
from flows.doctor.examine import examine
from flows.doctor.finding import Finding, State
from flows.doctor.masking import masking
from flows.doctor.probes import left_in_store
from flows.doctor.workers import NOT_ASKED, beside, opinion, second_opinions, start_of
from flows.state import ledger_of
from flows.tables import print_examination
from tests.servers.faults import Request, proxy, wait_until
from tests.servers.prefect import shared_server

NOW = (1000.0, 1010.0)  # a worker was asked, and was heard


def finding(name: str, fact: str, state: State = "ok") -> Finding:
    return Finding(name=name, state=state, detail=f"{name} {fact}", fact=fact)


def compared(there: Finding, here: Finding) -> Finding:
    (found,) = beside([there], [here], pool="gpu", asked=NOW)
    assert found.pool == "gpu"
    return found


@pytest.mark.parametrize(
    ("name", "here", "there", "state"),
    [
        ("torch", "2.13.0", "2.12.1", "bad"),
        ("onnxruntime", "1.32.0", "1.31.0", "bad"),
        ("code", "aaaa", "bbbb", "bad"),
        ("mlflow", "3.17.2", "3.17.1", "note"),
        ("python", "3.11.9", "3.11.8", "note"),
        ("gpus", "2", "1", "note"),
        ("setting store", "s3://one/store", "the home's own", "note"),
        ("setting mlflow_tracking_uri", "http://here", "http://there", "note"),
        ("login s3_endpoint_url", "given", "none", "note"),
    ],
)
def test_what_is_otherwise_on_a_worker_is_told_with_what_is_here(name: str, here: str, there: str, state: str) -> None:
    found = compared(finding(name, there), finding(name, here))
    assert found.state == state
    assert found.detail.startswith(f"{name} {there}; here {here}")


@pytest.mark.parametrize(
    ("name", "here", "there"),
    [("gpus", "0", "4"), ("torch", "2.13.0", "2.13.0")],
)
def test_what_is_no_worse_for_a_worker_is_let_be(name: str, here: str, there: str) -> None:
    there_ = finding(name, there)
    assert compared(there_, finding(name, here)) == Finding(
        name=name, state="ok", detail=there_.detail, fact=there, pool="gpu"
    )


def test_what_fails_on_a_worker_stays_as_it_says_it() -> None:
    found = compared(Finding(name="store", state="bad", detail="no bucket"), finding("store", ""))
    assert (found.state, found.detail) == ("bad", "no bucket")


@pytest.mark.parametrize(("clock", "state"), [(999.0, "ok"), (1012.0, "ok"), (900.0, "note"), (1110.0, "note")])
def test_a_clock_is_off_where_it_is_not_between_question_and_answer(clock: float, state: str) -> None:
    (found,) = beside([finding("clock", str(clock))], [], pool="gpu", asked=NOW)
    assert found.state == state
    assert ("100 s off" in found.detail) == (state == "note")


def test_a_process_with_the_same_settings_finds_what_was_left_and_another_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, other = Home(tmp_path / "asking"), Home(tmp_path / "other")
    ledger = ledger_of(asking)
    lease = ledger.acquire("doctor 1", seconds=60)
    assert lease is not None
    ledger_of(other).acquire("something else", seconds=60)
    with left_in_store(asking) as blob:
        states = {}
        for home in (asking, other):
            found = {one.name: one.state for one in opinion(home, blob=blob, lease="doctor 1")}
            states[home] = (found["same store"], found["same ledger"])
    assert states == {asking: ("ok", "ok"), other: ("bad", "bad")}
    assert not [path for path in (asking.store / "objects").rglob("*") if path.is_file()]
    told = {one.name: one for one in opinion(asking, blob="", lease="")}
    assert not {"same store", "same ledger"} & set(told)
    assert "setting store" in told
    assert not {"setting dvc_remote", "prefect server"} & set(told), "what no worker needs is none of its findings"
    assert abs(float(told["clock"].fact) - time.time()) < 60


def test_a_table_shows_of_a_worker_what_is_not_as_here(capsys: pytest.CaptureFixture[str]) -> None:
    here = [finding("torch", "2.13.0"), finding("numpy", "2.4.6"), Finding(name="store", state="ok", detail="fine")]
    there = [finding("torch", "2.12.0"), finding("numpy", "2.4.6"), Finding(name="store", state="bad", detail="no way")]
    print_examination([*here, *beside(there, here, pool="gpu", asked=NOW)])
    ours, theirs = capsys.readouterr().out.split("pool gpu")
    assert "numpy 2.4.6" in ours
    assert "numpy 2.4.6" not in theirs
    assert "as here: numpy" in theirs
    assert "no way" in theirs
    assert "2 to mend" in theirs


def test_secrets_are_taken_out_by_their_value_whoever_wrote_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-mlflow")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:of-prefect")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-s3")
    monkeypatch.setenv("STEELYARD_LEDGER", "postgresql://me:of%2Fledger@127.0.0.1:9/db")
    hidden = masking(Home(tmp_path))
    for secret in ("of-mlflow", "me:of-prefect", "of-prefect", "of-the-s3", "of%2Fledger", "of/ledger"):
        assert hidden(f"403: {secret} is wrong") == "403: *** is wrong"
    monkeypatch.setattr("flows.doctor.examine.platform.python_version", lambda: "3.11 of-the-s3")
    assert "of-the-s3" not in str(examine(Home(tmp_path)))


def test_each_setting_is_told_with_the_processes_that_need_it(tmp_path: Path) -> None:
    found = {one.name: one.detail for one in examine(Home(tmp_path))}
    assert "for client and worker: every stage" in found["setting store"]
    assert "for client: ingest" in found["setting dvc_remote"]


def test_a_login_is_told_by_its_name_and_origin_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEELYARD_PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:of-prefect")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    name = "login prefect_api_url"
    found = {one.name: one for one in examine(Home(tmp_path))}
    assert found[name].detail.startswith("none of PREFECT_API_AUTH_STRING, PREFECT_API_KEY is given")
    monkeypatch.setenv("STEELYARD_INHERIT", "true")
    found = {one.name: one for one in examine(Home(tmp_path))}
    assert found[name].detail.startswith("PREFECT_API_AUTH_STRING: *** (from the shell's variables), for client and")
    assert "login mlflow_tracking_uri" not in found


@pytest.mark.parametrize("name", ["prefect server", "settings"])
def test_that_workers_are_not_asked_is_told(tmp_path: Path, name: str) -> None:
    found = second_opinions(Home(tmp_path), [Finding(name=name, state="bad", detail="")])
    assert found == [Finding(name="workers", state="note", detail=NOT_ASKED)]
    assert second_opinions(Home(tmp_path), [finding("prefect server", "")]) == [], "none is up: there are none to ask"


@pytest.mark.xdist_group("runs")  # where the Prefect server is
@pytest.mark.parametrize(
    ("asked", "fault", "said"),
    [
        (1, "500", "answers with an error (500)"),
        (2, "500", "answers with an error (500)"),
        (2, "503", "answers with an error (503)"),
        (1, "cut", "doesn't answer"),
        (2, "hang", "doesn't answer"),
    ],
)
def test_a_server_that_fails_when_workers_are_asked_for_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, fault: str, said: str
) -> None:
    """As Prefect's is whose database is away: first it is looked whether there are pools, then they are asked for."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import WorkPoolCreate

    told: list[str] = []
    with shared_server() as server, proxy(server.api_url) as faults, monkeypatch.context() as context:
        with SyncPrefectClient(server.api_url, httpx_settings={"trust_env": False}) as client:
            client.create_work_pool(WorkPoolCreate(name=uuid.uuid4().hex, type="process"))

        def fault_of(request: Request) -> str | None:
            there = "work_pools/filter" in request.path
            return fault if there and faults.count("POST", "work_pools/filter") >= asked else None

        faults.fault = fault_of
        context.setattr(workers, "PREFECT_SECONDS", 1.0)
        context.setattr("tests.servers.faults.HANG_SECONDS", 20.0)
        context.setattr(os, "environ", dict(os.environ))
        context.setenv("STEELYARD_PREFECT_API_URL", f"{faults.endpoint_url}/api")
        (found,) = second_opinions(Home(tmp_path), [finding("prefect server", "")], tell=told.append)
        tries = 2 if fault in ("503", "hang") else 1  # that passes, as a rule
        assert faults.count("POST", "work_pools/filter") == asked - 1 + tries
        if fault == "hang":
            wait_until(lambda: faults.under_way == tries)  # it was given up before it was cut
    assert told == ["asking Prefect which work pools there are"]
    assert (found.name, found.state) == ("workers", "bad")
    ends = "; look at its log, and whether its database is up"
    assert found.detail == f"they can't be asked: Prefect's server {said}{ends}"


def test_the_way_to_a_worker_is_one_that_is_not_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    assert "(`steelyard up`; " in start_of(home)
    write_down(Production(ports=Ports(), secrets=new_secrets()), home)
    assert "(`steelyard up --production`; " in start_of(home)
    monkeypatch.setenv("STEELYARD_PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert "start one (docs/production.md" in start_of(home), "`up` refuses where servers elsewhere are named"
