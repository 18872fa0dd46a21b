"""The one exception for input that a person can mend. Everything else is a bug and keeps its traceback."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

GO_ON: Final = "the next run goes on from here"  # the end of what to do, where work was broken off


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with what was given: what, where, what is allowed, what to do."""

    what: str
    where: str = ""
    allowed: str = ""
    do: str = ""

    def __str__(self) -> str:
        first = f"{self.where}: {self.what}" if self.where else self.what
        rest = [f"  allowed: {self.allowed}" if self.allowed else "", f"  to do:   {self.do}" if self.do else ""]
        return "\n".join([first, *filter(None, rest)])


class Refusal(Exception):
    """Input was refused, with every problem found. The command line prints it and exits with 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type["Refusal"], tuple[tuple[Problem, ...]]]:
        return (type(self), (self.problems,))


class Unreachable(Refusal):
    """A server can't be reached: its address is wrong, or it comes back."""


class ProcessLost(Refusal):
    """A process of several was killed before its work did end: asked again, they go on from where they were."""


def refuse(what: str, *, where: str = "", allowed: str = "", do: str = "") -> Refusal:
    """Return the Refusal of a single problem, to be raised by the caller."""
    return Refusal([Problem(what=what, where=where, allowed=allowed, do=do)])


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the closest of the names, or an empty string."""
    close = get_close_matches(name, list(names), n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and all that it was raised from, or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
