"""How good a network is on the validation rows, and which epoch was the best.

N rows, K outputs.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, isnan, nan
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from components.evaluation.metrics import figures
from components.models.model import Head
from components.task import LOWER_IS_BETTER, Metric, Task
from components.training.examples import Dataset
from components.training.losses import Criterion
from components.training.together import Together, share

CHUNK_ROWS: Final = 2048
CHUNK_OUTPUTS: Final = 1 << 18  # rows by classes: a network may hold many times as many numbers


def validate(
    network: nn.Module, rows: Dataset, *, head: Head, criterion: Criterion, metric: Metric, together: Together
) -> dict[str, float]:
    """Return `validation_loss` and, where it is defined, the metric: in full precision, as the model will be used.

    Every process returns the same, from the same outputs.
    """
    target = head.target
    chunk = max(1, min(CHUNK_ROWS, CHUNK_OUTPUTS // max(1, len(target.classes))))
    output = outputs(network, rows, chunk=chunk, together=together)  # [N, K]
    answers = head(output).cpu().numpy()
    wanted = rows.target.cpu().numpy()
    truth = wanted if target.classes else wanted.astype(np.float64) * target.scale + target.center
    loss = criterion(output, rows.target).item()
    if not isfinite(loss):
        return {"validation_loss": loss}
    task: Task = "classification" if target.classes else "regression"
    values = figures(task, target=truth, output=answers, classes=len(target.classes))
    known = {f"validation_{metric}": values[metric]} if metric in values else {}
    return {"validation_loss": loss, **known}


@torch.no_grad()
def outputs(network: nn.Module, rows: Dataset, *, chunk: int, together: Together) -> Tensor:
    """Return the network's outputs for all rows, [N, K], before the head; each process works out its share."""
    network.eval()
    first, last = share(0, len(rows), rank=together.rank, processes=together.processes)
    places = torch.arange(first, last, device=rows.target.device)
    parts = [network(*rows.batch(part)[0]) for part in torch.split(places, chunk)]
    return together.join(torch.cat(parts), of=len(rows))


def improvements(history: Sequence[Mapping[str, float]], *, metric: Metric) -> tuple[bool, ...]:
    """Say of each epoch whether it was the best so far: by the metric, then by the lower validation loss."""
    best, improved = (-inf, -inf), list[bool]()
    for epoch in history:
        rank = _rank(epoch, metric=metric)
        improved.append(rank > best or not improved)
        best = max(best, rank)
    return tuple(improved)


def _rank(epoch: Mapping[str, float], *, metric: Metric) -> tuple[float, float]:
    value, loss = epoch.get(f"validation_{metric}", nan), epoch["validation_loss"]
    signed = -value if metric in LOWER_IS_BETTER else value
    return (-inf if isnan(signed) else signed, -inf if isnan(loss) else -loss)
