"""The processes of one training, seen from one of them. Most trainings have one, which has nothing to agree upon.

B rows of a batch, N rows, K outputs.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

Forward = Callable[..., Tensor]  # features to outputs [B, K]


class Together(Protocol):
    """What the loop asks of its processes. All call the same methods in the same order; those that talk say so."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0. The first one keeps the checkpoint."""

    @property
    def processes(self) -> int:
        """How many there are."""

    def spread(self, network: nn.Module, *, example: tuple[Tensor, ...]) -> Forward:
        """Return the network as a function whose backward gives the mean of all processes' gradients. Talks.

        `example` holds the features of a few rows.
        """

    def exchange(self, *, now: bool) -> AbstractContextManager[object]:
        """Of a forward and backward: whether gradients are exchanged at its end (talks), or add up until then."""

    def agree(self, wish: bool) -> bool:
        """Return the first process's wish. Talks."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over processes, and leave the values. Talks."""

    def join(self, part: Tensor, *, of: int) -> Tensor:
        """Return all N rows in order, given this process's share of them. Talks."""

    def memory(self) -> dict[str, Tensor]:
        """Return what has to be kept for going on: in the first process that of all of them. Talks."""

    def remember_(self, memory: Mapping[str, Tensor]) -> None:
        """Take up what `memory` gave, as the first process kept it."""


def share(first: int, last: int, *, rank: int, processes: int) -> tuple[int, int]:
    """Return a process's part of the rows from `first` to behind `last`; parts differ by one row at most."""
    rows = last - first
    return first + rows * rank // processes, first + rows * (rank + 1) // processes


@dataclass(frozen=True, slots=True)
class OneProcess:
    """A training that has a process for itself."""

    rank: int = 0
    processes: int = 1

    def spread(self, network: nn.Module, *, example: tuple[Tensor, ...]) -> Forward:  # noqa: ARG002
        """The network itself."""
        return network

    def exchange(self, *, now: bool) -> AbstractContextManager[object]:  # noqa: ARG002
        """Nothing is exchanged."""
        return nullcontext()

    def agree(self, wish: bool) -> bool:
        """As it wishes."""
        return wish

    def sum(self, values: Tensor) -> Tensor:
        """The values."""
        return values

    def join(self, part: Tensor, *, of: int) -> Tensor:  # noqa: ARG002
        """The part is the whole."""
        return part

    def memory(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def remember_(self, memory: Mapping[str, Tensor]) -> None:
        """Nothing is kept."""
