"""`make torture`, second part: kill what a run on servers needs, and compare its files with those of a whole run at home.

On `up --production`, with workers that have nothing of the run's but servers to share. SIGKILL of a stage's process, of a
worker with all that it has begun, of the run, of Prefect's, MLflow's, PostgreSQL's and the S3 server, which start again
a few seconds later: each in turn, at a random moment. Only a run that was killed itself is followed by another. Prints a
row for each and writes the JSON: all of it takes three quarters of an hour, and `--first 20` keeps the first 20 rows and does the others.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.frame import RESULTS, Figures, save, write
from components.home import Home
from components.planning.machine import this_machine
from tests.torture.crew import VICTIMS, crew
from tests.torture.runs import run, write_recipe

NAME, LIBRARIES = "torture_workers", ("torch", "prefect", "mlflow")
PORTS = {"postgres": 42015, "s3": 42016, "prefect": 42017, "mlflow": 42018}


def main() -> None:
    """Torture, print, write; fail if a run ended badly or with other files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first kill; earlier rows are kept")
    given = parser.parse_args()
    earlier = json.loads((RESULTS / f"{NAME}.json").read_text())
    if given.first and earlier["machine"] != json.loads(json.dumps(asdict(this_machine()))):
        parser.error("the rows that would be kept are another machine's")
    rows: list[Figures] = earlier["rows"][: given.first]
    for row in tortured(range(len(rows), given.kills), seed=given.seed):
        rows.append(row)
        print(row, flush=True)
        save(NAME, rows, libraries=LIBRARIES)
    write(NAME, rows, libraries=LIBRARIES)
    if not all(row["same files"] for row in rows):
        raise SystemExit("a run ended badly, or with other files")


def tortured(numbers: Iterable[int], *, seed: int) -> Iterator[Figures]:
    """Kill once for each number, and yield what became of the run. What one with other files said is printed."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = write_recipe(Path(folder))
        whole = run(recipe, Path(folder) / "alone")
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where root starts it
        with crew(recipe, Home(Path(folder) / "crew"), ports=PORTS) as hired:
            started = time.monotonic()
            hired.run(draw=random.Random(seed))
            seconds = time.monotonic() - started
            for number in numbers:
                victim, draw = VICTIMS[number % len(VICTIMS)], random.Random(f"{seed}, {number}")
                begun = time.monotonic()
                ended = hired.run(victim, draw=draw, within=0.6 * seconds)
                same = ended.code == 0 and ended.digests == whole.digests
                if not same:
                    print(ended.said, flush=True)
                took = round(time.monotonic() - begun, 1)
                killed = victim if hired.hit else "nothing, the run was faster"
                date = time.strftime("%Y-%m-%d")
                yield {"killed": killed, "code": ended.code, "same files": same, "seconds": took, "date": date}


if __name__ == "__main__":
    main()
