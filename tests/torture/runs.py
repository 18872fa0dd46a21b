"""Real runs in child processes, killed when their own output says that they are in the middle of something."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

RECIPE = """
model: tortured
task: classification
data:
  source: {source}
  target: kind
  columns: {{a: number, b: number, c: number, colour: category, kind: category}}
network: {{family: mlp, width: 64, depth: 2}}
train: {{epochs: 12, batch_size: 32, checkpoint_seconds: 0.05, threads: 1}}
evaluate: {{resamples: 100, baselines: false}}
prune: [{{ratio: 0.5, finetune_epochs: 6}}]
quantize: [{{method: int8_static}}]
profile: {{rounds: 10}}
select: {{objective: size, max_loss: 1}}  # a digest must not hang on a noisy latency
"""


def write_recipe(folder: Path, *, rows: int = 600) -> Path:
    """Write a table that can be learned, and its recipe."""
    random = np.random.default_rng(7)
    numbers = random.normal(size=(rows, 3))
    colours = random.choice(["red", "green", "blue"], size=rows)
    kinds = np.where(numbers[:, 0] + (colours == "red") > 0.3, "yes", "no")
    lines = [
        ",".join([*(f"{value:.6f}" for value in row), colour, kind])
        for row, colour, kind in zip(numbers, colours, kinds, strict=True)
    ]
    (folder / "table.csv").write_text("\n".join(["a,b,c,colour,kind", *lines]) + "\n", "utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(source=folder / "table.csv"), "utf-8")
    return recipe


COMMAND = (sys.executable, "-P", "-m", "flows.start", "run")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended: its exit code, what it said, and its result where it got that far."""

    code: int
    said: str
    result: dict[str, object] | None

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of every candidate's file, by name."""
        assert self.result is not None, self.said
        return {one["name"]: one["sha256"] for one in self.result["candidates"]}  # type: ignore[attr-defined]


def run(
    recipe: Path, home: Path, *, kill_after: str | None = None, delay: float = 0.0, sig: int = signal.SIGKILL
) -> Ended:
    """Run the recipe; with `kill_after`, send the signal `delay` seconds after a line that contains that text."""
    child = subprocess.Popen(
        [*COMMAND, str(recipe), "--json"],
        env=variables_of(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert child.stdout is not None
    said: list[str] = []
    for line in child.stderr:
        said.append(line)
        if kill_after is not None and kill_after in line:
            time.sleep(delay)
            assert child.poll() is None, "it ended before it could be killed: it wasn't in the middle"
            child.send_signal(sig)
            break
    rest = child.stderr.read()
    printed = child.stdout.read().strip().splitlines()
    code = child.wait()
    result = json.loads(printed[-1]) if code == 0 and printed else None
    return Ended(code=code, said="".join(said) + rest, result=result)


def interrupt(recipe: Path, home: Path, *, at: str, times: int = 1) -> Ended:
    """Run the recipe on a terminal, and press Ctrl-C as soon as that shows the text: the stage that has begun."""
    terminal, end = os.openpty()
    child = subprocess.Popen(
        [*COMMAND, str(recipe), "--json"],
        env={**variables_of(home), "TERM": "xterm", "COLUMNS": "200"},
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    said = b""
    for piece in _pieces(terminal):
        pressed = at.encode() in said
        said += piece
        for _ in range(times if at.encode() in said and not pressed else 0):
            os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the whole process group
            time.sleep(0.3)
    os.close(terminal)
    child.communicate()
    return Ended(code=child.wait(), said=said.decode(errors="replace"), result=None)


def _pieces(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal, until nobody holds it open any more."""
    with suppress(OSError):
        while piece := os.read(terminal, 65536):
            yield piece


def variables_of(home: Path) -> dict[str, str]:
    """Return the environment of a run in that home."""
    return {**os.environ, "STEELYARD_HOME": str(home), "OMP_NUM_THREADS": "1"}


def left_running(home: Path) -> list[str]:
    """Return what a run that ended has left unfinished: processes, and runs that MLflow or Prefect think go on."""
    processes = [" ".join(process.cmdline()) for process in psutil.process_iter(["environ"]) if _uses(process, home)]
    mlflow = _rows(home / "mlflow" / "mlflow.db", "SELECT name FROM runs WHERE status = 'RUNNING'")
    states = "SELECT name FROM {} WHERE state_type IN ('RUNNING', 'PENDING')"
    prefect = [
        name
        for kind in ("flow_run", "task_run")
        for name in _rows(home / "prefect" / "prefect.db", states.format(kind))
    ]
    return [*processes, *(f"MLflow: {name}" for name in mlflow), *(f"Prefect: {name}" for name in prefect)]


def mlflow_status(home: Path) -> str | None:
    """Return how the last run in MLflow ended, None where there is none."""
    latest = (
        "SELECT status FROM runs WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')"
    )
    return next(iter(_rows(home / "mlflow" / "mlflow.db", f"{latest} ORDER BY start_time DESC LIMIT 1")), None)


def _rows(database: Path, query: str) -> list[str]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        try:
            return [str(row[0]) for row in connection.execute(query)]
        except sqlite3.OperationalError:  # its tables weren't made yet
            return []


def _uses(process: psutil.Process, home: Path) -> bool:
    environ = process.info["environ"] or {}
    return environ.get("STEELYARD_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE
