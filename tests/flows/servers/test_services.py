import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest

from components.errors import Refusal
from components.home import Home
from components.planning.held import RUN, living
from flows.servers.backend import backend
from flows.servers.environment import environment
from flows.servers.processes import FLOW_RUN, MARK, Service, answers, await_answer, holder, launch, members
from flows.servers.production import up_production
from flows.servers.recorded import alive, begin, log_of, recorded, stop_all
from flows.servers.services import LOOPBACK, await_server, down, port_asked_again, running, temporary, up
from flows.state import ledger_of
from tasks.tracking.connecting import connect
from tasks.tracking.runs import tracked
from tests.flows.place import Place
from tests.servers.faults import wait_until
from tests.servers.tables import with_tables


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    down(home)


def free_port() -> int:
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        return int(listener.getsockname()[1])


def gone(pid: int, seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


# --- the environment --------------------------------------------------------------------------------------------


def test_foreign_addresses_count_only_when_the_home_says_so(home: Home) -> None:
    shell = {"PREFECT_API_URL": "http://other/api", "MLFLOW_TRACKING_URI": "http://other", "PATH": "/bin"}
    ours = environment(home, prefect_url="http://127.0.0.1:1/api", base=shell)
    assert ours["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert ours["MLFLOW_TRACKING_URI"] == f"sqlite:///{home.mlflow_db}"
    assert ours["PATH"] == "/bin"
    assert "PREFECT_API_URL" not in environment(home, base=shell)


def test_addresses_in_the_home_win_and_say_where_they_came_from(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    (home.root / "config.toml").write_text('mlflow_tracking_uri = "http://there"\ninherit = true\n')
    monkeypatch.setenv("PREFECT_API_URL", "http://shell/api")
    ours = environment(home, prefect_url="http://127.0.0.1:1/api")
    assert (ours["PREFECT_API_URL"], ours["MLFLOW_TRACKING_URI"]) == ("http://shell/api", "http://there")
    with pytest.raises(Refusal, match=r"PREFECT_API_URL, .*config\.toml: servers elsewhere are named"):
        up(home)


def test_a_server_named_by_a_variable_is_used_and_none_is_started_beside_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEELYARD_PREFECT_API_URL", "http://there/api")
    assert environment(home)["PREFECT_API_URL"] == "http://there/api"
    with pytest.raises(Refusal, match="STEELYARD_PREFECT_API_URL: servers elsewhere are named"):
        up(home)


def test_children_reach_the_s3_that_is_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"MLFLOW_S3_ENDPOINT_URL", "AWS_REQUEST_CHECKSUM_CALCULATION"} & environment(home, base={}).keys()
    monkeypatch.setenv("STEELYARD_S3_ENDPOINT_URL", "http://127.0.0.1:9000")
    ours = environment(home, base={"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"})
    assert ours["MLFLOW_S3_ENDPOINT_URL"] == "http://127.0.0.1:9000"
    assert ours["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"
    assert ours["AWS_RESPONSE_CHECKSUM_VALIDATION"] == "when_supported", "what the shell says counts"


def test_loopback_is_never_asked_through_a_proxy(home: Home) -> None:
    assert environment(home, base={"NO_PROXY": "a.b"})["NO_PROXY"] == "a.b,127.0.0.1,localhost"


# --- bad input, without a server --------------------------------------------------------------------------------


def test_a_taken_port_is_refused_with_who_holds_it(home: Home) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Refusal, match=rf"port {port} is taken, by .*pid {os.getpid()}(.|\n)*--mlflow-port"):
            up(home, prefect_port=free_port(), mlflow_port=port)
    assert not home.services.exists()


def test_a_port_that_is_taken_while_its_server_starts_is_told_in_the_same_words(home: Home) -> None:
    home.logs.mkdir(parents=True)
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        port = listener.getsockname()[1]
        server = begin("mlflow", home, f"http://{LOOPBACK}:{port}", partial(echo, "address already in use"))
        with pytest.raises(Refusal) as refusal:
            await_server(server, home, ask=lambda: False)
    assert str(refusal.value).startswith(f"port {port} is taken, by ")
    assert str(refusal.value).endswith("choose another with --mlflow-port PORT")
    with pytest.raises(Refusal, match=r"mlflow ended at start . address already in use"):
        await_server(server, home, ask=lambda: False)  # it is free again: only the server's own words are left


def test_a_server_that_holds_its_port_and_stays_silent_is_not_told_as_another(home: Home) -> None:
    home.logs.mkdir(parents=True)
    port = free_port()
    deaf = f"import socket, time; one = socket.create_server(('{LOOPBACK}', {port})); time.sleep(60)"
    with (home.logs / "mlflow.log").open("wb") as output:
        process = launch([sys.executable, "-c", deaf], {}, output)
    try:
        wait_until(lambda: bool(holder(port)))
        with (
            pytest.raises(Refusal, match="didn't answer within 0 s"),
            port_asked_again(port, option="--mlflow-port", alive=lambda: process.poll() is None),
        ):
            await_answer("MLflow", "", process, log_of(home, "mlflow"), seconds=0.0, ask=lambda: False)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["prefect", pytest.param("mlflow", marks=pytest.mark.slow)])
def test_up_that_loses_the_race_for_a_port_says_that_it_is_taken(home: Home, name: str) -> None:
    with_tables(home.root)
    ports = {"prefect_port": free_port(), "mlflow_port": free_port()}
    taken: list[socket.socket] = []

    def take(said: str) -> None:
        """Behind the look at the ports, and before the servers start."""
        if said.startswith("starting MLflow"):
            taken.append(socket.create_server((LOOPBACK, ports[f"{name}_port"])))

    try:
        with pytest.raises(Refusal) as refusal:
            up(home, **ports, say=take)
    finally:
        taken[0].close()
    assert str(refusal.value).startswith(f"port {ports[f'{name}_port']} is taken, by ")
    assert str(refusal.value).endswith(f"choose another with --{name}-port PORT")
    assert not recorded(home)


def test_one_port_for_both_servers_is_refused(home: Home) -> None:
    port = free_port()
    with pytest.raises(Refusal, match=f"can't both have port {port}"):
        up(home, prefect_port=port, mlflow_port=port)


def test_down_with_nothing_up_does_nothing(home: Home) -> None:
    assert down(home) == []
    assert running(home) is None


def test_down_names_the_runs_that_live(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.logs.mkdir(parents=True)
    monkeypatch.setattr("flows.servers.services.COURTESY_SECONDS", 60.0)  # of a busy machine
    ledger, place = ledger_of(home), Place(folder=home.root, home=home.root)
    gone = ledger.acquire(RUN + "that was killed", seconds=-1)
    with living(RUN + "0123456789abcdef", ledger, seconds=60):
        begin("worker", home, "", lambda output, mark: launch(["/bin/sleep", "60"], mark, output))
        told = place.call("down")
        assert told.err.splitlines()[0].startswith("at work: 0123456789abcdef (")
        assert told.err.splitlines()[1] == "stopped worker"
        assert "at work" not in place.call("down").err  # nothing is up that they could use
    begin("worker", home, "", lambda output, mark: launch(["/bin/sleep", "60"], mark, output))
    assert place.call("down").err == "stopped worker\n"
    assert gone is not None


@pytest.mark.parametrize("ill", ["settings", "damaged", "silent"])
def test_down_stops_what_is_up_also_where_nobody_can_say_who_is_at_work(
    home: Home, monkeypatch: pytest.MonkeyPatch, ill: str
) -> None:
    home.logs.mkdir(parents=True)
    begin("worker", home, "", lambda output, mark: launch(["/bin/sleep", "60"], mark, output))
    if ill == "settings":
        (home.root / "config.toml").write_text('stor = "x"')
    elif ill == "damaged":
        home.ledger.write_bytes(b"This is no database at all." * 1000)
    with closing(socket.create_server((LOOPBACK, 0))) as listener:  # which takes connections, and says nothing
        if ill == "silent":
            monkeypatch.setenv("STEELYARD_LEDGER", f"postgresql://me@{LOOPBACK}:{listener.getsockname()[1]}/ledger")
        told = Place(folder=home.root, home=home.root).call("down")
    assert (told.code, told.err) == (0, "stopped worker\n")


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for work in (up, down):
        with pytest.raises(Refusal, match="can't be written"):
            work(Home(tmp_path / "file"))


def test_a_process_that_took_over_a_recorded_pid_is_left_alone(home: Home) -> None:
    home.root.mkdir()
    me = psutil.Process()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    record = {"name": "worker", "pid": other.pid, "created": me.create_time() - 5, "mark": "none", "url": ""}
    home.services.write_text(json.dumps([record]))
    assert not Service(**record).alive  # type: ignore[arg-type]
    down(home)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_stage_that_a_worker_left_is_let_alone_where_only_what_ended_is_tidied(home: Home) -> None:
    sleeper, mark = [sys.executable, "-c", "import time; time.sleep(60)"], "of a worker that died"
    plain, stage = (subprocess.Popen(sleeper, env={**more, MARK: mark}) for more in ({}, {FLOW_RUN: "a run"}))
    home.root.mkdir()
    gone_worker = Service(name="worker-1", pid=1, created=0.0, mark=mark, url="")
    living = Service(
        name="worker-2", pid=os.getpid(), created=psutil.Process().create_time(), mark="of a living one", url=""
    )
    home.services.write_text(json.dumps([asdict(gone_worker), asdict(living)]))
    try:
        assert alive(home) == [living]
        assert stop_all(home, but=[living]) == ["worker-1"]
        assert plain.wait(20)
        assert stage.poll() is None
        assert alive(home) == [living]
    finally:
        for one in (plain, stage):
            one.kill()
            one.wait()
        home.services.unlink()


def test_a_damaged_list_of_services_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.services.write_text("{")
    with pytest.raises(Refusal, match="damaged"):
        running(home)


# --- real servers -----------------------------------------------------------------------------------------------


def test_a_temporary_server_starts_at_once_answers_and_ends(home: Home) -> None:
    with_tables(home.root)
    with temporary(home) as server:
        assert not answers(f"{server.api_url}/health", seconds=0.0), "it was waited for"
        server.ready()
        assert answers(f"{server.api_url}/health", seconds=5.0)
    assert gone(server.process.pid, seconds=0.5)
    assert not answers(f"{server.api_url}/health", seconds=0.5)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_temporary_server_ends_with_its_parent(home: Home, how: signal.Signals) -> None:
    code = """
import signal, sys, time
from pathlib import Path
from components.home import Home
from flows.servers.services import temporary
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
with temporary(Home(Path(sys.argv[1]))) as server:
    print(server.process.pid, flush=True)
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(1.0)
    assert psutil.pid_exists(child)
    parent.send_signal(how)
    parent.wait(60)
    assert gone(child)


@pytest.mark.slow
def test_up_and_down_leave_nothing_behind(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    ports = free_port(), free_port()
    heard: list[str] = []
    try:
        found = up(home, prefect_port=ports[0], mlflow_port=ports[1], say=heard.append)
        assert running(home) == found
        assert answers(f"{found.prefect_api_url}/health", seconds=5.0)
        assert len(heard) == 5
        with pytest.raises(Refusal, match="already up"):
            up(home, prefect_port=ports[0], mlflow_port=ports[1])
        with tracked(connect(home, uri=found.mlflow_tracking_uri), home, model="m", run_name="first", artifacts=None):
            pass
        assert capfd.readouterr().out == "", "standard output is for results"
        pids = [p.pid for service in (found.prefect, found.mlflow, found.worker) for p in members(service)]
        assert len(pids) >= 3
        found_worker = psutil.Process(found.worker.pid)
        temporary_folder = Path(found_worker.environ()["TMPDIR"])  # not the one that users share
        assert temporary_folder.is_relative_to(home.root)
        found_worker.kill()
        assert gone(found.worker.pid)
        assert running(home) is None
        with pytest.raises(Refusal, match="worker ended"), backend(home):
            pass
    finally:
        stopped = down(home)
    assert stopped == ["prefect", "mlflow", "worker"]
    assert all(gone(pid, seconds=1.0) for pid in pids)
    assert not home.services.exists()


def test_a_server_that_ends_at_its_start_is_reported_with_its_last_words(home: Home) -> None:
    (home.prefect / "start.lock").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"Prefect ended at start.*IsADirectoryError"), temporary(home) as server:
        server.ready(60)


def test_what_a_server_said_is_kept_when_it_is_started_again(home: Home) -> None:
    home.logs.mkdir(parents=True)
    for word in ("first", "second"):
        begin("mlflow", home, "", partial(echo, word))
    (now,) = wait_for_text(log_of(home, "mlflow"))
    assert (now, *wait_for_text(home.logs / "mlflow.before.log")) == ("second", "first")
    down(home)


def test_a_server_that_can_not_be_written_down_is_ended(home: Home) -> None:
    home.logs.mkdir(parents=True)
    home.services.with_suffix(".new").mkdir()
    begun: list[subprocess.Popen[bytes]] = []

    def sleeper(output: IO[bytes], mark: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        begun.append(launch(["/bin/sleep", "60"], mark, output))
        return begun[0]

    with pytest.raises(IsADirectoryError):
        begin("mlflow", home, "", sleeper)
    assert begun[0].poll() is not None


def test_up_on_a_full_disk_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.disk.LEAST_FREE", 1 << 60)
    for begins in (partial(up, home), partial(up_production, home, ports={}, say=str)):
        with pytest.raises(Refusal, match="left on the disk"):
            begins()
    assert not recorded(home)


def test_a_server_that_ended_without_a_word_is_told_with_what_may_have_kept_it_from_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.logs.mkdir(parents=True)
    log = log_of(home, "mlflow")
    for least, said in ((0, "it said nothing"), (1 << 60, "the disk is full")):
        monkeypatch.setattr("flows.servers.processes.LEAST_FREE", least)
        with log.open("wb") as output, pytest.raises(Refusal, match=f"MLflow ended at start . {said}"):
            await_answer("MLflow", "http://127.0.0.1:9", launch(["/bin/false"], {}, output), log)


def echo(word: str, output: IO[bytes], mark: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return launch(["/bin/echo", word], mark, output)


def wait_for_text(file: Path) -> list[str]:
    wait_until(lambda: bool(file.read_text()))
    return file.read_text().splitlines()


def test_a_damaged_database_of_prefect_is_named_as_such(home: Home) -> None:
    home.prefect.mkdir(parents=True)
    (home.prefect / "prefect.db").write_bytes(b"This is no database at all." * 1000)
    with temporary(home) as server, pytest.raises(Refusal, match="Prefect's database is damaged"):
        server.ready()
    assert server.process.poll() is not None
    with pytest.raises(Refusal, match="Prefect's database is damaged"):
        up(home, prefect_port=free_port(), mlflow_port=free_port())
    assert running(home) is None


def test_the_end_of_a_temporary_server_loses_no_state_of_a_task(home: Home) -> None:
    with_tables(home.root)
    code = """
import sys
from pathlib import Path
from components.home import Home
from flows.servers.environment import enter
from flows.servers.services import temporary
home = Home(Path(sys.argv[1]))
with temporary(home) as server:
    enter(home, prefect_url=server.api_url)
    from prefect import flow, task
    server.ready()
    @task
    def one(): return 1
    @flow
    def many(): return sum(one() for _ in range(30))
    many()
"""
    told = subprocess.run([sys.executable, "-c", code, str(home.root)], capture_output=True, text=True, check=True)
    assert "Error" not in told.stderr
    with closing(sqlite3.connect(home.prefect / "prefect.db")) as database:
        states = database.execute("SELECT state_type, count(*) FROM task_run GROUP BY state_type").fetchall()
    assert states == [("COMPLETED", 30)]
