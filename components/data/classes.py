"""Classes of a target: their order, and whether each has enough rows."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from components.data.kinds import to_boolean, to_number
from components.errors import refuse

LEAST_ROWS: Final = 2  # of a class
SHOWN: Final = 10  # classes that are named
MOST: Final = 10_000  # classes
# What pandas, NumPy and spreadsheets write where there is no value: never a class.
_NO_LABEL: Final = frozenset({"NaN", "nan", "NAN", "<NA>", "#N/A"})
# What R, SQL and people write there too. Among words each may be a class, as NA for North America.
_NO_LABEL_AMONG_NUMBERS: Final = frozenset({"NA", "na", "N/A", "n/a", "NULL", "Null", "null"})


def no_labels(names: Collection[str]) -> frozenset[str]:
    """Return those of a target's values that stand for a missing one: some among numbers or truth values alone."""
    found = _NO_LABEL.intersection(names)
    words = _NO_LABEL_AMONG_NUMBERS.intersection(names)
    others = pa.array([name for name in names if name not in found | words], pa.string())
    if words and len(others) and not (to_number(others).bad.any() and to_boolean(others).bad.any()):
        found |= words
    return found


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
        which = "class" if len(rare) == 1 else f"{len(rare):,} classes"
        have = "has 1 row" if len(rare) == 1 else "have 1 row each"
        do = f"add rows, join classes, or leave the rows out: {LEAST_ROWS} of a class are the least"
        raise refuse(f"the {which} {_named(rare)} {have}", where=where, do=do)


def _named(classes: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in classes[:SHOWN]) + (", ..." if len(classes) > SHOWN else "")


def check_count(names: Collection[str], *, where: str) -> None:
    """Refuse a target with more values than classes can sensibly be."""
    if len(names) > MOST:
        do = "give it the kind number for a regression, or choose another target"
        raise refuse(f"the target has more than {MOST:,} classes", where=where, do=do)
