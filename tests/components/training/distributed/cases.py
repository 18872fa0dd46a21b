"""Trainings in several processes that several tests share."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from components.data.preparing.preparation import Target
from components.models.config import MLP, Network
from components.models.model import Model, build
from components.training.config import DDP, Compression, TrainConfig
from components.training.distributed.launcher import options
from components.training.distributed.parent import hand_out, take_home
from components.training.job import Fitted, Job
from tests.components.models.cases import CLASSES, spec
from tests.components.training.cases import examples

ROOT = Path(__file__).parents[4]
SURE = MLP(width=8, depth=2, dropout=0.0)
SHORT = TrainConfig(epochs=3, batch_size=8, threads=1, weight_average=0.0, checkpoint_seconds=0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A small training; `ends` are the steps behind which it is ended and begun again."""

    config: TrainConfig = SHORT
    network: Network = SURE
    target: Target = CLASSES
    rows: int = 37
    ends: tuple[int, ...] = ()


def by_processes(cases: Mapping[str, Case], folder: Path, *, processes: int = 2) -> dict[str, tuple[Model, Fitted]]:
    """Run all cases in the same processes; the compression of each is that of its config."""
    models, jobs, arguments = {}, {}, list[str]()
    for name, case in cases.items():
        what, place = spec(case.network, target=case.target), folder / name.replace(" ", "_")
        models[name] = build(what, seed=0)
        jobs[name] = Job(
            config=spread(case.config, processes=processes),
            metric="accuracy" if case.target.classes else "rmse",
            seed=0,
            folder=place,
        )
        hand_out(
            jobs[name],
            place / "processes",
            model=models[name],
            train=examples(what, rows=case.rows, seed=1),
            validation=examples(what, rows=20, seed=2),
            spec=what,
            device=torch.device("cpu"),
        )
        arguments += [f"{place / 'processes'}@{step}" for step in case.ends] + [str(place / "processes")]
    several = (sys.executable, "-m", "tests.components.training.distributed.several", *arguments)
    command = ["-m", "torch.distributed.run", *options(processes, folder), *several]
    variables = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    told = subprocess.run([sys.executable, *command], env=variables, capture_output=True, text=True, check=False)
    errors = "".join(file.read_text() for file in (folder / "logs").glob("*/*/*/stderr.log"))
    assert told.returncode == 0, f"{told.returncode}: {told.stderr}{errors}"
    return {
        name: (models[name], take_home(job, job.folder / "processes", models[name], code=0))
        for name, job in jobs.items()
    }


def spread(config: TrainConfig, *, processes: int = 2) -> TrainConfig:
    """Return the config for so many processes, with the compression that it has."""
    compress: Compression | None = config.distributed.compress if isinstance(config.distributed, DDP) else None
    return replace(config, distributed=DDP(processes=processes, compress=compress))


def compressed(compress: Compression, config: TrainConfig = SHORT) -> TrainConfig:
    """Return the config with a compression."""
    return replace(config, distributed=DDP(compress=compress))
