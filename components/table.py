"""A table of named things: the one place where a model, a loss or a method is added."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from components.errors import nearest, refuse

Entry = TypeVar("Entry")


class Table(Mapping[str, Entry]):
    """A read-only mapping whose error for an unknown name lists the known ones.

    `components.planning.closure` knows this class: of a table written as a literal, only the entries that
    the recipe names count as code of a stage. So adding an entry re-runs nothing.
    """

    def __init__(self, of: str, entries: Mapping[str, Entry]) -> None:
        self.of = of
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            allowed = ", ".join(self._entries)
            raise refuse(f"unknown {self.of} '{name}'", allowed=allowed, do=nearest(name, self._entries)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
