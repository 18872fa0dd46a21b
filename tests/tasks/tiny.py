"""A few tiny stages and a yard for them. Imported by tests, and by the processes that they start."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from components.errors import refuse
from components.home import Home
from components.planning.ledger import ledger_at
from components.store.artifact import Artifact
from components.store.folder import FolderBlobs
from components.store.store import Store
from components.training.config import TrainConfig
from tasks.stage import Remote, Workspace, Yard, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    name: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    file: Artifact
    folder: Artifact
    by_size: dict[int, float]
    shape: tuple[int, int]
    scores: tuple[Score, ...]
    best: Score | None
    missing: float | None
    figures: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summed:
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Knobs:
    """What `make` does, beside its work."""

    seed: int = 0
    seconds: float = 0.0
    fails: str = ""  # the name of a file: it fails while that is there
    refuses: bool = False


@stage(libraries=("numpy",))
def make(here: Workspace, knobs: Knobs, *, journal: str) -> Made:
    """Write a line to the journal, then a file and a folder."""
    attempt = here.folder / "attempt"
    number = len(attempt.read_text()) if attempt.exists() else 0
    attempt.write_text("x" * (number + 1))
    with Path(journal).open("a") as file:
        file.write(f"make {number} {os.getpid()}\n")
    if knobs.refuses:
        raise refuse("the data has no rows", do="add some")
    if knobs.fails and Path(knobs.fails).exists():
        raise RuntimeError("as it was told")
    time.sleep(knobs.seconds)
    (here.folder / "file").write_text(f"file {knobs.seed}")
    (here.folder / "made").mkdir(exist_ok=True)
    (here.folder / "made" / "inner").write_text(f"inner {knobs.seed}")
    return Made(
        file=here.keep(here.folder / "file"),
        folder=here.keep(here.folder / "made"),
        by_size={1: 0.5, 32: 2},
        shape=(2, 3),
        scores=(Score(name="a", value=1),),
        best=Score(name="b", value=float("inf")),
        missing=None,
        figures={"rows": 3},
    )


@stage()
def add(here: Workspace, *, made: Made, name: str, journal: str) -> Summed:
    """Read what `make` made."""
    with Path(journal).open("a") as file:
        file.write("add\n")
    return Summed(total=len(here.open(made.file).read_text()) + len((here.open(made.folder) / "inner").read_text()))


@stage()
def count(here: Workspace, *, journal: str) -> Summed:
    """Count on from the checkpoint; the first attempt ends when that was sent."""
    file = here.checkpoints / "count"
    before = int(file.read_text()) if file.exists() else 0
    with Path(journal).open("a") as lines:
        lines.write(f"{before}\n")
    if not before:
        here.checkpoints.mkdir()
        file.write_text("1")
        while not here.yard.ledger.database.ask("SELECT key FROM checkpoints"):
            time.sleep(0.01)
        raise RuntimeError("killed")
    return Summed(total=before + 1)


@stage()
def train(here: Workspace, config: TrainConfig, *, journal: str, fits: int) -> Summed:
    """Train on a GPU that so many rows fit on: the total is how many go into a step."""
    from torch import OutOfMemoryError

    held = Held()
    with Path(journal).open("a") as file:
        file.write(f"{config.accumulate} x {config.batch_size} beside {len(Held.alive)}\n")
    Held.alive.add(held)
    if config.batch_size > fits:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return Summed(total=config.accumulate * config.batch_size)


class Held:
    """What a training has on the GPU, for as long as anything refers to it."""

    alive: ClassVar["WeakSet[Held]"] = WeakSet()


def yard_at(
    root: Path, *, run: str = "r1", force: frozenset[str] = frozenset(), verify: bool = False, lease: float = 5.0
) -> Yard:
    home = Home(root)
    store = Store(FolderBlobs(home.store), home.checkouts)
    return Yard(
        home=home,
        store=store,
        ledger=ledger_at(home.ledger),
        remote=Remote(url=str(home.dvc_remote)),
        model="m",
        run=run,
        force=force,
        verify=verify,
        lease_seconds=lease,
    )
