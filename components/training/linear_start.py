"""Fits the linear path of a network before the rest: the layers then learn what a linear model lacks.

N rows, F' numbers with their flags, C categories, K outputs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import LBFGS, Optimizer

from components.models.linear_path import LinearPath
from components.models.model import Model, TableNetwork
from components.models.tensors import read_tensors, write_tensors
from components.training.config import TrainConfig
from components.training.device import settings
from components.training.examples import Dataset, Examples, dataset
from components.training.losses import Criterion, criterion

PENALTIES: Final = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.1)  # of squared weights, against the sum over rows
STEPS: Final = 100  # of L-BFGS, for each penalty
FOLDS: Final = 5
MANY: Final = 20_000  # rows, from which one fold is enough to choose by


def start_linear_(model: Model, config: TrainConfig, train: Examples, *, seed: int, file: Path) -> None:
    """Set the model's linear path, if it has one, to the fit whose penalty is best on folds of the train rows.

    Called again with the same arguments, it takes what the file keeps of the first time.
    """
    network = model.network
    if not isinstance(network, TableNetwork) or network.linear is None:
        return
    if file.exists():
        network.linear.load_state_dict(read_tensors(file))
        return
    cpu = torch.device("cpu")
    with settings(cpu, threads=1):  # sums of several threads differ in their last digits, and so would the fit
        rows = dataset(train, model, model.head.target, device=cpu, channels_last=False)
        loss = criterion(config.loss, target=rows.target, classes=len(model.head.target.classes))
        path = network.linear
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows)))
        judged = [_held_out(path, rows, order, fold, loss) for fold in range(FOLDS if len(rows) < MANY else 1)]
        best = int(torch.stack(judged).sum(dim=0).argmin())
        fitted = list(_fits(path, rows, loss, penalties=PENALTIES[: best + 1]))[-1]
    with torch.no_grad():
        for parameter, weight in zip(path.parameters(), fitted, strict=True):
            parameter.copy_(weight)
    write_tensors(file, path.state_dict())


def _held_out(path: LinearPath, rows: Dataset, order: Tensor, fold: int, loss: Criterion) -> Tensor:
    """Return the summed loss on a fold, [penalties], of what was fitted on the others."""
    inside = torch.arange(len(order)) % FOLDS == fold
    learned, (features, target) = _some(rows, order[~inside]), rows.batch(order[inside])
    if not len(learned) or not inside.any():
        return torch.zeros(len(PENALTIES))
    fits = _fits(path, learned, loss, penalties=PENALTIES)
    losses = [loss(_outputs(weights, features), _real(target)).detach() for weights in fits]
    return torch.stack(losses) * len(target)


def _fits(path: LinearPath, rows: Dataset, loss: Criterion, *, penalties: tuple[float, ...]) -> Iterator[list[Tensor]]:
    """Yield the weights for each penalty, the largest first: each fit begins where the one before it ended."""
    weights = [parameter.detach().double().requires_grad_() for parameter in path.parameters()]
    for penalty in penalties:
        descend_(weights, rows, loss, penalty=penalty)
        yield weights


def descend_(weights: list[Tensor], rows: Dataset, loss: Criterion, *, penalty: float) -> None:
    """Move the weights, float64, to the least loss with the penalty: not of the bias, as in scikit-learn."""
    features, target = (rows.features[0].double(), rows.features[1]), _real(rows.target)
    optimizer: Optimizer = LBFGS(weights, max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        squares = torch.stack([(weight**2).sum() for weight in weights if weight.ndim > 1]).sum()
        value = loss(_outputs(weights, features), target) + penalty / (2 * len(rows)) * squares
        torch.autograd.backward(value)
        return value.item()

    optimizer.step(closure)


def _outputs(weights: list[Tensor], features: tuple[Tensor, ...]) -> Tensor:
    """Return what a linear path would with these weights, [N, K]."""
    numbers, codes = features
    output = functional.linear(numbers.double(), weights[0], weights[1])
    for i, offset in enumerate(weights[2:]):
        output = output + functional.embedding(codes[:, i], offset)
    return output


def _some(rows: Dataset, places: Tensor) -> Dataset:
    features, target = rows.batch(places)
    return Dataset(features=features, target=target)


def _real(target: Tensor) -> Tensor:
    return target.double() if target.is_floating_point() else target
