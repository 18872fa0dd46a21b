"""Fits the linear path of a network before the rest: the layers then learn what a linear model lacks.

N rows, F' numbers with their flags, C categories, K outputs.
"""

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from components.models.linear_path import FAR, LinearPath
from components.models.model import Model, TableNetwork
from components.training.config import TrainConfig
from components.training.device import settings
from components.training.examples import Dataset, Examples, dataset
from components.training.losses import Criterion, criterion

PENALTIES: Final = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.1)  # of squared weights, against the sum over rows
STEPS: Final = 100  # of L-BFGS, for each penalty


def start_linear_(model: Model, config: TrainConfig, train: Examples, validation: Examples) -> None:
    """Set the model's linear path, if it has one, to the penalised fit that is best on validation rows."""
    network = model.network
    if not isinstance(network, TableNetwork) or network.linear is None:
        return
    cpu = torch.device("cpu")
    with settings(cpu, threads=config.threads):
        target = model.head.target
        rows = dataset(train, model, target, device=cpu, channels_last=False)
        judged = dataset(validation, model, target, device=cpu, channels_last=False)
        loss = criterion(config.loss, target=rows.target, classes=len(target.classes))
        _fit_(network.linear, rows, judged, loss)


def _fit_(path: LinearPath, rows: Dataset, judged: Dataset, loss: Criterion) -> None:
    weights = [parameter.detach().double().requires_grad_() for parameter in path.parameters()]
    best, kept = float("inf"), [weight.detach().clone() for weight in weights]
    for penalty in PENALTIES:
        descend_(weights, rows, loss, penalty=penalty)
        with torch.no_grad():
            found = loss(_outputs(weights, judged), _target(judged)).item()
        if found < best:
            best, kept = found, [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for parameter, weight in zip(path.parameters(), kept, strict=True):
            parameter.copy_(weight)


def descend_(weights: list[Tensor], rows: Dataset, loss: Criterion, *, penalty: float) -> None:
    """Move the weights, float64, to the least loss with the penalty: not of the bias, as in scikit-learn."""
    target = _target(rows)
    optimizer = torch.optim.LBFGS(weights, max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        squares = torch.stack([(weight**2).sum() for weight in weights if weight.ndim > 1]).sum()
        value = loss(_outputs(weights, rows), target) + penalty / (2 * len(rows)) * squares
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def _outputs(weights: list[Tensor], rows: Dataset) -> Tensor:
    """What the linear path with these weights returns, [N, K]."""
    numbers, codes = rows.features
    output = F.linear(numbers.double().clamp(-FAR, FAR), weights[0], weights[1])
    for i, offset in enumerate(weights[2:]):
        output = output + F.embedding(codes[:, i], offset)
    return output


def _target(rows: Dataset) -> Tensor:
    return rows.target.double() if rows.target.is_floating_point() else rows.target
