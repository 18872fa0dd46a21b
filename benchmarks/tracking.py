"""5,000 metric points to MLflow on SQLite: the time that training waits, and until all of them are there."""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.frame import Figures, spread, write
from components.home import Home
from tasks.tracking.connecting import connect
from tasks.tracking.runs import tracked

POINTS = 5000


def one_round() -> dict[str, float]:
    """Return seconds: of training's time, of a single call for each of 200 points, and until the end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        client = connect(home)
        started = time.monotonic()
        artifacts = home.mlflow_artifacts.as_uri()
        with tracked(client, home, model="bench", run_name="queue", artifacts=artifacts) as tracking:
            before = time.monotonic()
            for step in range(POINTS // 5):
                tracking.metrics({f"metric_{place}": float(step) for place in range(5)}, step=step)
            waited = time.monotonic() - before
        ended = time.monotonic() - started
        found = len(client.get_metric_history(tracking.run_id, "metric_0"))
        assert found == POINTS // 5, f"{found} points arrived"
        run = client.create_run("0")
        before = time.monotonic()
        for step in range(200):
            client.log_metric(run.info.run_id, "metric", float(step), step=step)
        single = (time.monotonic() - before) * POINTS / 200
    return {"training waits": waited, "all are there": ended, "single calls (from 200)": single}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    measured = [one_round() for _ in range(parser.parse_args().rounds)]
    rows: list[Figures] = []
    for name in measured[0]:
        seconds = spread([one[name] for one in measured])
        rows.append({"5,000 points": name, **{f"seconds {key}": value for key, value in seconds.items()}})
    write("tracking", rows, libraries=("mlflow",))


if __name__ == "__main__":
    main()
