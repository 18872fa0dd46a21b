"""What the benchmarks share: where they ran, how rows are printed, and where the JSON goes."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from components.planning.machine import this_machine

RESULTS = Path(__file__).parent / "results"
Figures = Mapping[str, float | int | str | bool]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, smallest and largest value, and how many there were."""
    return {"median": median(values), "min": min(values), "max": max(values), "n": len(values)}


def write(name: str, rows: Sequence[Figures], *, libraries: Sequence[str] = ()) -> None:
    """Print the rows as a table, and save them."""
    columns = list(rows[0])
    texts = [columns, *([_text(row[column]) for column in columns] for row in rows)]
    widths = [max(len(row[place]) for row in texts) for place in range(len(columns))]
    for row in texts:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    save(name, rows, libraries=libraries)


def save(name: str, rows: Sequence[Figures], *, libraries: Sequence[str] = ()) -> None:
    """Write the rows as JSON with the machine and the versions."""
    where = {
        "machine": asdict(this_machine()),
        "python": platform.python_version(),
        "versions": {library: version(library) for library in libraries},
        "date": time.strftime("%Y-%m-%d"),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**where, "rows": [dict(row) for row in rows]}, indent=1) + "\n")


def _text(value: float | int | str | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
