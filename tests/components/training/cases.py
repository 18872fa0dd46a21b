"""Small trainings that several tests share."""

from pathlib import Path

import numpy as np

from components.data.preparing.preparation import Target
from components.models.config import MLP, Network
from components.models.model import Model, ModelSpec, build, save
from components.task import Metric
from components.training.config import TrainConfig
from components.training.examples import Examples
from components.training.job import Fitted
from components.training.loop import fit
from components.training.watch import Observer, Silent
from tests.components.models.cases import CLASSES, raw, spec


def examples(of: ModelSpec, *, rows: int, seed: int) -> Examples:
    """Random rows whose target can be learned from them."""
    arrays = raw(of.preparation, rows=rows, seed=seed)
    first = np.nan_to_num(np.asarray(arrays[0], dtype=np.float64)).reshape(rows, -1)
    score = first[:, :3].sum(axis=1)
    if of.task == "regression":
        return Examples(raw=arrays, target=100 + score)
    ranks = np.argsort(np.argsort(score))
    return Examples(raw=arrays, target=(ranks * len(of.preparation.target.classes) // rows).astype(np.int64))


def train(
    config: TrainConfig,
    folder: Path,
    *,
    network: Network | None = None,
    target: Target = CLASSES,
    observer: Observer | None = None,
    seed: int = 0,
    rows: int = 37,
    metric: Metric | None = None,
    drawn: tuple[int, int] = (1, 2),
) -> tuple[Model, Fitted]:
    """Build and fit a small model; the checkpoint lies in the folder.

    `drawn` are the seeds of the rows that it learns from, and of those that judge it.
    """
    what = spec(network or MLP(width=8, depth=2), target=target)
    model = build(what, seed=seed)
    fitted = fit(
        model,
        config,
        examples(what, rows=rows, seed=drawn[0]),
        examples(what, rows=20, seed=drawn[1]),
        spec=what,
        metric=metric or ("accuracy" if target.classes else "rmse"),
        seed=seed,
        folder=folder,
        observer=observer or Silent(),
    )
    return model, fitted


def weights(model: Model, folder: Path) -> bytes:
    """Return the bytes of the model's weights file."""
    save(model, spec(MLP()), folder)
    return (folder / "weights.safetensors").read_bytes()
