"""Stages on workers: what one adds to a run, and twenty runs at once on four workers.

The servers are those of `up --production`: records in PostgreSQL, bytes on S3, Prefect and MLflow with logins.

What a stage adds: whole `steelyard run --until evaluate` commands with a changed seed, servers up, in turn with every
stage in the run's own process and with `evaluate` on a worker of the pool: the difference is a process that starts,
imports its libraries, looks the stage up, does it and is heard. Beside it, in the same rounds, what importing torch
takes in a process of its own, and what Prefect takes for an empty flow on a process pool as it makes one by itself.

Twenty runs: ten seeds, two models with each, all started at the same moment, `train` and `evaluate` on the pool. Equal
stages are to be done once.

Each has a file of results of its own; `--rounds 0` and `--runs 0` leave one out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from benchmarks.frame import Figures, spread, write
from components.home import Home
from components.production import Production
from flows.servers.environment import environment
from flows.servers.pool import WATCHFUL, worker, worker_variables
from flows.servers.processes import asked, spawn
from flows.servers.production import WORKERS as OWN_WORKERS
from flows.servers.production import up_production
from flows.servers.recorded import recorded
from flows.servers.services import down
from tests.torture.runs import write_recipe

WORKERS = 4
PORTS = {"prefect": 42017, "mlflow": 42018, "postgres": 42019, "s3": 42020}
ON_WORKERS = ("train", "evaluate")
LOCKED = ("locked", "deadlock", "held the ledger for too long")  # as SQLite, PostgreSQL and the ledger say it
LIBRARIES = ("prefect", "mlflow", "torch")
EMPTY_SECONDS = 120.0  # for a flow that does nothing
PLAIN = "plain"  # a pool as Prefect makes it
PLAIN_WORKER = ("prefect", "worker", "start", "--pool", PLAIN, "--type", "process", "--install-policy", "never")
ROOT = Path(__file__).parents[1]
RUN = (sys.executable, "-P", "-m", "flows.start", "run")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where root starts it
        recipe, home = write_recipe(Path(folder)), Home(Path(folder) / "home")
        with _crew(home) as production:
            if options.rounds:
                rows = [*_added(recipe, home, production, rounds=options.rounds)]
                write("workers", rows, libraries=LIBRARIES)
            if options.runs:
                crowd, wrong = _crowd(recipe, home, production, runs=options.runs)
                write("crowd", [crowd], libraries=LIBRARIES)
                if wrong:
                    raise SystemExit(wrong)


@contextmanager
def _crew(home: Home) -> Iterator[Production]:
    """Have the servers up, with four workers, of which each has one stage done at a time."""
    production = up_production(home, ports=PORTS, say=print)
    own = [psutil.Process(service.pid) for service in recorded(home) if service.name in OWN_WORKERS]
    for process in own:
        process.suspend()  # they take what comes, however much
    variables = environment(home)
    with (home.root / "logs" / "crew.log").open("wb") as output:
        crew = [
            spawn((*worker(f"crew-{i}"), "--limit", "1"), {**variables, **worker_variables(home)}, output)
            for i in range(WORKERS)
        ]
        crew.append(spawn(PLAIN_WORKER, {**variables, **WATCHFUL, "PYTHONPATH": str(ROOT)}, output))
    try:
        yield production
    finally:
        for one in crew:  # all is done; behind `&` in a script they would hear of nothing less
            one.kill()
            one.wait()
        for process in own:
            process.resume()
        down(home)


def _prefect(production: Production) -> str:
    return f"{production.urls['prefect']}/api"


def _environment(home: Home) -> dict[str, str]:
    return {**os.environ, "STEELYARD_HOME": str(home.root), "OMP_NUM_THREADS": "1"}


def _seconds(command: tuple[str, ...], home: Home) -> float:
    started = time.monotonic()
    subprocess.run(command, env=_environment(home), check=True, capture_output=True)
    return time.monotonic() - started


def _added(recipe: Path, home: Home, production: Production, *, rounds: int) -> Iterator[Figures]:
    here, there, torch, nothing = [], [], [], []
    command = (*RUN, str(recipe), "--until", "evaluate")
    elsewhere = ("--set", "workers.evaluate.pool=local", "--set", "workers.evaluate.cpus=1")
    for number in range(rounds + 1):
        seeds = [("--set", f"seed={2 * number + i}") for i in range(2)]
        one, other = _seconds((*command, *seeds[0]), home), _seconds((*command, *seeds[1], *elsewhere), home)
        print(f"round {number}: {one:.1f} s here, {other:.1f} s with a worker", flush=True)
        if number:  # the first round makes the servers ready
            here.append(one)
            there.append(other)
            torch.append(_seconds((sys.executable, "-c", "import torch"), home))
            nothing.append(_empty_seconds(production))
    yield _row("every stage in the run's process", here)
    yield _row("evaluate on a worker", there)
    yield _row("import torch", torch)
    yield _row("a stage on a worker adds", [b - a for a, b in zip(here, there, strict=True)])
    beside = [b - a - alone for a, b, alone in zip(here, there, torch, strict=True)]
    yield _row("the same, beside importing torch", beside)
    yield _row("an empty flow on a pool as Prefect makes it", nothing)


def _empty_seconds(production: Production) -> float:
    """Have the empty flow run by the plain pool's worker, and return how long its end was waited for."""
    with SyncPrefectClient(_prefect(production), auth_string=production.prefect_login) as client:
        with suppress(ObjectAlreadyExists):
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=PLAIN, type="process", base_job_template=template))
        flow = client.create_flow_from_name("empty")
        entrypoint = "benchmarks.empty.empty"
        deployment = client.create_deployment(flow, name=PLAIN, work_pool_name=PLAIN, entrypoint=entrypoint)
        started = time.monotonic()
        run = client.create_flow_run_from_deployment(deployment)
        while not (state := client.read_flow_run(run.id).state) or not state.is_final():
            if time.monotonic() - started > EMPTY_SECONDS:
                raise SystemExit("nobody runs the empty flow: see logs/crew.log of the home")
            time.sleep(0.1)
        if not state.is_completed():
            raise SystemExit(f"the empty flow ended as {state.name}: {state.message}")
    return time.monotonic() - started


