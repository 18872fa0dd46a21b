"""The rules of configs: what the values of a config's fields can't be, alone or together."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_EPOCHS: Final = 1_000_000
MOST_THREADS: Final = 4096  # and processes: more than a machine has cores


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that is broken.

    `keys` are the fields that the rule looks at, dotted where they lie below (`optimizer.lr`). The first of them that
    was given is to blame, and where one of them is known to be wrong, the breach only follows from that.
    """

    what: str
    keys: tuple[str, ...]
    allowed: str = ""  # where `what` doesn't say it
    do: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.allowed}" if self.allowed else self.what


def breach(what: str, *keys: str, allowed: str = "", do: str = "") -> Breach:
    """Return the breach of a rule that looks at these fields."""
    return Breach(what, keys, allowed, do)


class Ruled(ABC):
    """A config that can't be made while one of its rules is broken."""

    __slots__ = ()

    def breaches(self) -> tuple[Breach, ...]:
        """Return every rule that is broken."""
        return tuple(self._breaches())

    @abstractmethod
    def _breaches(self) -> Iterator[Breach]:
        """Yield every rule that is broken. Any values of the fields' types are looked at, impossible ones as well."""

    def __post_init__(self) -> None:
        if found := self.breaches():
            raise ValueError("; ".join(map(str, found)))
