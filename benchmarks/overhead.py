"""What orchestration costs: whole `steelyard run` commands against a plain script that calls the same components.

The plain script (plain.py) makes the same files and a registered version of one, and no more: no cache, no proof, no
report, no server. Each figure is the wall time of a whole process, with its end: Python takes two seconds to take the
plain script's objects apart, and Steelyard leaves at once (flows/start.py). In one round, in turn: the plain script;
the first run ever in a new home (the servers' databases are made); a run with a changed seed there (everything from
training on), and the plain script with that seed, which has its data and MLflow's tables now, too; a run with nothing
to do; `--help`; another seed with the servers up.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.frame import Figures, spread, write
from tests.torture.runs import write_recipe

ALONE = ("plain script", "plain script, changed seed", "nothing to do", "help")  # with nothing beside them


def seconds(command: list[str], home: Path) -> float:
    """Run the command in a home, and return its wall time."""
    started = time.monotonic()
    environment = {**os.environ, "STEELYARD_HOME": str(home), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def one_round(recipe: Path, folder: Path, *, seed: int) -> dict[str, float]:
    """Return the wall time of each way, in seconds."""
    python = [sys.executable, "-P"]
    script = [sys.executable, "-m", "benchmarks.plain", str(recipe)]
    steelyard = [*python, "-m", "flows.start"]
    run = [*steelyard, "run", str(recipe), "--set"]
    home, plain = folder / "home", folder / "plain"
    times = {
        "plain script": seconds([*script, str(plain / "first"), f"seed={seed}"], plain),
        "first run ever": seconds([*run, f"seed={seed}"], home),
        "later run, changed seed": seconds([*run, f"seed={seed + 1}"], home),
        "plain script, changed seed": seconds([*script, str(plain / "changed"), f"seed={seed + 1}"], plain),
        "nothing to do": seconds([*run, f"seed={seed + 1}"], home),
        "help": seconds([*steelyard, "--help"], home),
    }
    try:
        seconds([*steelyard, "up", "--prefect-port", "42017", "--mlflow-port", "42018"], home)
        times["servers up, changed seed"] = seconds([*run, f"seed={seed + 2}"], home)
    finally:
        seconds([*steelyard, "down"], home)
    return times


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    measured: list[dict[str, float]] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            measured.append(one_round(write_recipe(Path(folder)), Path(folder), seed=10 * number))
    rows: list[Figures] = []
    for name in measured[0]:
        plain = "plain script" if name == "first run ever" else "plain script, changed seed"
        extra = spread([times[name] - times[plain] for times in measured])
        rows.append(
            {
                "run": name,
                **{f"seconds {key}": value for key, value in spread([times[name] for times in measured]).items()},
                "seconds above plain": extra["median"] if name not in ALONE else 0.0,
            }
        )
    write("overhead", rows, libraries=("prefect", "mlflow", "torch"))


if __name__ == "__main__":
    main()
