"""What the ledger asks of a database: the same statements for each, and changes that happen once or not at all.

In a statement `?` stands for a value and `clock()` for the database's own time, in seconds since 1970.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from components.errors import Unreachable, refuse

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | None
Row = tuple[Any, ...]
ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """What lies in the database. Each version only adds to the one before it."""

    name: str  # of them all together, in messages
    version: int
    statements: str  # CREATE ... IF NOT EXISTS; COUNTED stands for a key that the database counts up


class Answer(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Connection(Protocol):
    """Where the statements of one transaction go."""

    def execute(self, statement: str, values: Sequence[Value] = (), /) -> Answer:
        """Carry the statement out."""


class Database(Protocol):
    """Keeps tables, made when they are first needed. One instance serves several threads, and a fork's child.

    Every method raises Refusal where the database can't be reached, is full, damaged, or denies its tables.
    """

    @property
    def name(self) -> str:
        """What errors call it: its path, or its address without secrets."""

    def exists(self) -> bool:
        """Say whether there may be anything to ask about. This makes nothing."""

    def check(self) -> None:
        """Look whether it can be reached and is whole."""

    def ask(self, question: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return the rows of the answer. A question waits for no writer."""

    def change(self, statement: str, values: Sequence[Value] = ()) -> int:
        """Carry one statement out, once, and return how many rows it changed."""

    def transaction(self, *, alone: str = "") -> AbstractContextManager[Connection]:
        """Open a connection whose statements take effect together, once, or not at all.

        Of transactions with the same `alone`, one runs at a time and sees all that those before it did. Others may
        run beside each other: one that decides by a row must change that row first, and look whether it did.

        Raises:
            Undone: the connection broke, and nothing took effect. `repeated` is for that.
        """


class Undone(Unreachable):
    """A transaction didn't take effect, for no fault of its own: it may be done again."""


def repeated(method: Callable[P, T]) -> Callable[P, T]:
    """Call a method of one transaction again where that was undone."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return method(*args, **kwargs)
            except Undone:
                time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311 - so that two don't meet again
        return method(*args, **kwargs)

    return call


def refuse_later(version: int, tables: Tables, *, where: str) -> None:
    """Refuse tables that a later version has made, and may keep something else in."""
    if version > tables.version:
        what = f"the {tables.name} was made by a later version (its tables are {version}, known here {tables.version})"
        raise refuse(what, where=where, do="use that version of steelyard, or a newer one")
