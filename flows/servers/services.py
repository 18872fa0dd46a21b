"""The local servers: start, find, stop. On loopback only; by pid, never by name.

`up` leaves a Prefect server, an MLflow server and a worker running, each in a session of its own, and writes down
which in the home. `temporary` gives one run a Prefect server that can't outlive it.
"""

import errno
import fcntl
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final
from urllib.request import Request

import psutil

from components.database.whole import check_database
from components.errors import refuse
from components.home import Home
from components.settings import SHELL, settings_of
from flows.servers.environment import environment
from flows.servers.processes import (
    HEALTH,
    MARK,
    POLITE_SECONDS,
    START_SECONDS,
    Name,
    Service,
    asked,
    await_answer,
    holder,
    spawn,
    stop,
)
from tasks.tracking import check as check_mlflow
from tasks.tracking import make_tables

log = logging.getLogger(__name__)
LOOPBACK: Final = "127.0.0.1"
POOL: Final = "local"  # the work pool that `up` serves
TEMPLATE: Final = Path(__file__).with_name("process-pool.json")  # of that pool; infra/ has it too
# A server that lives as long as one run has nothing to schedule, and nobody's late runs to mark.
IDLE: Final = {
    f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false"
    for name in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP")
}
WATCHFUL: Final = {"PREFECT_WORKER_QUERY_SECONDS": "1"}
MLFLOW: Final = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # nine processes less
WORKER: Final = (
    *("prefect", "worker", "start", "--name", "steelyard", "--pool", POOL, "--type", "process"),
    *("--install-policy", "never"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What is up."""

    prefect: Service
    mlflow: Service
    worker: Service

    @property
    def prefect_api_url(self) -> str:
        """The address for PREFECT_API_URL."""
        return f"{self.prefect.url}/api"

    @property
    def mlflow_tracking_uri(self) -> str:
        """The address for MLFLOW_TRACKING_URI."""
        return self.mlflow.url


def running(home: Home) -> Services | None:
    """Return the services of the home if all of them run and answer, else None."""
    found = {service.name: service for service in _recorded(home)}
    if set(found) != {"prefect", "mlflow", "worker"} or not all(service.healthy for service in found.values()):
        return None
    return Services(prefect=found["prefect"], mlflow=found["mlflow"], worker=found["worker"])


def up(
    home: Home, *, prefect_port: int = 4200, mlflow_port: int = 5000, say: Callable[[str], None] = log.info
) -> Services:
    """Start the Prefect server, the MLflow server and a worker, and return when they answer. `say` hears of progress.

    Raises:
        Refusal: they are up already, a port is taken, or one of them ended or stayed silent.
    """
    settings = settings_of(home)
    if elsewhere := [name for name in SHELL if getattr(settings, name) is not None]:
        what = f"servers elsewhere are named ({', '.join(elsewhere)}): local ones would not be used"
        where = ", ".join(dict.fromkeys(map(settings.origin, elsewhere)))
        raise refuse(what, where=where, do="remove the addresses to use local servers")
    with _turn(home):
        if up_already := running(home):
            addresses = f"Prefect at {up_already.prefect.url}, MLflow at {up_already.mlflow.url}"
            raise refuse(f"already up: {addresses}", where=str(home.root), do="use them, or `steelyard down` first")
        _stop(_recorded(home), home)
        if prefect_port == mlflow_port:
            what = f"Prefect and MLflow can't both have port {prefect_port}"
            raise refuse(what, do="choose another with --mlflow-port PORT")
        for port, option in ((prefect_port, "--prefect-port"), (mlflow_port, "--mlflow-port")):
            check_free(port, option=option)
        try:
            return _started(home, prefect_port=prefect_port, mlflow_port=mlflow_port, say=say)
        except BaseException:  # also Ctrl-C: what was half up goes down again
            _stop(_recorded(home), home)
            raise


def down(home: Home) -> list[str]:
    """Stop what `up` started, with all of its children, and return what was stopped."""
    with _turn(home):
        return _stop(_recorded(home), home)


class TemporaryServer:
    """A Prefect server on its way, or there. Its address is certain from the start."""

    def __init__(self, home: Home) -> None:
        self.home = home
        for folder in (home.prefect, home.root / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = home.root / "logs" / "prefect-temporary.log"
        with socket.create_server((LOOPBACK, 0)) as listener, self.log.open("wb") as output:
            self.url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
            self.process = _serve_prefect(listener, home, output, leashed=True, extra=IDLE)

    @property
    def api_url(self) -> str:
        """The address for PREFECT_API_URL."""
        return f"{self.url}/api"

    def ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it answers.

        Raises:
            Refusal: its database is damaged, it ended, or stayed silent.
        """
        check_prefect(self.home)
        await_answer("Prefect", self.url + HEALTH["prefect"], self.process, self.log, seconds=seconds)

    def stop(self) -> None:
        """Stop it, politely at first."""
        self.process.terminate()
        try:
            self.process.wait(POLITE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def temporary(home: Home) -> Iterator[TemporaryServer]:
    """Start a Prefect server for this process and return at once; it is stopped at the end of the block.

    It ends with this process even if that is killed: it holds the other end of a pipe (see prefect_server.py).
    """
    server = TemporaryServer(home)
    try:
        yield server
    finally:
        _send_what_is_held_back()
        server.stop()


def _send_what_is_held_back() -> None:
    """Let Prefect, if this process has used it, send the log lines and states of tasks that it still holds."""
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=POLITE_SECONDS)
    if "prefect.logging.handlers" in sys.modules:
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()


def check_prefect(home: Home) -> None:
    """Refuse a damaged database of Prefect's."""
    do = "put a backup in its place, or move it away to begin a new one: it only holds what Prefect's pages show"
    check_database(home.prefect / "prefect.db", name="Prefect's", do=do)


def check_free(port: int, *, option: str) -> None:
    """Refuse a port of this machine that is taken, naming who holds it and the option that chooses another."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        by = f", by {who}" if (who := holder(port)) else ""
        what = f"is taken{by}" if error.errno == errno.EADDRINUSE else f"can't be used: {os.strerror(error.errno or 0)}"
        raise refuse(f"port {port} {what}", do=f"choose another with {option} PORT") from None


def _started(home: Home, *, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> Services:
    for folder in (home.prefect, home.mlflow_artifacts, home.root / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    check_prefect(home)
    check_mlflow(home)
    make_tables(home)
    first = "" if (home.prefect / "prefect.db").exists() else ", the first time: some 15 seconds"
    say(f"starting Prefect on port {prefect_port}{first}")
    say(f"starting MLflow on port {mlflow_port}")
    prefect = _start("prefect", home, f"http://{LOOPBACK}:{prefect_port}", prefect_url=None)
    mlflow = _start("mlflow", home, f"http://{LOOPBACK}:{mlflow_port}", prefect_url=None)
    for service in (prefect, mlflow):
        await_answer(service.name, service.url + HEALTH[service.name], service, _log(home, service.name))
        say(f"{service.name} answers at {service.url}")
    _make_pool(f"{prefect.url}/api")
    worker = _start("worker", home, "", prefect_url=f"{prefect.url}/api")
    await_answer("the worker", "", worker, _log(home, "worker"), ask=lambda: _polls(prefect.url))
    say(f"a worker serves the work pool '{POOL}'")
    return Services(prefect=prefect, mlflow=mlflow, worker=worker)


def _start(name: Name, home: Home, url: str, *, prefect_url: str | None) -> Service:
    """Start a service that outlives this process, and write it down."""
    mark = secrets.token_hex(8)
    port = int(url.rpartition(":")[2]) if url else 0
    with _log(home, name).open("wb") as output:
        if name == "prefect":
            with socket.create_server((LOOPBACK, port)) as listener:
                process = _serve_prefect(listener, home, output, leashed=False, extra={MARK: mark})
        else:
            variables = {**environment(home, prefect_url=prefect_url), MARK: mark, **MLFLOW, **WATCHFUL}
            command = _mlflow(home, port) if name == "mlflow" else WORKER
            process = spawn(command, variables, output)
    created = psutil.Process(process.pid).create_time()
    service = Service(name=name, pid=process.pid, created=created, mark=mark, url=url)
    _record([*_recorded(home), service], home)
    return service


def _mlflow(home: Home, port: int) -> tuple[str, ...]:
    return (
        *("mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", home.mlflow_uri),
        *("--artifacts-destination", home.mlflow_artifacts.as_uri()),
    )


def _serve_prefect(
    listener: socket.socket, home: Home, output: IO[bytes], *, leashed: bool, extra: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    command = ("flows.servers.prefect_server", str(listener.fileno()), *(("--leashed",) if leashed else ()))
    leash = subprocess.PIPE if leashed else subprocess.DEVNULL
    own = {name: value for name, value in environment(home).items() if name != "PREFECT_API_URL"}
    host, port = listener.getsockname()[:2]
    own["PREFECT_SERVER_UI_API_URL"] = f"http://{host}:{port}/api"  # where its pages look for it
    return spawn(command, {**own, **extra}, output, leash=leash, keep=(listener.fileno(),))


def _make_pool(api_url: str) -> None:
    """Make the work pool, or bring it up to date."""
    template = json.loads(TEMPLATE.read_text("utf-8"))
    wanted = {"name": POOL, "type": "process", "base_job_template": template}
    for method, address in (("POST", f"{api_url}/work_pools/"), ("PATCH", f"{api_url}/work_pools/{POOL}")):
        known = wanted if method == "POST" else {"base_job_template": template}
        headers = {"Content-Type": "application/json"}
        request = Request(address, data=json.dumps(known).encode(), headers=headers, method=method)  # noqa: S310 - ours
        if asked(request, seconds=30.0) is not None:
            return
    raise refuse(f"the work pool '{POOL}' can't be made", where=api_url)


def _polls(prefect_url: str) -> bool:
    """Whether a worker of the pool has reported to the server."""
    address = f"{prefect_url}/api/work_pools/{POOL}/workers/filter"
    request = Request(address, data=b"{}", headers={"Content-Type": "application/json"})  # noqa: S310 - our own address
    body = asked(request, seconds=5.0)
    return body is not None and any(worker.get("status") == "ONLINE" for worker in json.loads(body))


def _log(home: Home, name: str) -> Path:
    return home.root / "logs" / f"{name}.log"


def _recorded(home: Home) -> list[Service]:
    try:
        return [Service(**told) for told in json.loads(home.services.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        what = f"the list of what is up is damaged: {error}"
        raise refuse(what, where=str(home.services), do="delete it, and stop the servers by hand") from None


def _record(services: list[Service], home: Home) -> None:
    if not services:
        home.services.unlink(missing_ok=True)
        return
    fresh = home.services.with_suffix(".new")
    fresh.write_text(json.dumps([asdict(service) for service in services], indent=1) + "\n", encoding="utf-8")
    fresh.replace(home.services)


@contextmanager
def _turn(home: Home) -> Iterator[None]:
    """One `up` or `down` at a time in a home."""
    with _lock_file(home) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "another `up` or `down` is at work here"
            raise refuse(what, where=str(home.root), do="wait for it to end") from None
        yield


def _lock_file(home: Home) -> IO[str]:
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        return (home.root / "services.lock").open("w")
    except OSError as error:
        do = "name another folder with STEELYARD_HOME, or mend its rights"
        raise refuse(f"can't be written: {error.strerror}", where=str(home.root), do=do) from error


def _stop(services: list[Service], home: Home) -> list[str]:
    """Stop the services and forget them."""
    stop(services)
    _record([], home)
    return [service.name for service in services]
