"""`serve`: a released version over HTTP, for as long as the command lives."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from components.data.preparing.preparation import Target
from components.release.trial import trial
from flows.serving import LONGEST_LINE, _reached_at, line_to_try
from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def served(place: Place, port: int, host: str) -> Iterator[subprocess.Popen[str]]:
    """The command, while it runs."""
    command = [sys.executable, "-P", "-m", "flows.start", "serve", "people", "--port", str(port), "--host", host]
    process = subprocess.Popen(
        command, cwd=place.folder, env=place.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [*psutil.Process(process.pid).children(recursive=True)]


def gone(processes: list[psutil.Process], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("how", "code", "host"),
    [
        (signal.SIGINT, 130, "127.0.0.1"),
        pytest.param(signal.SIGTERM, 143, "0.0.0.0", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, "127.0.0.1", marks=pytest.mark.slow),
    ],
)
def test_the_line_that_it_prints_works_and_nothing_outlives_it(
    both: Place, how: signal.Signals, code: int, host: str
) -> None:
    port = free_port()
    with served(both, port, host) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"curl -sS http://127.0.0.1:{port}/invocations"), line
        told = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True).stdout
        for answer in json.loads(told)["predictions"]:
            assert answer["prediction"] in ("buys", "passes")
            assert answer["probability_buys"] + answer["probability_passes"] == pytest.approx(1, abs=1e-5)
        assert both.call("serve", "people", "--port", str(port)).refused(f"port {port} is taken, by")
        children = family(process)
        assert len(children) >= 2
        assert {one.laddr for child in children for one in child.net_connections() if one.status == "LISTEN"} == {
            (host, port)
        }
        os.kill(process.pid, how)
        assert process.wait(60) == code
        assert gone(children)


def test_a_taken_port_is_refused_with_its_holder(both: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert both.call("serve", "people", "--port", str(port)).refused(f"port {port} is taken", f"pid {os.getpid()}")


def test_a_host_that_is_not_this_machine_is_refused(both: Place) -> None:
    for host in ("192.0.2.1", "no such host"):
        assert both.call("serve", "people", "--host", host).refused(f"'{host}' isn't an address of this machine")


@pytest.mark.parametrize(
    ("host", "at"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::", "[::1]"), ("::1", "[::1]"), ("here", "here")],
)
def test_this_machine_reaches_a_server_wherever_it_listens(host: str, at: str) -> None:
    assert _reached_at(host) == at


def test_long_rows_as_images_are_go_into_a_file_that_curl_reads(tmp_path: Path) -> None:
    import numpy as np

    home, rows = tmp_path / "a home", [{"image": "x" * LONGEST_LINE}]
    trial(rows, np.zeros((1, 2)), Target(name="y", classes=("a", "b"))).write(tmp_path / "trial.json")
    line = line_to_try(tmp_path / "trial.json", address="http://127.0.0.1:1", body=home / "runs" / "rows.json")
    assert len(line) < 500
    *_, option, file = shlex.split(line)
    assert option == "--data-binary"
    assert json.loads(Path(file.removeprefix("@")).read_text()) == {"dataframe_records": rows}
    assert home in Path(file.removeprefix("@")).parents


def test_short_rows_stay_in_the_line(tmp_path: Path) -> None:
    import numpy as np

    trial([{"age": 3.0, "city": "it's"}], np.zeros((1, 2)), Target(name="y", classes=("a", "b"))).write(
        tmp_path / "trial.json"
    )
    line = line_to_try(tmp_path / "trial.json", address="http://127.0.0.1:1", body=tmp_path / "rows.json")
    assert json.loads(shlex.split(line)[-1]) == {"dataframe_records": [{"age": 3.0, "city": "it's"}]}
    assert not (tmp_path / "rows.json").exists()
