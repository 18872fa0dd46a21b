"""Columns that may say whom rows are of though their names don't, such as `patient` or `machine`.

What speaks for it is that rows of one value have the same answer, far more than by chance. So it is with a category
that decides the answer, too: a person is told of it, and nothing is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from components.data.drafting.guess import is_named_id
from components.data.drafting.subjects import ALIKE, UNLIKE, Subjects
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.kinds import MISSING, accepts, as_text
from components.data.parts import one_array
from components.data.sources.chunk import Source

FEWEST: Final = 20  # values that come again: of fewer, it is rather a category
EXPECTED: Final = 20  # rows with another answer by chance, below which agreement is no evidence
REMEMBERED: Final = 1_000_000  # values, of all columns together
MOST_OF_ONE: Final = 20_000  # values of a column that are remembered, the first ones
PIECE: Final = 2_000  # rows after which columns that don't agree are given up
SELDOM: Final = 0.01  # share of the first MOST_OF_ONE rows whose value comes again, below which it is free text
_NONE: Final = frozenset(form for word in MISSING for form in (word, word.upper(), word.title(), "NaN", "N/A"))


def unnamed_subjects(source: Source, seen: Survey, target: str) -> list[Subjects]:
    """Return the columns whose rows agree in their answer within a value. The source is read as far as one may."""
    names = [name for name, facts in seen.columns.items() if name != target and _may_be(facts)]
    limit = min(MOST_OF_ONE, REMEMBERED // max(len(names), 1))
    answers = _Answers(seen.columns[target])
    tallies = [_Tally(seen.columns[name], answers, limit) for name in names]
    for chunk in source.chunks() if tallies else ():
        for start in range(0, len(chunk.table), PIECE):
            piece = chunk.table.slice(start, PIECE)
            given = as_text(one_array(piece, target)).to_pylist()
            for one in tallies:
                one.add(as_text(one_array(piece, one.facts.name)).to_pylist(), given)
            tallies = [one for one in tallies if one.may_agree]
        if not tallies:
            break
    return [
        Subjects(column=one.facts.name, count=len(one.first), alike=1 - one.unlike / one.again)
        for one in tallies
        if one.agrees and not one.in_order
    ]


class _Answers:
    """What chance gives: how many rows have each answer."""

    def __init__(self, target: ColumnFacts) -> None:
        rows = max(sum(target.distinct.values()), 1)
        # of more values than are counted, no two are the same by chance
        self.shares = {} if target.uncounted else {value: count / rows for value, count in target.distinct.items()}
        self.numbers = target.mostly_numbers and len(target.distinct) > 2

    def other(self, answer: str) -> float:
        """Return how often a row has another answer than this one."""
        return 1 - self.shares.get(answer, 0.0)

    def differ_as_any(self, answers: Sequence[str]) -> bool:
        """Say whether neighbours among these differ at least half as much as any two of them do."""
        if self.numbers:
            numbers = np.array([_number(answer) for answer in answers])
            numbers = numbers[np.isfinite(numbers)]
            any_two = np.abs(numbers - np.random.default_rng(0).permutation(numbers)).mean() if len(numbers) else 0.0
            return len(numbers) > 1 and bool(np.abs(np.diff(numbers)).mean() >= any_two / 2)
        codes = np.unique(answers, return_inverse=True)[1]
        chance = 1 - float(((np.bincount(codes) / len(codes)) ** 2).sum())
        return bool((np.diff(codes) != 0).mean() >= chance / 2)


@dataclass(slots=True)
class _Tally:
    """How often rows agree with the first one of the same value."""

    facts: ColumnFacts
    answers: _Answers
    limit: int
    first: dict[str, str] = field(default_factory=dict)  # the answer of each value's first row
    repeated: set[str] = field(default_factory=set)  # values that came again
    rows: int = 0
    again: int = 0  # rows whose value there was seen before
    unlike: int = 0  # those of them that have another answer than its first row
    expected: float = 0.0  # how many of them would by chance

    def add(self, values: Sequence[str | None], given: Sequence[str | None]) -> None:
        """Look at further rows."""
        self.rows += len(values)
        for value, answer in zip(values, given, strict=True):
            if not value or not answer or value in _NONE:
                continue
            if value in self.first:
                self.again += 1
                self.unlike += self.first[value] != answer
                self.expected += self.answers.other(self.first[value])
                self.repeated.add(value)
            elif len(self.first) < self.limit:
                self.first[value] = answer

    @property
    def may_agree(self) -> bool:
        """Whether further rows are worth a look."""
        told_apart = self.unlike > EXPECTED + 2 * UNLIKE * self.expected
        return not told_apart and (self.rows < MOST_OF_ONE or self.again >= SELDOM * self.rows)

    @property
    def agrees(self) -> bool:
        """Whether nearly all rows agree, and far more than would by chance, within values enough."""
        several = len(self.repeated) >= FEWEST and self.expected >= EXPECTED
        return several and self.unlike <= min((1 - ALIKE) * self.again, UNLIKE * self.expected)

    @property
    def in_order(self) -> bool:
        """Whether its values are numbers of which those next to each other have like answers: a quantity, no code."""
        if not self.facts.mostly_numbers:
            return False
        values = sorted(self.repeated, key=_number)
        return not self.answers.differ_as_any([self.first[value] for value in values])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _may_be(facts: ColumnFacts) -> bool:
    """Say whether it is text, or whole numbers, with values enough that come again."""
    if not accepts("category", facts.type) or is_named_id(facts) or facts.present in (facts.dates, facts.truths):
        return False
    again = facts.uncounted or facts.present - len(facts.distinct) >= EXPECTED
    return again and len(facts.distinct) >= FEWEST and (facts.whole or not facts.mostly_numbers)
