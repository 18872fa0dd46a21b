"""Peak resident memory of packing a large CSV and of splitting it, each in a process of its own."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.frame import Figures, write

CHUNK = 200_000  # rows
WORK = """
import json, sys, time
from pathlib import Path
from components.data.config import DataConfig, SplitConfig
what, folder = sys.argv[1], Path(sys.argv[2])
numbers = {f"number_{place}": "number" for place in range(8)}
config = DataConfig(
    source=str(folder / "table.csv"),
    target="kind",
    columns={**numbers, "colour": "category", "kind": "category"},
)
before = time.monotonic()
if what == "pack":
    from components.data.packing.pack import pack
    rows = pack(config, folder / "packed", source=folder / "table.csv").rows
else:
    from components.data.splitting.copies import copies_in
    from components.data.splitting.split import split
    file = folder / f"{what}.parquet"
    rows = sum(split(SplitConfig(method=what), config, folder / "packed", file, task="classification").rows.values())
    copies_in(file)
seconds = time.monotonic() - before
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps({"rows": rows, "peak_mb": int(peak) * 1024 / 1e6, "seconds": seconds}))
"""


def write_table(path: Path, *, size_bytes: int) -> None:
    """Write a CSV of about that size: 8 numbers, a colour and a class."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        header = True
        while file.tell() < size_bytes:
            columns: dict[str, object] = {f"number_{place}": random.normal(size=CHUNK) for place in range(8)}
            columns["colour"] = random.choice(["red", "green", "blue"], size=CHUNK)
            columns["kind"] = random.choice(["a", "b", "c"], size=CHUNK)
            csv.write_csv(pa.table(columns), file, csv.WriteOptions(include_header=header))
            header = False


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2_000_000_000)
    given = parser.parse_args()
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        write_table(table, size_bytes=given.bytes)
        for what in ("pack", "hash", "stratified"):
            command = [sys.executable, "-P", "-c", WORK, what, folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append({"work": what, "csv_bytes": table.stat().st_size, **json.loads(done.stdout)})
    write("memory", rows, libraries=("pyarrow", "numpy"))


if __name__ == "__main__":
    main()
