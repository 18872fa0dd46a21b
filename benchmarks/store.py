"""The store against copying the file and hashing it: put and get of one large file, in turn.

In a folder a get is a path: the bytes are used where they lie. `--verify` hashes them: that is measured as well.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.frame import Figures, spread, write
from components.store.artifact import Artifact
from components.store.folder import FolderBlobs, sha256
from components.store.store import Store


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that the work takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def copy_and_hash(source: Path, target: Path) -> None:
    """Do what any store must do at least."""
    shutil.copyfile(source, target)
    sha256(target)


def verified(store: Store, artifact: Artifact) -> None:
    """Get it, as `--verify` does."""
    assert store.digest_now(artifact) == artifact.digest
    store.get(artifact)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    times: dict[str, list[float]] = {"copy and hash": [], "put": [], "get": [], "get, verified": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.write_bytes(np.random.default_rng(0).bytes(given.bytes))
        for number in range(given.rounds):
            root = Path(folder) / str(number)
            store = Store(FolderBlobs(root), root / "folders")
            times["copy and hash"].append(timed(partial(copy_and_hash, source, Path(folder) / "copy")))
            times["put"].append(timed(partial(store.put, source)))
            artifact = store.put(source)
            times["get"].append(timed(partial(store.get, artifact)))
            times["get, verified"].append(timed(partial(verified, store, artifact)))
            shutil.rmtree(root)
    rows: list[Figures] = []
    for name, values in times.items():
        ratio = spread([value / base for value, base in zip(values, times["copy and hash"], strict=True)])
        seconds = {f"seconds {key}": value for key, value in spread(values).items()}
        rows.append({"what": name, **seconds, "ratio to copy and hash": ratio["median"]})
    write("store", rows)


if __name__ == "__main__":
    main()
