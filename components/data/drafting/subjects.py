"""Whom or what rows are of, such as patients: found where all rows of one have the same answer.

A random split then puts rows of one patient into train and test, and a model that knows the patients answers well.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from components.data.drafting.guess import is_named_id
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.kinds import as_text
from components.data.parts import one_array
from components.data.sources.chunk import Source

FEWEST: Final = 10  # values of a column that could be kept together
AGAIN: Final = 50  # rows whose value there was seen before, below which agreement may be chance
ALIKE: Final = 0.95  # share of those that have the first one's answer
UNLIKE: Final = 0.25  # how many times as many as by chance have another one, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Subjects:
    """A column that names them, how many there are, and the share of the rows that agree with the first of theirs."""

    column: str
    count: int
    alike: float


def subjects(source: Source, seen: Survey, target: str) -> Subjects | None:
    """Return what the rows are of, if rows of one agree in their answer: of several such columns that of fewest."""
    names = [name for name, facts in seen.columns.items() if name != target and _comes_again(facts)]
    if not names:
        return None
    first: dict[str, dict[str, str]] = {name: {} for name in names}
    again, alike, answers = Counter[str](), Counter[str](), Counter[str]()
    for chunk in source.chunks():
        given = pc.fill_null(as_text(one_array(chunk.table, target)), "").to_pylist()
        answers.update(given)
        for name in names:
            known = first[name]
            for value, answer in zip(as_text(one_array(chunk.table, name)).to_pylist(), given, strict=True):
                if value and answer:
                    if value in known:
                        again[name] += 1
                        alike[name] += known[value] == answer
                    else:
                        known[value] = answer
    rows = sum(answers.values())
    chance = sum((count / rows) ** 2 for count in answers.values())
    found = [
        Subjects(column=name, count=len(first[name]), alike=alike[name] / again[name])
        for name in names
        if again[name] >= AGAIN
        and alike[name] >= ALIKE * again[name]
        and again[name] - alike[name] <= UNLIKE * (1 - chance) * again[name]
    ]
    return min(found, key=lambda one: one.count, default=None)


def _comes_again(facts: ColumnFacts) -> bool:
    several = facts.uncounted or len(facts.distinct) >= FEWEST
    return (
        several and is_named_id(facts) and not facts.dates and (facts.uncounted or len(facts.distinct) < facts.present)
    )
