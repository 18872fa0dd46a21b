"""Losses, each the mean over rows, of the network's output before the head.

N rows, K outputs. Output float32 [N, K]; target int64 [N] of class indices, or
float32 [N] of standardised values (0 classes).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from components.table import Table
from components.training.config import BCE, MAE, MSE, CrossEntropy, Huber, Loss

Criterion = Callable[[Tensor, Tensor], Tensor]


def criterion(loss: Loss | None, *, target: Tensor, classes: int) -> Criterion:
    """Return the loss as a function of output and target; class weights are counted in the train rows' `target`."""
    config = loss or (CrossEntropy() if classes else MSE())
    return LOSSES[config.name](config, target=target, classes=classes)


def cross_entropy(config: CrossEntropy, *, target: Tensor, classes: int) -> Criterion:
    """Cross-entropy of the softmax; balanced weights are N / (K * rows of the class), so their mean over rows is 1."""
    weights: Tensor | None = None
    if config.class_weights == "balanced":
        weights = len(target) / (classes * target.bincount(minlength=classes).clamp(min=1))

    def loss(output: Tensor, target: Tensor) -> Tensor:
        if weights is None:
            return functional.cross_entropy(output, target, label_smoothing=config.label_smoothing)
        total = functional.cross_entropy(
            output, target, weight=weights.to(output.dtype), label_smoothing=config.label_smoothing, reduction="sum"
        )
        return total / len(target)  # torch's own mean would divide by the batch's weights

    return loss


def bce(config: BCE, *, target: Tensor, classes: int) -> Criterion:  # noqa: ARG001 - all losses are made alike
    """Binary cross-entropy of each class's softmax probability against the rest, summed over classes.

    With two classes it is twice the usual binary cross-entropy of their logits' difference.
    """

    def loss(output: Tensor, target: Tensor) -> Tensor:
        probabilities = torch.softmax(output, dim=1)
        rest = torch.log1p(-probabilities.clamp(max=1 - 1e-6))  # [N, K]: log of "not this class"
        rest = rest.scatter(1, target.unsqueeze(1), 0.0)
        return (functional.cross_entropy(output, target, reduction="sum") - rest.sum()) / len(target)

    return loss


def mse(config: MSE, *, target: Tensor, classes: int) -> Criterion:  # noqa: ARG001
    """Mean squared error."""
    return lambda output, target: functional.mse_loss(output.squeeze(1), target)


def mae(config: MAE, *, target: Tensor, classes: int) -> Criterion:  # noqa: ARG001
    """Mean absolute error."""
    return lambda output, target: functional.l1_loss(output.squeeze(1), target)


def huber(config: Huber, *, target: Tensor, classes: int) -> Criterion:  # noqa: ARG001
    """Huber loss (Huber 1964)."""
    return lambda output, target: functional.huber_loss(output.squeeze(1), target, delta=config.delta)


LOSSES: Table[Callable[..., Criterion]] = Table(
    "loss",
    {
        "cross_entropy": cross_entropy,
        "bce": bce,
        "mse": mse,
        "mae": mae,
        "huber": huber,
    },
)
