"""Runs whose stages are on workers, in which one of the processes is killed: which, and when, is drawn."""

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

import psutil

from components.home import Home
from components.planning.ledger import ledger_at
from flows.servers.environment import environment
from flows.servers.pool import worker, worker_variables
from flows.servers.processes import HEALTH, await_answer, spawn
from flows.servers.recorded import begin, log_of, recorded
from flows.servers.services import Services, down, serve_prefect, up
from tests.torture.runs import COMMAND, Ended, variables_of

T = TypeVar("T")
Victim = Literal["stage", "worker", "flow", "server"]
VICTIMS: Final[tuple[Victim, ...]] = ("stage", "worker", "flow", "server")
WORKERS = """
workers:
  train: {pool: local, cpus: 1, retries: 3}
  prune: {pool: local, cpus: 1, retries: 3}
  export: {pool: local, cpus: 1, retries: 3}
"""
ASKED: Final = "asked of pool"  # what a run says when its first stage is on its way
SECONDS: Final = 600.0  # for a run to end


@dataclass(slots=True)
class Crew:
    """A home whose servers are up, with two workers, and a recipe that uses them."""

    home: Home
    recipe: Path
    services: Services
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def hire(self) -> None:
        """Start a worker."""
        variables = environment(
            self.home, prefect_url=self.services.prefect_api_url, mlflow_uri=self.services.mlflow_tracking_uri
        )
        with (self.home.root / "logs" / "crew.log").open("ab") as output:
            command = worker(f"crew-{len(self.workers)}")
            told = {**variables, **worker_variables(self.home), "OMP_NUM_THREADS": "1"}
            self.workers.append(spawn(command, told, output))

    def run(self, victim: Victim | None = None, *, draw: random.Random, within: float = 0.0) -> Ended:
        """Do everything anew; kill the victim within so many seconds after the first stage was asked for."""
        ledger_at(self.home.ledger).database.change("DELETE FROM records")
        with self._begun() as run:
            if victim is not None:
                run.says(ASKED)
                time.sleep(draw.uniform(0, within))
                self._kill(victim, run, draw)
            ended = run.ended()
        if victim != "flow":
            return ended
        with self._begun() as again:
            return again.ended()

    @contextmanager
    def _begun(self) -> "Iterator[_Run]":
        said, told = self.home.root / "said", self.home.root / "told"
        with said.open("wb") as err, told.open("wb") as out:
            command = [*COMMAND, str(self.recipe), "--json"]
            process = subprocess.Popen(command, env=variables_of(self.home.root), stdout=out, stderr=err)
        try:
            yield _Run(process, said, told)
        finally:
            process.kill()
            process.wait()

    def _kill(self, victim: Victim, run: "_Run", draw: random.Random) -> None:
        match victim:
            case "stage":
                if found := run.until(lambda: stages_of(self.home)):
                    draw.choice(found).kill()
            case "worker":
                self._replace(draw.choice(self.workers))
            case "flow":
                run.process.kill()
            case "server":
                restart_prefect(self.home, pause=draw.uniform(0, 5))

    def _replace(self, one: "subprocess.Popen[bytes]") -> None:
        """Kill a worker with all that it has begun, as a machine would that loses its power; another one begins."""
        whole = psutil.Process(one.pid)
        for process in [*whole.children(recursive=True), whole]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        one.wait()
        self.workers.remove(one)
        self.hire()


def restart_prefect(home: Home, *, pause: float) -> None:
    """Kill the Prefect server of `up`, and start it at the same port after a while, as who watches over it would."""
    (server,) = (service for service in recorded(home) if service.name == "prefect")
    psutil.Process(server.pid).kill()
    time.sleep(pause)
    port = int(server.url.rpartition(":")[2])
    begun = begin("prefect", home, server.url, lambda output, mark: serve_prefect(port, home, output, extra=mark))
    await_answer("prefect", server.url + HEALTH["prefect"], begun, log_of(home, "prefect"))


@dataclass(frozen=True, slots=True)
class _Run:
    process: "subprocess.Popen[bytes]"
    said: Path
    told: Path

    def says(self, text: str) -> None:
        self.until(lambda: [text] if text in self.said.read_text("utf-8") else [])

    def until(self, there: Callable[[], list[T]]) -> list[T]:
        """Wait until something is there, or the run has ended."""
        while not (found := there()) and self.process.poll() is None:
            time.sleep(0.05)
        return found

    def ended(self) -> Ended:
        code = self.process.wait(SECONDS)
        printed = self.told.read_text("utf-8").strip().splitlines()
        result = json.loads(printed[-1]) if code == 0 and printed else None
        return Ended(code=code, said=self.said.read_text("utf-8"), result=result)


def stages_of(home: Home) -> list[psutil.Process]:
    """Return the processes in which workers of the home have a stage done."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            environ = process.environ()
            if environ.get("STEELYARD_HOME") == str(home.root) and "PREFECT__FLOW_RUN_ID" in environ:
                found.append(process)
    return found


@contextmanager
def crew(recipe: Path, home: Home, *, prefect_port: int, mlflow_port: int) -> Iterator[Crew]:
    """Have the servers up, and two workers, which may be killed; that of `up` sleeps."""
    with_workers = recipe.with_name("with-workers.yaml")
    with_workers.write_text(recipe.read_text("utf-8") + WORKERS, "utf-8")
    made = Crew(home, with_workers, up(home, prefect_port=prefect_port, mlflow_port=mlflow_port))
    psutil.Process(made.services.worker.pid).suspend()
    try:
        for _ in range(2):
            made.hire()
        yield made
    finally:
        for one in made.workers:
            one.terminate()
        psutil.Process(made.services.worker.pid).resume()
        down(home)
        for one in made.workers:
            one.wait()
