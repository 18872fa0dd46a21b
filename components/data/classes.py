"""Classes of a target: their order, and whether each has enough rows."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from components.data.findings import shortened
from components.errors import Problem, Refusal, refuse

LEAST_ROWS: Final = 2  # of a class
MOST: Final = 10_000  # classes


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


def check_count(names: Collection[str], *, where: str) -> None:
    """Refuse a target with more values than classes can sensibly be."""
    if len(names) > MOST:
        do = "give it the kind number for a regression, or choose another target"
        raise refuse(f"the target has more than {MOST:,} classes", where=where, do=do)
