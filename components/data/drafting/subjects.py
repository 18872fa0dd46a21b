"""Whom or what rows are of, such as patients: found where all rows of one have the same answer.

A random split then puts rows of one patient into train and test, and a model that knows the patients answers well.
"""

from dataclasses import dataclass
from typing import Final

from components.data.drafting.guess import is_named_id
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.drafting.tally import Tally, shares_of
from components.data.kinds import as_text
from components.data.parts import one_array
from components.data.sources.chunk import Source

FEWEST: Final = 10  # values of a column that could be kept together
KNOWN: Final = 100_000  # values of a column that are remembered, the first ones
AGAIN: Final = 50  # rows whose value there was seen before, below which agreement may be chance


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
    shares = shares_of(seen.columns[target])
    names = [name for name, facts in seen.columns.items() if name != target and _comes_again(facts)]
    tallies = [Tally(column=name, limit=KNOWN, shares=shares) for name in names]
    for chunk in source.chunks() if tallies else ():
        answers = as_text(one_array(chunk.table, target)).to_pylist()
        for one in tallies:
            one.add(as_text(one_array(chunk.table, one.column)).to_pylist(), answers)
    found = [
        Subjects(column=one.column, count=len(one.first), alike=one.alike)
        for one in tallies
        if one.again >= AGAIN and one.agrees
    ]
    return min(found, key=lambda one: one.count, default=None)


def _comes_again(facts: ColumnFacts) -> bool:
    several = facts.uncounted or len(facts.distinct) >= FEWEST
    return (
        several and is_named_id(facts) and not facts.dates and (facts.uncounted or len(facts.distinct) < facts.present)
    )
