"""Optimizers, fused into one kernel where torch has one. Biases and normalisation weights aren't decayed."""

from collections.abc import Callable, Iterable

from torch import nn, optim

from components.table import Table
from components.training.config import SGD, Adafactor, Adagrad, Adam, AdamW, Optimizer

Group = dict[str, list[nn.Parameter] | float]


def optimizer(config: Optimizer, network: nn.Module, *, fused: bool) -> optim.Optimizer:
    """Return the optimizer of the network's weights."""
    return OPTIMIZERS[config.name](config, _groups(network.parameters(), config.weight_decay), fused=fused)


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[Group]:
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    groups: list[Group] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def sgd(config: SGD, groups: list[Group], *, fused: bool) -> optim.Optimizer:
    """SGD, with Nesterov's momentum where there is momentum."""
    momentum = config.momentum
    return optim.SGD(groups, lr=config.lr, momentum=momentum, nesterov=momentum > 0, fused=fused)


def adam(config: Adam, groups: list[Group], *, fused: bool) -> optim.Optimizer:
    """Adam."""
    return optim.Adam(groups, lr=config.lr, fused=fused)


def adamw(config: AdamW, groups: list[Group], *, fused: bool) -> optim.Optimizer:
    """AdamW."""
    return optim.AdamW(groups, lr=config.lr, fused=fused)


def adagrad(config: Adagrad, groups: list[Group], *, fused: bool) -> optim.Optimizer:
    """Adagrad; torch fuses it on the CPU only."""
    on_cpu = all(p.device.type == "cpu" for group in groups for p in _parameters(group))
    return optim.Adagrad(groups, lr=config.lr, fused=fused and on_cpu)


def adafactor(config: Adafactor, groups: list[Group], *, fused: bool) -> optim.Optimizer:  # noqa: ARG001 - has none
    """Adafactor."""
    return optim.Adafactor(groups, lr=config.lr)


def _parameters(group: Group) -> list[nn.Parameter]:
    parameters = group["params"]
    return parameters if isinstance(parameters, list) else []


OPTIMIZERS: Table[Callable[..., optim.Optimizer]] = Table(
    "optimizer",
    {
        "sgd": sgd,
        "adam": adam,
        "adamw": adamw,
        "adagrad": adagrad,
        "adafactor": adafactor,
    },
)
