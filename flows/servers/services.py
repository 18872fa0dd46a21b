"""The local servers: start, find, stop. On loopback only; by pid, never by name.

`up` leaves a Prefect server, an MLflow server and a worker running, each in a session of its own, and writes down
which in the home. `temporary` gives one run a Prefect server that can't outlive it.
"""

import errno
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO, Final

from components.database.whole import check_database
from components.disk import check_space, full_disk_refused
from components.errors import Refusal, refuse
from components.home import Home
from components.planning.held import RUN
from components.settings import SHELL, settings_of
from flows.servers.environment import environment, server_environment
from flows.servers.pool import POOL, Pool, worker, worker_variables
from flows.servers.processes import (
    HEALTH,
    POLITE_SECONDS,
    START_SECONDS,
    Name,
    Service,
    await_answer,
    holder,
    spawn,
)
from flows.servers.recorded import alive, begin, log_of, recorded, stop_all, turn
from flows.servers.watchman import watch_set_up
from flows.state import ledger_of
from tasks.tracking.connecting import check as check_mlflow
from tasks.tracking.connecting import make_ready

log = logging.getLogger(__name__)
NAMES: Final[Set[Name]] = {"prefect", "mlflow", "worker"}
RUNS_PAGE: Final = "/#/experiments?workflowType=machine_learning"  # MLflow begins with another half of its pages
LOOPBACK: Final = "127.0.0.1"
COURTESY_SECONDS: Final = 2.0  # for the ledger to name the runs that `down` interrupts
# A server that lives as long as one run has nothing to schedule, and nobody's late runs to mark.
IDLE: Final = {
    f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false"
    for name in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP")
}
MLFLOW: Final = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # nine processes less


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
    found = {service.name: service for service in recorded(home)}
    if set(found) != NAMES or not all(service.healthy for service in found.values()):
        return None
    return _services(found)


def serving(home: Home) -> Services | None:
    """Return the services that `up` started, None where none of them lives. Those that are slow to answer count.

    Raises:
        Refusal: some of them have ended: what is left isn't enough, and nothing else begins beside it.
    """
    found = {service.name: service for service in alive(home)}
    if found and (ended := sorted(NAMES - set(found))):
        what = f"of what `steelyard up` started here, {' and '.join(ended)} ended"
        do = "`steelyard up` starts all of it again; `steelyard down` ends the rest"
        raise refuse(what, where=str(home.root), do=do)
    return _services(found) if found else None


def _services(found: Mapping[Name, Service]) -> Services:
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
        own = str(home.secrets) in map(settings.origin, elsewhere)
        do = "`steelyard up --production` starts them" if own else "remove the addresses to use local servers"
        raise refuse(what, where=where, do=do)
    with turn(home), full_disk_refused(home.root):
        check_space(home.root)
        if up_already := running(home):
            addresses = f"Prefect at {up_already.prefect.url}, MLflow at {up_already.mlflow.url}"
            raise refuse(f"already up: {addresses}", where=str(home.root), do="use them, or `steelyard down` first")
        stop_all(home)
        if prefect_port == mlflow_port:
            what = f"Prefect and MLflow can't both have port {prefect_port}"
            raise refuse(what, do="choose another with --mlflow-port PORT")
        for port, option in ((prefect_port, "--prefect-port"), (mlflow_port, "--mlflow-port")):
            check_free(port, option=option)
        try:
            return _started(home, prefect_port=prefect_port, mlflow_port=mlflow_port, say=say)
        except BaseException:  # also Ctrl-C: what was half up goes down again
            stop_all(home)
            raise


def at_work(home: Home) -> list[str]:
    """Return the runs, by their ids in MLflow, that use what `up` started.

    That is a courtesy, which keeps nobody from `down`: a ledger that is ill, or silent, knows of none.
    """
    found: list[str] = []

    def ask() -> None:
        with suppress(Exception):
            ledger = ledger_of(home, say=log.debug)
            found.extend(sorted(run for run in ledger.taken(RUN) if ledger.is_taken(RUN + run)))

    if alive(home):
        asking = Thread(target=ask, daemon=True)
        asking.start()
        asking.join(COURTESY_SECONDS)
    return found


