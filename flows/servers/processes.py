"""Processes that serve this machine: started in sessions of their own, asked for an answer, found again, stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final, Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import psutil

from components.disk import LEAST_FREE
from components.errors import refuse
from flows.servers.reaching import listens

MARK: Final = "STEELYARD_SERVICE"  # in the environment of all that a service starts: a recycled pid can't carry it
FLOW_RUN: Final = "PREFECT__FLOW_RUN_ID"  # in the environment of what a worker begins
POLITE_SECONDS: Final = 10.0  # from SIGTERM to SIGKILL
KEEPER_SECONDS: Final = 60.0  # the same for what has data to bring to disk
START_SECONDS: Final = 120.0
HEALTH: Final = {"prefect": "/api/health", "mlflow": "/health"}
Name = Literal["postgres", "s3", "prefect", "mlflow", "worker", "worker-1", "worker-2"]
KEEPERS: Final = ("postgres", "s3")  # what the others need until their end
# PostgreSQL takes SIGTERM for a wish to wait until everybody has left.
POLITE: Final[Mapping[str, signal.Signals]] = {"postgres": signal.SIGINT}


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """Who runs a process, where that isn't who starts it."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One process that `up` started, as written down in the home."""

    name: Name
    pid: int
    created: float  # of the process, seconds since 1970: tells it from a later one with its pid
    mark: str
    url: str

    @property
    def alive(self) -> bool:
        """Whether this very process runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @property
    def healthy(self) -> bool:
        """Whether it runs, and answers if it is a server."""
        if not self.alive or self.name not in HEALTH:
            return self.alive and (not self.url or listens(self.url))
        return answers(self.url + HEALTH[self.name], seconds=5.0)


def spawn(
    command: tuple[str, ...],
    variables: Mapping[str, str],
    output: IO[bytes],
    *,
    leash: int = subprocess.DEVNULL,
    keep: tuple[int, ...] = (),
) -> subprocess.Popen[bytes]:
    """Start `python -P -m COMMAND` in a session of its own."""
    return launch((sys.executable, "-P", "-m", *command), variables, output, leash=leash, keep=keep)


def launch(
    command: Sequence[str],
    variables: Mapping[str, str],
    output: IO[bytes],
    *,
    leash: int = subprocess.DEVNULL,
    keep: tuple[int, ...] = (),
    user: User | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, which no Ctrl-C of this terminal reaches, perhaps as another user."""
    return subprocess.Popen(
        command,
        env=dict(variables),
        stdin=leash,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=keep,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def await_answer(
    name: str,
    url: str,
    process: "subprocess.Popen[bytes] | Service",
    log_file: Path,
    *,
    seconds: float = START_SECONDS,
    ask: Callable[[], bool] | None = None,
) -> None:
    """Wait until a service answers at the url, or `ask` says that it does."""
    end = time.monotonic() + seconds
    while not (ask() if ask else answers(url, seconds=max(0.1, min(5.0, end - time.monotonic())))):
        ended = process.poll() is not None if isinstance(process, subprocess.Popen) else not process.alive
        if ended or time.monotonic() > end:
            said = log_file.read_text(errors="replace").strip().splitlines()[-3:] or _silence(log_file)
            what = f"{name} ended" if ended else f"{name} didn't answer within {seconds:.0f} s"
            raise refuse(" | ".join([f"{what} at start", *said]), where=str(log_file))
        time.sleep(0.05)


def _silence(log_file: Path) -> list[str]:
    """Say what may have kept it from saying anything."""
    full = shutil.disk_usage(log_file.parent).free < LEAST_FREE
    return ["the disk is full: free some space"] if full else ["it said nothing"]


def answers(url: str, *, seconds: float) -> bool:
    """Whether a GET of a loopback address gives 200 within the time."""
    return asked(url, seconds=seconds) is not None


def asked(url: str, *, seconds: float, method: str = "GET", content: object = None, login: str = "") -> bytes | None:
    """Return the body of an answer by HTTP that is well, or None. `login`: NAME:PASSWORD, where one is wanted."""
    headers = {"Authorization": basic(login)} if login else {}
    answer = answer_of(url, seconds=seconds, method=method, content=content, headers=headers)
    return answer.body if answer.status and answer.status < 300 else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back by HTTP. The status is 0 where nothing did."""

    status: int
    body: bytes = b""


def answer_of(
    url: str, *, seconds: float, method: str = "GET", content: object = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return what a server answers. No proxy of the shell's is asked about this machine. `content` is sent as JSON.

    Raises:
        ValueError: the address is of neither http nor https.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("only addresses of http and https are asked")
    request = Request(url, method=method, headers=dict(headers or {}))  # noqa: S310 - http or https, as seen above
    if content is not None:
        request.data = json.dumps(content).encode()
        request.add_header("Content-Type", "application/json")
    here = request.host.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]")
    try:
        with build_opener(ProxyHandler({} if here else None)).open(request, timeout=seconds) as response:
            return Answer(response.status, bytes(response.read()))
    except HTTPError as error:
        with error:
            return Answer(error.code)
    except (OSError, HTTPException):
        return Answer(0)


def basic(login: str) -> str:
    """Return the header by which NAME:PASSWORD logs in."""
    return f"Basic {b64encode(login.encode()).decode()}"


def holder(port: int) -> str:
    """Return who listens on a port of this machine: `python (pid 123)`, or an empty string where that is hidden."""
    with suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            at = connection.laddr
            if connection.status == psutil.CONN_LISTEN and at and at.port == port and connection.pid:
                with suppress(psutil.Error):
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def stop(services: Iterable[Service], *, stages: bool = True) -> None:
    """Stop the services with all that they started: politely, then surely. What keeps the others' data goes last.

    `stages` says whether the stages that workers have begun are stopped too.
    """
    last_first = list(services)[::-1]
    pages, keepers = ([one for one in last_first if (one.name in KEEPERS) == keeps] for keeps in (False, True))
    _stop_at_once(pages, seconds=POLITE_SECONDS, stages=stages)
    _stop_at_once(keepers, seconds=KEEPER_SECONDS, stages=stages)


def _stop_at_once(last_first: list[Service], *, seconds: float, stages: bool) -> None:
    for polite in (True, False):
        end = time.monotonic() + seconds
        for service in last_first:
            wanted = POLITE.get(service.name, signal.SIGTERM) if polite else signal.SIGKILL
            for process in members(service, stages=stages):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(wanted)
        while any(members(service, stages=stages) for service in last_first) and time.monotonic() < end:
            time.sleep(0.1)


def members(service: Service, *, stages: bool = True) -> list[psutil.Process]:
    """Return the processes of a service: those that carry its mark in their environment, stages of workers or not."""
    return [process for process in psutil.process_iter() if _marked(process, service.mark, stages=stages)]


def _marked(process: psutil.Process, mark: str, *, stages: bool) -> bool:
    try:
        variables = process.environ()
        marked = variables.get(MARK) == mark and (stages or FLOW_RUN not in variables)
        return marked and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
