"""Samples per second of our training loop, of a usual DataLoader loop, and of a careful hand-written one.

All three take turns in one process, on one thread, with the same network (but for the dropout: ours has our own, the
others have torch's), optimizer, batch size and number of steps. A ratio is the median over the rounds, each round
holding one turn of each loop. Seconds are of CPU time of this process: with one thread that is the time on an idle
machine, and what else runs on it counts less.
"""

import argparse
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.frame import Figures, spread, write
from components.data.preparing.preparation import ImageColumn, NumberColumn, Preparation, Target
from components.models.config import CNN, MLP, Network
from components.models.dropout import Dropout
from components.models.model import Model, ModelSpec, build
from components.training.config import AdamW, TrainConfig
from components.training.examples import Examples
from components.training.loop import fit
from components.training.watch import Silent

CLASSES = 10
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Case:
    """One network with its data."""

    name: str
    spec: ModelSpec
    raw: tuple[np.ndarray, ...]
    target: np.ndarray
    batch_size: int
    epochs: int


def cases(scale: float) -> list[Case]:
    rng = np.random.default_rng(0)
    target = Target(name="y", classes=tuple(map(str, range(CLASSES))))
    image = ImageColumn(name="x", channels=1, size=(28, 28), resize=False, mean=(0.13,), std=(0.31,))
    columns = tuple(NumberColumn(name=str(i), fill=0.0, center=0.0, scale=1.0) for i in range(32))
    rows = int(8192 * scale)
    # Of a large batch the tensors are large too: what is paid for memory shows.
    batches = {batch_size: int(pictures * scale) for batch_size, pictures in ((64, 1024), (512, 4096))}
    return [
        *(
            Case(
                f"CNN, 28x28 images, batch {batch_size}",
                _spec(CNN(width=32, stages=3), Preparation(target=target, image=image)),
                (rng.integers(0, 256, (pictures, 28, 28, 1), dtype=np.uint8),),
                rng.integers(0, CLASSES, pictures),
                batch_size,
                1,
            )
            for batch_size, pictures in batches.items()
        ),
        Case(
            "MLP, 32 columns, batch 128",
            _spec(MLP(members=1, linear=False), Preparation(target=target, numbers=columns)),
            (rng.normal(size=(rows, 32)), np.zeros((rows, 0), dtype=np.int64)),
            rng.integers(0, CLASSES, rows),
            128,
            2,
        ),
    ]


def _spec(network: Network, preparation: Preparation) -> ModelSpec:
    return ModelSpec(task="classification", network=network, preparation=preparation)


class Stopwatch(Silent):
    """Times from the end of the first step to the end of the last, so that preparing and judging don't count."""

    def __init__(self) -> None:
        self.began = self.seconds = 0.0
        self.steps = 0

    def step(self, *, step: int = 0, steps: int = 0) -> None:  # noqa: ARG002
        """A step is done."""
        now = process_time()
        if self.began:
            self.seconds += now - self.began
            self.steps += 1
        self.began = now

    def epoch(self, metrics: object = None, *, epoch: int = 0) -> None:  # noqa: ARG002
        """An epoch is done: what comes before the next one's first step doesn't count."""
        self.began = 0.0


def ours(case: Case, precision: Precision) -> float:
    """Our `fit`, with everything that it does: seeding, schedule, loss checks, observer, checkpoints."""
    config = TrainConfig(
        epochs=case.epochs,
        batch_size=case.batch_size,
        optimizer=AdamW(),
        precision=precision,
        weight_average=0.0,
        threads=1,
        device="cpu",
    )
    few = Examples(raw=tuple(part[:16] for part in case.raw), target=case.target[:16])
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            build(case.spec, seed=0),
            config,
            Examples(raw=case.raw, target=case.target),
            few,
            spec=case.spec,
            metric="accuracy",
            seed=0,
            folder=Path(folder),
            observer=watch,
        )
    return watch.steps * case.batch_size / watch.seconds


def dataloader(case: Case, precision: Precision) -> float:
    """The loop of the tutorials: a TensorDataset behind a shuffling DataLoader, Adam as it comes."""
    model, features, target = _prepared(case)
    loader = DataLoader(TensorDataset(*features, target), batch_size=case.batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    model.network.train()
    total, watch = 0.0, Stopwatch()
    for _ in range(case.epochs):
        for *inputs, labels in loader:
            optimizer.zero_grad()
            with _autocast(precision):
                loss = functional.cross_entropy(model.network(*inputs), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
            watch.step()
        watch.epoch()
    return watch.steps * case.batch_size / watch.seconds


def by_hand(case: Case, precision: Precision) -> float:
    """What a careful person writes: one tensor indexed by batches, channels-last, fused optimizer."""
    model, features, target = _prepared(case)
    network: nn.Module = model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features = tuple(f.contiguous(memory_format=torch.channels_last) if f.ndim == 4 else f for f in features)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    network.train()
    watch = Stopwatch()
    for _ in range(case.epochs):
        for rows in torch.split(torch.randperm(len(target)), case.batch_size):
            with _autocast(precision):
                loss = functional.cross_entropy(network(*(f[rows] for f in features)), target[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            watch.step()
        watch.epoch()
    return watch.steps * case.batch_size / watch.seconds


def _prepared(case: Case) -> tuple[Model, tuple[Tensor, ...], Tensor]:
    model = build(case.spec, seed=0)
    _usual_dropout_(model)
    with torch.no_grad():
        features = model.features(*(torch.from_numpy(part) for part in case.raw))
    return model, features, torch.from_numpy(case.target)


def _usual_dropout_(module: nn.Module) -> None:
    """Put torch's own dropout in the place of ours, as it would be in a network written by hand."""
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            module.register_module(name, nn.Dropout(child.share))
        _usual_dropout_(child)


def _autocast(precision: Precision) -> torch.autocast | nullcontext[None]:
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


LOOPS: dict[str, Callable[[Case, Precision], float]] = {
    "steelyard": ours,
    "by hand": by_hand,
    "DataLoader": dataloader,
}


def measure(case: Case, precision: Precision, *, rounds: int) -> list[Figures]:
    """Return a row per loop: its samples per second, and what steelyard's are of it."""
    rates: dict[str, list[float]] = {name: [] for name in LOOPS}
    for turn in range(rounds + 1):
        for name in list(LOOPS) if turn % 2 else list(reversed(LOOPS)):
            rate = LOOPS[name](case, precision)
            if turn:  # the first round warms up
                rates[name].append(rate)
    return [
        {
            "case": case.name,
            "precision": precision,
            "loop": name,
            **{f"samples/s {key}": value for key, value in spread(values).items()},
            **_ratio([ours / other for ours, other in zip(rates["steelyard"], values, strict=True)]),
        }
        for name, values in rates.items()
    ]


def _ratio(values: list[float]) -> dict[str, float]:
    return {f"steelyard is x {key}": value for key, value in spread(values).items() if key != "n"}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Figures] = []
    for case in cases(options.scale):
        for precision in ("fp32", "bf16"):
            rows += measure(case, precision, rounds=options.rounds)
    write("training", rows, libraries=("torch", "numpy"))


if __name__ == "__main__":
    main()
