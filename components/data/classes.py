"""Classes of a target: their order, and whether each has enough rows."""

from collections.abc import Iterable, Mapping
from typing import Final

from components.data.findings import shortened
from components.errors import Problem, Refusal, refuse

LEAST_ROWS: Final = 2


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names sorted: as numbers where all are whole numbers, else as text."""
    given = list(names)
    try:
        return tuple(sorted(given, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(given))


def sorted_classes(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts, in the order of the classes."""
    return {name: counts[name] for name in in_order(counts)}


def check_classes(counts: Mapping[str, int], *, where: str) -> None:
    """Check that there are two classes at least, each with enough rows to learn from and to be tested on.

    Raises:
        Refusal: there is one class only, or classes with a single row.
    """
    if len(counts) < 2:
        raise refuse(
            f"every row is of the one class '{next(iter(counts), '')}'", where=where, allowed="2 classes or more"
        )
    rare = [name for name in in_order(counts) if counts[name] < LEAST_ROWS]
    if rare:
        do = f"add rows of it, join it with another class, or leave it out: {LEAST_ROWS} rows are the least"
        problems = [Problem(what=f"the class '{name}' has 1 row", where=where, do=do) for name in rare[:11]]
        raise Refusal(shortened(problems, count=len(rare)))
