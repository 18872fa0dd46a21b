"""`serve`: a released version over HTTP on this machine, for as long as this process lives."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import psutil

from components.errors import refuse
from components.home import Home
from components.release.files import TRIAL
from flows.console import waiting
from flows.layout import folder_of
from flows.releasing import release_of, releases_of
from flows.servers.backend import enter_registry
from flows.servers.processes import POLITE_SECONDS, await_answer, spawn
from flows.servers.services import LOOPBACK, check_free, port_asked_again

ROWS: Final = 2  # in the line to try it with
BODY: Final = "rows.json"
LONGEST_LINE: Final = 4_000  # letters that a person may still want to copy
WATCH_SECONDS: Final = 0.2


def serve(
    home: Home,
    model: str,
    *,
    version: int | None,
    host: str,
    port: int,
    say: Callable[[str], None],
    show: Callable[[str], None],
) -> None:
    """Serve a version until this process is told to stop. `show` gets a curl line that works, `say` that it answers.

    Raises:
        Refusal: there is no such version, the host isn't this machine's, the port is taken, or the server ended.
    """
    release = release_of(home, model, version)
    _check_host(host)
    check_free(port, option="--port")
    with tempfile.TemporaryDirectory(prefix="steelyard-serve-") as place:
        with waiting(f"bringing {model} version {release.version} from the registry"):
            enter_registry(home)
            from tasks.registry import as_released

            released = releases_of(home, model).known_files(release)
            folder = as_released(release, files=released, into=Path(place) / "model")
        address = f"http://{_reached_at(host)}:{port}"
        with _server(home, folder, host=host, port=port) as (process, log):
            with (
                waiting(f"starting {model} version {release.version} on port {port}"),
                port_asked_again(port, option="--port", alive=lambda: process.poll() is None),
            ):
                await_answer(f"the server of {model}", f"{address}/health", process, log)
            answers, trial = f"{model} version {release.version} answers at {address}/invocations", folder / TRIAL
            if trial.is_file():
                say(f"{answers} until Ctrl-C; try it:")
                body = folder_of(home, model, release.report or release.onnx) / BODY
                show(line_to_try(trial, address=address, body=body))
            else:
                say(f"{answers} until Ctrl-C; its {TRIAL} is gone from the registry, so there is no line to try it")
            while process.poll() is None:
                time.sleep(WATCH_SECONDS)
            await_answer(f"the server of {model}", f"{address}/health", process, log, seconds=0.0)  # says how it ended


def _check_host(host: str) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as one:
            one.bind(address)
    except OSError:
        allowed = f"{LOOPBACK}, an address that other machines know it by, or 0.0.0.0 for all of them"
        raise refuse(f"'{host}' isn't an address of this machine", where="--host", allowed=allowed) from None


def _reached_at(host: str) -> str:
    """Return the name, within an address, at which this machine reaches a server that listens there."""
    try:
        listens = ip_address(host)
    except ValueError:
        return host
    if listens.version == 4:
        return LOOPBACK if listens.is_unspecified else host
    return f"[{'::1' if listens.is_unspecified else host}]"


def line_to_try(trial: Path, *, address: str, body: Path) -> str:
    """Return a curl line about the rows that the version is tried with; long ones, as images are, go into the file."""
    from components.release.serving import curl_line
    from components.release.trial import Trial

    rows = Trial.read(trial).rows[:ROWS]
    line = curl_line(rows, address=address)
    if len(line) <= LONGEST_LINE:
        return line
    body.parent.mkdir(parents=True, exist_ok=True)
    body.write_text(json.dumps({"dataframe_records": [dict(row) for row in rows]}), "utf-8")
    data = shlex.quote(f"@{body}")
    return f"curl -sS {address}/invocations -H 'Content-Type: application/json' --data-binary {data}"


@contextmanager
def _server(home: Home, folder: Path, *, host: str, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start MLflow's scoring server, and stop it with all that it started at the end, however that comes."""
    log = home.logs / f"serve-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    serve = ("mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager", "local")
    where = ("--host", host, "--port", str(port), "--workers", "1")
    with log.open("wb") as output:
        command = ("components.leashed", *serve, *where)
        process = spawn(command, _variables(), output, leash=subprocess.PIPE)
    try:
        yield process, log
    finally:
        _stop(process)


def _variables() -> dict[str, str]:
    """Return the environment of the server: MLflow looks for `uvicorn` on the path, and this Python has it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONSAFEPATH": "1"}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and its whole group: politely, then surely."""
    group = _group(process.pid)
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        for one in filter(_runs, group):
            one.send_signal(wanted)
        end = time.monotonic() + POLITE_SECONDS
        while any(map(_runs, group)) and time.monotonic() < end:
            process.poll()  # or it stays a zombie
            time.sleep(0.05)


def _group(leader: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader:
                found.append(process)
        except OSError:
            continue
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
