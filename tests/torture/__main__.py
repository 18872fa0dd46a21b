"""`make torture`: end a run at every stage and at random moments, and compare its files with an undisturbed one.

By SIGKILL after every stage and at random moments, by Ctrl-C within every stage. Each has a home of its own and is
followed by one run to the end. Prints a row for each, writes the JSON.
"""

import argparse
import random
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.frame import Figures, write
from flows.retrain import STAGES
from tests.torture.runs import Ended, interrupt, left_running, run, write_recipe

INTERRUPTED = ("preparing", *(stage.name for stage in STAGES))


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
            rows.append(_killed(recipe, Path(folder) / str(number), text, delay, whole))
            print(rows[-1], flush=True)
        for at in INTERRUPTED:
            rows.append(_interrupted(recipe, Path(folder) / f"ctrl-c-{at}", at, whole))
            print(rows[-1], flush=True)
    write("torture", rows, libraries=("torch", "prefect", "mlflow"))
    if not all(row["ended"] != "badly" and row["same files"] for row in rows):
        raise SystemExit("a run didn't stop as it should, or ended with other files")


def _killed(recipe: Path, home: Path, after: str, delay: float, whole: Ended) -> Figures:
    """Send SIGKILL some seconds after a stage, and run to the end."""
    killed = run(recipe, home, kill_after=after, delay=delay)
    ended = "killed" if killed.code == -signal.SIGKILL else "before" if killed.code == 0 else "badly"
    row = {"how": "SIGKILL", "after": after.strip(), "delay_s": round(delay, 2), "ended": ended}
    return {**row, "same files": _goes_on(recipe, home, whole)}


def _interrupted(recipe: Path, home: Path, at: str, whole: Ended) -> Figures:
    """Press Ctrl-C at a stage, look at what is left, and run to the end."""
    stopped = interrupt(recipe, home, at=f" {at}")
    clean = stopped.code in (0, 130) and "Traceback" not in stopped.said and not left_running(home)
    ended = "badly" if not clean else "stopped" if stopped.code else "before"
    row = {"how": "Ctrl-C", "after": at, "delay_s": 0.0, "ended": ended}
    return {**row, "same files": _goes_on(recipe, home, whole)}


def _goes_on(recipe: Path, home: Path, whole: Ended) -> bool:
    ended = run(recipe, home)
    return ended.code == 0 and ended.digests == whole.digests


if __name__ == "__main__":
    main()
