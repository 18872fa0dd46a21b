"""`make torture`, second part: kill what a run with stages on workers needs, and compare its files with a whole run's.

SIGKILL of a stage's process, of a worker with all that it has begun, of the run, of the Prefect server, which starts
again a few seconds later: each in turn, at a random moment. Only a run that was killed itself is followed by another.
Prints a row for each, writes the JSON.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from benchmarks.frame import Figures, write
from components.home import Home
from tests.torture.crew import VICTIMS, crew
from tests.torture.runs import run, write_recipe


def main() -> None:
    """Torture, print, write; fail if a run ended badly or with other files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder))
        whole = run(recipe, Path(folder) / "alone")
        with crew(recipe, Home(Path(folder) / "crew"), prefect_port=42017, mlflow_port=42018) as hired:
            started = time.monotonic()
            hired.run(draw=draw)
            seconds = time.monotonic() - started
            for number in range(given.kills):
                victim = VICTIMS[number % len(VICTIMS)]
                ended = hired.run(victim, draw=draw, within=0.6 * seconds)
                same = ended.code == 0 and ended.digests == whole.digests
                rows.append({"killed": victim, "code": ended.code, "same files": same})
                print(rows[-1] if same else ended.said, flush=True)
    write("torture_workers", rows, libraries=("torch", "prefect", "mlflow"))
    if not all(row["same files"] for row in rows):
        raise SystemExit("a run ended badly, or with other files")


if __name__ == "__main__":
    main()
