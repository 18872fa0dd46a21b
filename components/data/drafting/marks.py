"""Numbers that stand for a missing one, such as -999: found among the smallest and the largest values of a column.

They are values like any other to a model. Whether they are what they look like, only a person knows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

KEPT: Final = 8  # smallest values of a column whose rows are counted, and as many largest ones
LEAST_ROWS: Final = 5  # of a mark: the largest value of a long tail comes once or twice
LEAST_SHARE: Final = 0.01  # of the column's numbers
FAR: Final = 2  # times the span of all others from the next one, for a number that people use as a mark
VERY_FAR: Final = 10  # the same, for any other number, and where the others are few
SEVERAL: Final = 5  # different other values, below which FAR isn't enough: prices are 9, 19 and 99
SPIKE: Final = 20  # times as many rows as any other outer value has: those of a long tail come once
_USED: Final = re.compile(r"-9|-?9{2,}|-?9+[78]")  # -99 for no answer often has -98 beside it, for one not known


@dataclass(kw_only=True, slots=True)
class Ends:
    """How many rows each of the KEPT smallest and largest values has.

    The counts are exact: what is among them in the end was among them from its first row on.
    """

    low: dict[float, int] = field(default_factory=dict)
    high: dict[float, int] = field(default_factory=dict)

    def add(self, numbers: npt.NDArray[np.float64]) -> None:
        """Look at further numbers, without NaN."""
        if len(self.low) == KEPT:
            beyond = (numbers <= max(self.low)) | (numbers >= min(self.high))
            numbers = numbers[beyond]
        values, counts = np.unique(numbers, return_counts=True)
        for kept, inner in ((self.low, slice(None, KEPT)), (self.high, slice(-KEPT, None))):
            for value, count in zip(values[inner].tolist(), counts[inner].tolist(), strict=True):
                kept[value] = kept.get(value, 0) + count
        self.low = {value: self.low[value] for value in sorted(self.low)[:KEPT]}
        self.high = {value: self.high[value] for value in sorted(self.high)[-KEPT:]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A value that seems to stand for a missing one."""

    value: float
    rows: int
    others: tuple[float, float]  # the smallest and the largest of all other values

    def __str__(self) -> str:
        return f"{self.value:.15g}"


def marks(ends: Ends, *, numbers: int) -> list[Mark]:
    """Return the values that seem to be marks, of a column of so many numbers: those that come often, and are far off.

    Zero and one are never such: they are what most columns hold most of.
    """
    counts = ends.low | ends.high
    plain = sorted(value for value in counts if not _is_used(value))
    if len(plain) < 2:
        return []
    often = [value for value in sorted(counts) if counts[value] >= max(LEAST_ROWS, LEAST_SHARE * numbers)]
    odd = list(_odd_ones(plain, often))
    inner = [value for value in plain if value not in odd]
    found = [value for value in often if value not in inner and _is_far(value, inner, counts)]
    low, high = min(inner), max(inner)
    return [Mark(value=value, rows=counts[value], others=(low, high)) for value in found]


def _odd_ones(plain: list[float], often: list[float]) -> Iterator[float]:
    """Yield the smallest and the largest value where it is very far from many others, though nobody uses it so."""
    for value, others in ((plain[0], plain[1:]), (plain[-1], plain[:-1])):
        gap = min(abs(value - other) for other in others)
        if value in often and abs(value) > 1 and len(others) >= SEVERAL and gap > VERY_FAR * (others[-1] - others[0]):
            yield value


def _is_far(value: float, others: list[float], counts: dict[float, int]) -> bool:
    """Say whether it lies outside the others: far off, below zero as none of them, or often as none of them."""
    low, high = others[0], others[-1]
    if low <= value <= high or len(others) < 2:
        return False
    if value < 0 <= low and -value not in counts:
        return True
    if value <= -99 and counts[value] >= SPIKE * max(counts[other] for other in others):
        return True
    gap, span = max(low - value, value - high), high - low
    return gap > (FAR if len(others) >= SEVERAL else VERY_FAR) * span


def _is_used(value: float) -> bool:
    return value.is_integer() and bool(_USED.fullmatch(f"{value:.0f}"))
