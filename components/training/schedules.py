"""Schedules: the share of the optimizer's learning rate at a step, as a function of the step and of past metrics.

Nothing is remembered between calls, so there is no state to save.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

from components.table import Table
from components.training.config import Constant, Cosine, OneCycle, OnPlateau, Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Where training stands. `improved` says of each finished epoch whether its weights were kept."""

    step: int  # from 0
    steps: int  # of the whole run
    steps_per_epoch: int
    improved: tuple[bool, ...] = ()


def rate_share(config: Schedule, moment: Moment) -> float:
    """Return the share of the optimizer's learning rate to use for the step."""
    return SCHEDULES[config.name](config, moment)


def constant(config: Constant, moment: Moment) -> float:
    """1, after the warm-up."""
    return _warmup(config.warmup_epochs, moment)


def cosine(config: Cosine, moment: Moment) -> float:
    """Half a cosine from 1 to `final_share`, after the warm-up."""
    start = config.warmup_epochs * moment.steps_per_epoch
    progress = max(0.0, moment.step - start) / max(1.0, moment.steps - start)
    falling = config.final_share + (1 - config.final_share) * (1 + cos(pi * progress)) / 2
    return _warmup(config.warmup_epochs, moment) * falling


def one_cycle(config: OneCycle, moment: Moment) -> float:
    """From 1/25 up to 1 and down to 1/250,000 along cosines: torch's OneCycleLR with its defaults."""
    top = config.rise_share * moment.steps - 1
    if moment.step <= top:
        return _between(1 / 25, 1.0, moment.step / max(top, 1e-9))
    return _between(1.0, 1 / 250_000, (moment.step - top) / max(moment.steps - 1 - top, 1e-9))


def on_plateau(config: OnPlateau, moment: Moment) -> float:
    """Multiplied by `factor` each time that more than `patience_epochs` in a row weren't better than the best."""
    share, worse = _warmup(config.warmup_epochs, moment), 0
    for improved in moment.improved:
        worse = 0 if improved else worse + 1
        if worse > config.patience_epochs:
            share, worse = share * config.factor, 0
    return share


def _warmup(epochs: float, moment: Moment) -> float:
    return min(1.0, (moment.step + 1) / max(1.0, epochs * moment.steps_per_epoch))


def _between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + cos(pi * progress)) / 2


SCHEDULES: Table[Callable[..., float]] = Table(
    "schedule",
    {
        "constant": constant,
        "cosine": cosine,
        "one_cycle": one_cycle,
        "on_plateau": on_plateau,
    },
)
