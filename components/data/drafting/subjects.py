"""Whom or what rows are of, such as patients: found where all rows of one have the same answer.

A random split then puts rows of one patient into train and test, and a model that knows the patients answers well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from components.data.drafting.guess import is_named_id
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.kinds import as_text
from components.data.parts import one_array
from components.data.sources.chunk import Source

FEWEST: Final = 10  # values of a column that could be kept together
KNOWN: Final = 100_000  # values of a column that are remembered, the first ones
AGAIN: Final = 50  # rows whose value there was seen before, below which agreement may be chance
ALIKE: Final = 0.95  # share of those that have the first one's answer
UNLIKE: Final = 0.25  # how many times as many as by chance have another one, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """A column that names them, how many there are, and the share of the rows that agree with the first of theirs."""

    column: str
    count: int  # KNOWN, where there are so many or more
    alike: float

    @property
    def counted(self) -> str:
        """How many there are, in words."""
        return f"{self.count:,}" + (" or more" if self.count == KNOWN else "")


def subjects(source: Source, seen: Survey, target: str) -> Subjects | None:
    """Return what the rows are of, if rows of one agree in their answer: of several such columns that of fewest."""
    tallies = [_Tally(name) for name, facts in seen.columns.items() if name != target and _comes_again(facts)]
    if not tallies:
        return None
    for chunk in source.chunks():
        answers = as_text(one_array(chunk.table, target)).to_pylist()
        for one in tallies:
            one.add(as_text(one_array(chunk.table, one.column)).to_pylist(), answers)
    chance = _chance(seen.columns[target])
    found = [
        Subjects(column=one.column, count=len(one.first), alike=one.alike / one.again)
        for one in tallies
        if one.agrees(chance)
    ]
    return min(found, key=lambda one: one.count, default=None)


@dataclass(slots=True)
class _Tally:
    """How often rows agree with the first one of the same value."""

    column: str
    first: dict[str, str] = field(default_factory=dict)  # the answer of each value's first row
    again: int = 0  # rows whose value there was seen before
    alike: int = 0  # those of them that have its answer

    def add(self, values: Sequence[str | None], answers: Sequence[str | None]) -> None:
        """Look at further rows."""
        for value, answer in zip(values, answers, strict=True):
            if not value or not answer:
                continue
            if value in self.first:
                self.again += 1
                self.alike += self.first[value] == answer
            elif len(self.first) < KNOWN:
                self.first[value] = answer

    def agrees(self, chance: float) -> bool:
        """Say whether nearly all agree, and far more than would by chance."""
        unlike = self.again - self.alike
        return self.again >= AGAIN and unlike <= min(1 - ALIKE, UNLIKE * (1 - chance)) * self.again


def _chance(target: ColumnFacts) -> float:
    """Return how often two rows have the same answer; of more values than are counted, never."""
    rows = sum(target.distinct.values())
    return 0.0 if target.uncounted else sum((count / rows) ** 2 for count in target.distinct.values())


def _comes_again(facts: ColumnFacts) -> bool:
    several = facts.uncounted or len(facts.distinct) >= FEWEST
    return (
        several and is_named_id(facts) and not facts.dates and (facts.uncounted or len(facts.distinct) < facts.present)
    )
