"""Who is told how a stage goes, while it goes."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Figures(Protocol):
    """Where figures are kept. It never raises and never waits for a server."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Record the values at this step."""


class Tracker(Figures, Protocol):
    """Is told how a stage goes, while it goes."""

    def past(self, name: str, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Record the epochs that an interrupted training had done; it goes on after so many steps of the next one."""

    def progress(self, step: int, steps: int, what: str = "") -> None:
        """Note how far a long piece of work has come; `what` it is at is said now and then where nothing else is."""

    def say(self, line: str) -> None:
        """Show a line to whoever watches."""


class Silent:
    """The tracker of work that nobody watches."""

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Drop the values."""

    def past(self, name: str, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Drop them."""

    def progress(self, step: int, steps: int, what: str = "") -> None:
        """Drop it."""

    def say(self, line: str) -> None:
        """Drop it."""
