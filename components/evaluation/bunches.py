"""Which rows are independent of each other: a split keeps exact copies, and the rows of a group, in one part.

So they were drawn together, and say little more than one row does. Whoever says how sure a figure is counts them as
one bunch. A part without copies and groups has no bunches: its rows are independent one by one.

N rows in G bunches.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluation.answers import Floats, Integers


@dataclass(frozen=True, kw_only=True, slots=True)
class Bunches:
    """Which bunch each row is of; at least one of them has two rows."""

    of: Integers  # [N], 0 to G - 1
    count: int  # G

    @property
    def effective(self) -> float:
        """How many bunches of equal sizes say as much, 1 to G: a few large ones weigh more than many small ones.

        Source: Kish 1965, Survey Sampling, chapter 8.2 (weights, here of the bunches).
        """
        sizes = np.bincount(self.of).astype(np.float64)
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    def sums(self, values: npt.ArrayLike) -> Floats:
        """Return the sum of the rows' values in each bunch, [G]."""
        return np.bincount(self.of, weights=np.asarray(values), minlength=self.count).astype(np.float64)

    def among(self, rows: npt.NDArray[np.bool_]) -> "Bunches | None":
        """Return the bunches of some of the rows, [N]; None where none of these repeats."""
        return bunches(self.of[rows])


def bunches(groups: npt.ArrayLike | None) -> Bunches | None:
    """Return the bunches of rows that share a group, [N]; None where each row has one of its own."""
    if groups is None:
        return None
    known, of = np.unique(np.asarray(groups), return_inverse=True)
    return None if len(known) == len(of) else Bunches(of=of.astype(np.int64), count=len(known))


def independent(rows: int, bunched: Bunches | None) -> int:
    """Return how many independent observations so many rows are, whatever each of them weighs."""
    return rows if bunched is None else bunched.count


def effective(rows: int, bunched: Bunches | None) -> float:
    """Return how many independent observations of equal weight say as much as so many rows do."""
    return rows if bunched is None else bunched.effective


def repeats(of: Integers, classes: int, bunched: Bunches | None) -> Floats:
    """Return how many rows of each class say as much as an independent one, [K]; `of` is the class of each row, [N]."""
    many = np.ones(classes)
    if bunched is not None:
        for k in np.unique(of):
            rows = int((of == k).sum())
            many[k] = rows / effective(rows, bunched.among(of == k))
    return many


def rows_in_words(rows: int, count: int | None, *, kind: str = "") -> str:
    """Say how many rows there are, and how many bunches of them, where they come in bunches."""
    words = f"{rows:,} {kind}{'row' if rows == 1 else 'rows'}"
    if count is None:
        return words
    return f"{words} ({count:,} independent {'bunch' if count == 1 else 'bunches'} of them)"
