"""Samples per second of two processes with a thread each, against one process with one thread and with two.

All take turns, and each trains the same network on the same rows with the same global batch. The rate is that of `fit`
itself: all rows over the seconds from the first step to the end, judging epochs included, starting processes not. A
ratio is the median over the rounds, each round holding one turn of each. Seconds are wall-clock time, since that is
what a second core is for: on a machine that does other things the ratios are too low, and the largest says more.

How much a second core gives at all is a row of its own: two trainings at once that know nothing of each other, each on
half of the rows with half of the batch, and the sum of their rates. Two that must wait for each other can't be faster.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from benchmarks.frame import Figures, spread, write
from components.data.preparing.preparation import ImageColumn, NumberColumn, Preparation, Target
from components.models.config import CNN, MLP, Network
from components.models.model import ModelSpec, build
from components.training.config import BF16, DDP, FP16, Alone, Distributed, Int8, PowerSGD, TrainConfig
from components.training.examples import Examples
from components.training.loop import fit
from components.training.watch import Silent

CLASSES = 10
BASE = "1 process, 1 thread"


@dataclass(frozen=True)
class Case:
    """One network with its data."""

    name: str
    spec: ModelSpec
    rows: Examples
    batch_size: int
    epochs: int


def cases(scale: float) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    target = Target(name="y", classes=tuple(map(str, range(CLASSES))))
    image = ImageColumn(name="x", channels=1, size=(28, 28), resize=False, mean=(0.13,), std=(0.31,))
    columns = tuple(NumberColumn(name=str(i), fill=0.0, center=0.0, scale=1.0) for i in range(32))
    pictures, rows = int(4096 * scale), int(65536 * scale)
    pixels = rng.integers(0, 256, (pictures, 28, 28, 1), dtype=np.uint8)
    numbers = rng.normal(size=(rows, 32)), np.zeros((rows, 0), dtype=np.int64)
    cnn = _spec(CNN(width=32, stages=3), Preparation(target=target, image=image))
    mlp = _spec(MLP(members=1, linear=False), Preparation(target=target, numbers=columns))
    images = Examples(raw=(pixels,), target=rng.integers(0, CLASSES, pictures))
    table = Examples(raw=numbers, target=rng.integers(0, CLASSES, rows))
    # What processes tell each other takes as long for any batch: each network with small and large ones.
    for batch_size in (64, 256, 1024):
        yield Case(f"CNN, 28x28 images, batch {batch_size}", cnn, images, batch_size, 1)
    for batch_size in (512, 4096):
        yield Case(f"MLP, 32 columns, batch {batch_size}", mlp, table, batch_size, 6)


def _spec(network: Network, preparation: Preparation) -> ModelSpec:
    return ModelSpec(task="classification", network=network, preparation=preparation)


TRAININGS: dict[str, tuple[Distributed, int]] = {
    BASE: (Alone(), 1),
    "1 process, 2 threads": (Alone(), 2),
    "2 processes, 1 thread": (DDP(), 1),
    "2 processes, fp16": (DDP(compress=FP16()), 1),
    "2 processes, bf16": (DDP(compress=BF16()), 1),
    "2 processes, int8": (DDP(compress=Int8()), 1),
    "2 processes, power_sgd": (DDP(compress=PowerSGD(start_step=2)), 1),
}


def rate(case: Case, way: str) -> float:
    """Train once, and return its samples per second."""
    distributed, threads = TRAININGS[way]
    config = TrainConfig(
        epochs=case.epochs, batch_size=case.batch_size, threads=threads, distributed=distributed, device="cpu"
    )
    few = _first(case.rows, 16)
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(
            build(case.spec, seed=0),
            config,
            case.rows,
            few,
            spec=case.spec,
            metric="accuracy",
            seed=0,
            folder=Path(folder),
            observer=Silent(),
        )
    return fitted.samples_per_second


def rate_apart(case: Case) -> float:
    """Train twice at once, each on half of the rows with half of the batch, and return the sum of both rates."""
    half = replace(case, rows=_first(case.rows, len(case.rows) // 2), batch_size=case.batch_size // 2)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(2, spawn, initializer=_meet_at, initargs=(spawn.Barrier(2),)) as processes:
        return sum(processes.map(_rate_together, [half, half]))


START: list[Barrier] = []


def _meet_at(barrier: Barrier) -> None:
    """Let a process know where to wait for the other: a barrier can't be sent with its work."""
    START.append(barrier)


def _rate_together(case: Case) -> float:
    rate(replace(case, rows=_first(case.rows, 2 * case.batch_size), epochs=1), BASE)  # what a first training loads
    START[0].wait()
    return rate(case, BASE)


def _first(rows: Examples, count: int) -> Examples:
    return Examples(raw=tuple(np.asarray(part)[:count] for part in rows.raw), target=rows.target[:count])


WAYS: dict[str, Callable[[Case], float]] = {
    **{way: partial(rate, way=way) for way in TRAININGS},
    "2 processes apart": rate_apart,
}


def measure(case: Case, *, rounds: int) -> list[Figures]:
    """Return a row per way: its samples per second, and what they are of one process with one thread."""
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        print(f"{case.name}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
        for way in list(WAYS) if turn % 2 else list(reversed(WAYS)):
            rates[way].append(WAYS[way](case))
    return [
        {
            "case": case.name,
            "way": way,
            **{f"samples/s {key}": value for key, value in spread(values).items()},
            **_ratio([ours / base for ours, base in zip(values, rates[BASE], strict=True)]),
        }
        for way, values in rates.items()
    ]


def _ratio(values: list[float]) -> dict[str, float]:
    return {f"x {key}": value for key, value in spread(values).items() if key != "n"}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    options = parser.parse_args()
    rows: list[Figures] = []
    for case in cases(options.scale):
        rows += measure(case, rounds=options.rounds)
    write("distributed", rows, libraries=("torch", "numpy"))


if __name__ == "__main__":
    main()
