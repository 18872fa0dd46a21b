"""Runs on the servers of `up --production`, in which one of the processes is killed: which, and when, is drawn."""

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

import psutil

from components.home import Home
from components.production import Production, write_down
from flows.servers.environment import environment
from flows.servers.pool import worker, worker_variables
from flows.servers.processes import FLOW_RUN, members, spawn
from flows.servers.production import WORKERS as WORKER_NAMES
from flows.servers.production import up_production
from flows.servers.recorded import log_of, recorded
from flows.servers.services import down
from flows.state import ledger_of
from tests.torture.runs import COMMAND, Ended, variables_of

T = TypeVar("T")
Victim = Literal["stage", "worker", "flow", "prefect", "mlflow", "postgres", "s3"]
VICTIMS: Final[tuple[Victim, ...]] = ("stage", "worker", "flow", "prefect", "mlflow", "postgres", "s3")
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
    """A home whose servers are up, a recipe that uses them, and two workers, each with a home of its own."""

    home: Home
    recipe: Path
    production: Production
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    hired: int = 0
    hit: bool = False  # whether the last victim lived, and the run was at work

    def hire(self) -> None:
        """Start a worker on a machine that has nothing yet but the addresses and the logins."""
        self.hired += 1
        machine = Home(self.home.root.with_name(f"machine-{self.hired}"))
        (machine.root / "logs").mkdir(parents=True)
        write_down(self.production, machine)
        told = {**environment(machine), **worker_variables(machine), "OMP_NUM_THREADS": "1"}
        with log_of(machine, "worker").open("wb") as output:
            self.workers.append(spawn(worker(machine.root.name), told, output))

    def run(self, victim: Victim | None = None, *, draw: random.Random, within: float = 0.0) -> Ended:
        """Do everything anew; kill the victim within so many seconds after the first stage was asked for."""
        ledger_of(self.home).database.change("DELETE FROM records")
        with self._begun() as run:
            if victim is not None:
                run.says(ASKED)
                time.sleep(draw.uniform(0, within))
                self.hit = run.process.poll() is None and self._kill(victim, run, draw)
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

    def _kill(self, victim: Victim, run: "_Run", draw: random.Random) -> bool:
        """Kill it while the run is at work; False where there was nothing left to kill."""
        match victim:
            case "stage":
                found = run.until(self._stages)
                if not found:
                    return False
                draw.choice(found).kill()
            case "worker":
                self._replace(draw.choice(self.workers))
            case "flow":
                run.process.kill()
            case server:
                kill_server(server, self.home)
                time.sleep(draw.uniform(0, 5))
                up_production(self.home, ports={}, say=str)
        return True

    def _stages(self) -> list[psutil.Process]:
        """Return the processes in which the workers have a stage done."""
        begun = [one for hired in self.workers for one in psutil.Process(hired.pid).children(recursive=True)]
        return [one for one in begun if _does_a_stage(one)]

    def _replace(self, one: "subprocess.Popen[bytes]") -> None:
        """Kill a worker with all that it has begun, as a machine would that loses its power; another one begins."""
        whole = psutil.Process(one.pid)
        for process in [*whole.children(recursive=True), whole]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        one.wait()
        self.workers.remove(one)
        self.hire()


def _does_a_stage(process: psutil.Process) -> bool:
    try:
        return FLOW_RUN in process.environ()
    except psutil.Error:  # it has ended meanwhile
        return False


def kill_server(name: str, home: Home) -> None:
    """Kill a server of `up` with all that it has started."""
    for process in [process for service in recorded(home) if service.name == name for process in members(service)]:
        process.kill()


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


@contextmanager
def crew(recipe: Path, home: Home, *, ports: Mapping[str, int]) -> Iterator[Crew]:
    """Have the servers of `up --production`, and two workers, which may be killed; its own workers sleep."""
    with_workers = recipe.with_name("with-workers.yaml")
    with_workers.write_text(recipe.read_text("utf-8") + WORKERS, "utf-8")
    made = Crew(home, with_workers, up_production(home, ports=ports, say=str))
    asleep = [process for service in recorded(home) if service.name in WORKER_NAMES for process in members(service)]
    for process in asleep:
        process.suspend()
    try:
        for _ in range(2):
            made.hire()
        yield made
    finally:
        for one in made.workers:
            one.terminate()
        for process in asleep:
            process.resume()
        down(home)
        for one in made.workers:
            one.wait()
