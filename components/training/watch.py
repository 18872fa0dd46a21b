"""What a training tells while it runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Observer(Protocol):
    """Is told of each step and each epoch. It can't change the result; what it raises ends the training."""

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """An interrupted training goes on: these epochs were done, and so many steps of the next one."""

    def step(self, *, step: int, steps: int) -> None:
        """Step (from 1) of at most so many of the whole training is done."""

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Epoch (from 0) is done, with its figures."""


class Silent:
    """An observer that does nothing."""

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Do nothing."""

    def step(self, *, step: int, steps: int) -> None:
        """Do nothing."""

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Do nothing."""