def down(home: Home) -> list[str]:
    """Stop what `up` started, with all of its children, and return what was stopped."""
    with turn(home):
        return stop_all(home)


class TemporaryServer:
    """A Prefect server on its way, or there. Its address is certain from the start."""

    def __init__(self, home: Home) -> None:
        self.home = home
        for folder in (home.prefect, home.logs):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = home.logs / "prefect-temporary.log"
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
        send_what_is_held_back()
        server.stop()


def send_what_is_held_back() -> None:
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


@contextmanager
def port_asked_again(port: int, *, option: str, alive: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Where a server can't start within the block, say so if somebody has taken its port since it was looked at.

    `alive` says whether the server itself may hold the port.
    """
    try:
        yield
    except (Refusal, OSError):
        if not alive():
            check_free(port, option=option)
        raise


def await_server(service: Service, home: Home, *, called: str = "", ask: Callable[[], bool] | None = None) -> None:
    """Wait until a server answers.

    Raises:
        Refusal: its port was taken since it was looked at, or it ended or stayed silent.
    """
    health = service.url + HEALTH[service.name] if service.name in HEALTH else ""
    with port_asked_again(_port(service.url), option=f"--{service.name}-port", alive=lambda: service.alive):
        await_answer(called or service.name, health, service, log_of(home, service.name), ask=ask)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _started(home: Home, *, prefect_port: int, mlflow_port: int, say: Callable[[str], None]) -> Services:
    for folder in (home.prefect, home.mlflow_artifacts, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    check_prefect(home)
    check_mlflow(home)
    make_ready(home)
    first = "" if (home.prefect / "prefect.db").exists() else ", the first time: some 15 seconds"
    say(f"starting Prefect on port {prefect_port}{first}")
    say(f"starting MLflow on port {mlflow_port}")
    prefect = _start("prefect", home, f"http://{LOOPBACK}:{prefect_port}", prefect_url=None)
    mlflow = _start("mlflow", home, f"http://{LOOPBACK}:{mlflow_port}", prefect_url=None)
    for service in (prefect, mlflow):
        await_server(service, home)
        say(f"{service.name} answers at {service.url}")
    pool = Pool(f"{prefect.url}/api")
    pool.make()
    with watch_set_up(home, prefect_url=f"{prefect.url}/api"):
        crew = _start("worker", home, "", prefect_url=f"{prefect.url}/api")
        await_answer("the worker", "", crew, log_of(home, "worker"), ask=lambda: pool.is_polled_by("steelyard", crew))
    say(f"a worker serves the work pool '{POOL}'")
    return Services(prefect=prefect, mlflow=mlflow, worker=crew)


def _start(name: Name, home: Home, url: str, *, prefect_url: str | None) -> Service:
    """Start a service that outlives this process."""
    port = _port(url) if url else 0
    if name == "prefect":
        return begin(name, home, url, lambda output, mark: serve_prefect(port, home, output, extra=mark))
    mlflow = name == "mlflow"
    command = _mlflow(home, port) if mlflow else worker("steelyard")
    variables = {**environment(home, prefect_url=prefect_url), **(MLFLOW if mlflow else worker_variables(home))}
    return begin(name, home, url, lambda output, mark: spawn(command, {**variables, **mark}, output))


def serve_prefect(port: int, home: Home, output: IO[bytes], *, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a Prefect server at a port.

    Raises:
        Refusal: the port was taken since it was looked at.
    """
    with (
        port_asked_again(port, option="--prefect-port"),
        socket.create_server((LOOPBACK, port)) as listener,
    ):
        return _serve_prefect(listener, home, output, leashed=False, extra=extra)


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
    own = {name: value for name, value in server_environment(home).items() if name != "PREFECT_API_URL"}
    host, port = listener.getsockname()[:2]
    own["PREFECT_SERVER_UI_API_URL"] = f"http://{host}:{port}/api"  # where its pages look for it
    return spawn(command, {**own, **extra}, output, leash=leash, keep=(listener.fileno(),))