def _row(what: str, seconds: list[float]) -> Figures:
    return {"what": what, **{f"seconds {key}": value for key, value in spread(seconds).items()}, "note": ""}


def _crowd(recipe: Path, home: Home, production: Production, *, runs: int) -> tuple[Figures, str]:
    """Start the runs, and return their figures, and what went wrong."""
    pools = [f"workers.{stage}.{what}" for stage in ON_WORKERS for what in ("pool=local", "cpus=1")]
    started, before = time.monotonic(), len(_done(production))
    children = [
        subprocess.Popen(
            _command(recipe, f"model=crowd-{i}", f"seed={1000 + i // 2}", *pools),
            env=_environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(runs)
    ]
    said = [child.communicate() for child in children]
    seconds = time.monotonic() - started
    wrong = [err[-2000:] for (_, err), child in zip(said, children, strict=True) if child.returncode]
    seeds = len({i // 2 for i in range(runs)})
    locked = sum(words in err for _, err in said for words in LOCKED)
    done = _done(production)[before:]
    times = {stage: sum(name.endswith(f" {stage}") for name in done) for stage in ON_WORKERS}
    stages = " and ".join(f"{count} of {stage}" for stage, count in times.items())
    note = f"{runs - len(wrong)} ended well, {seeds} seeds, {stages} done, {locked} lock errors"
    row = {**_row(f"{runs} runs at once on {WORKERS} workers", [seconds]), "note": note}
    if locked or set(times.values()) != {seeds}:
        wrong.append(f"something was lost or done twice: {note}")
    return row, "\n".join(wrong)


def _command(recipe: Path, *changes: str) -> list[str]:
    return [*RUN, str(recipe), "--json", *(word for change in changes for word in ("--set", change))]


def _done(production: Production) -> list[str]:
    """Return the names of the stages that workers did, and didn't find done, in the order of their ends."""
    content = {
        "flow_runs": {"tags": {"all_": ["steelyard"]}, "state": {"name": {"any_": ["Completed"]}}},
        "sort": "END_TIME_DESC",
        "limit": 200,
    }
    url, login = f"{_prefect(production)}/flow_runs/filter", production.prefect_login
    found = asked(url, seconds=30, method="POST", content=content, login=login)
    return [one["name"] for one in reversed(json.loads(found or b"[]"))]


if __name__ == "__main__":
    main()
