"""How good a network is on the validation rows, and which epoch was the best.

N rows, K outputs.
"""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, isnan, nan, sqrt
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from components.evaluation.metrics import figures
from components.models.model import Head
from components.task import LOWER_IS_BETTER, METRICS, Metric, Task
from components.training.examples import Dataset
from components.training.losses import Criterion
from components.training.together import Together, share

CHUNK_ROWS: Final = 2048
CHUNK_OUTPUTS: Final = 1 << 18  # rows by classes: a network may hold many times as many numbers
SHARES: Final = frozenset(METRICS["classification"]) - LOWER_IS_BETTER  # of rows, or of pairs of rows


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


def improvements(history: Sequence[Mapping[str, float]], *, metric: Metric, rows: float) -> tuple[bool, ...]:
    """Say of each epoch whether its weights took the place of those that were kept until then.

    They do where the metric is within one standard error of the best so far, on `rows` rows, and the validation loss
    is lower than that of the kept ones, or where the best has left those behind. So the last one to do it is as good
    as the best, as far as the rows can tell, and has a lower loss (the idea of the rule of Breiman et al.,
    Classification and Regression Trees, 1984, 3.4.3): on 48 rows 0.92 and 0.94 are one row apart, and the loss knows
    better which of the two will do well on others. A figure that isn't a share of rows must equal the best.
    """
    best, kept, improved = -inf, (-inf, inf), list[bool]()
    for epoch in history:
        value, loss = _signed(epoch, metric=metric), epoch["validation_loss"]
        best = max(best, value)
        bar = best - (standard_error(best, rows=rows) if metric in SHARES and isfinite(best) else 0.0)
        improved.append(not improved or (value >= bar and (kept[0] < bar or loss < kept[1])))
        kept = (value, loss) if improved[-1] else kept
    return tuple(improved)


def standard_error(share: float, *, rows: float) -> float:
    """Return that of a share of N rows, after two rows more of either kind, which leave it some at 0 and at 1.

    Agresti and Coull, Approximate is better than "exact" for interval estimation of binomial proportions, 1998.
    """
    middle = (share * rows + 2) / (rows + 4)
    return sqrt(middle * (1 - middle) / (rows + 4))


def telling_rows(target: Tensor, *, metric: Metric) -> float:
    """Return of how many rows a share would vary as much as the metric does on rows of these classes, [N].

    N for the accuracy, and where nothing is a share. The others are means over K classes of n_k rows, however unequal
    these are: the mean of K shares, all alike, varies as one of K^2 / sum(1 / n_k) rows. Classes without a row tell
    nothing.
    """
    if metric == "accuracy" or metric not in SHARES:
        return len(target)
    counts = torch.bincount(target).cpu().numpy().astype(np.float64)
    counts = counts[counts > 0]
    return float(len(counts) ** 2 / np.sum(1 / counts))


def _signed(epoch: Mapping[str, float], *, metric: Metric) -> float:
    """Return the metric such that more is better; what isn't defined is the worst."""
    value = epoch.get(f"validation_{metric}", nan)
    return -inf if isnan(value) else -value if metric in LOWER_IS_BETTER else value
