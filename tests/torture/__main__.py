"""`make torture`: kill a run after every stage, and at random moments, and compare its files with an undisturbed one.

Each kill has a home of its own and is followed by one run to the end. Prints a row per kill, writes the JSON.
"""

import argparse
import random
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.frame import Figures, write
from flows.retrain import STAGES
from tests.torture.runs import run, write_recipe


def main() -> None:
    """Torture, print, write; fail if a digest differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=50, help="kills at random moments")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder))
        started = time.monotonic()
        whole = run(recipe, Path(folder) / "undisturbed")
        seconds = time.monotonic() - started
        moments = [(f"  {stage.name}", 0.0) for stage in STAGES[:-1]]
        moments += [("ingest", draw.uniform(0, 0.45 * seconds)) for _ in range(given.random)]
        for number, (text, delay) in enumerate(moments):
            home = Path(folder) / str(number)
            killed = run(recipe, home, kill_after=text, delay=delay)
            ended = run(recipe, home)
            same = ended.code == 0 and ended.digests == whole.digests
            row = {"after": text.strip(), "delay_s": round(delay, 2), "killed": killed.code == -signal.SIGKILL}
            rows.append({**row, "same files": same})
    write("torture", rows, libraries=("torch", "prefect", "mlflow"))
    if not all(row["same files"] for row in rows):
        raise SystemExit("a killed run ended with other files")


if __name__ == "__main__":
    main()
