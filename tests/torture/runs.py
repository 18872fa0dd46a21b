"""Real runs in child processes, killed when their own output says that they are in the middle of something."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        [sys.executable, "-P", "-m", "flows.cli", "run", str(recipe), "--json"],
        env={**os.environ, "STEELYARD_HOME": str(home), "OMP_NUM_THREADS": "1"},
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
