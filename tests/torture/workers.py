"""`make torture`, second part: kill what a run on servers needs, and compare its files with those of a whole run at home.

On `up --production`, with workers that have nothing of the run's but servers to share. SIGKILL of a stage's process, of a
worker with all that it has begun, of the run, of Prefect's, MLflow's, PostgreSQL's and the S3 server, which start again
a few seconds later: each in turn, at a random moment. Only a run that was killed itself is followed by another. Prints a
row for each, writes the JSON.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.frame import Figures, write
from components.home import Home
from tests.torture.crew import VICTIMS, crew
from tests.torture.runs import run, write_recipe

PORTS = {"postgres": 42015, "s3": 42016, "prefect": 42017, "mlflow": 42018}


def main() -> None:
    """Torture, print, write; fail if a run ended badly or with other files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows: list[Figures] = []
    for row in tortured(random.Random(given.seed), kills=given.kills):
        rows.append(row)
        print(row, flush=True)
    write("torture_workers", rows, libraries=("torch", "prefect", "mlflow"))
    if not all(row["same files"] for row in rows):
        raise SystemExit("a run ended badly, or with other files")


def tortured(draw: random.Random, *, kills: int) -> Iterator[Figures]:
    """Kill as often, and yield what became of each run. What a run with other files said is printed."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder))
        whole = run(recipe, Path(folder) / "alone")
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where root starts it
        with crew(recipe, Home(Path(folder) / "crew"), ports=PORTS) as hired:
            started = time.monotonic()
            hired.run(draw=draw)
            seconds = time.monotonic() - started
            for number in range(kills):
                victim = VICTIMS[number % len(VICTIMS)]
                begun = time.monotonic()
                ended = hired.run(victim, draw=draw, within=0.6 * seconds)
                same = ended.code == 0 and ended.digests == whole.digests
                if not same:
                    print(ended.said, flush=True)
                took = round(time.monotonic() - begun, 1)
                killed = victim if hired.hit else "nothing, the run was faster"
                yield {"killed": killed, "code": ended.code, "same files": same, "seconds": took}


if __name__ == "__main__":
    main()
