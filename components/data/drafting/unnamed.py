"""Columns that may say whom rows are of though their names don't, such as `patient` or `machine`.

What speaks for it is that rows of one value have the same answer, far more than by chance. So it is with a category
that decides the answer, too: a person is told of it, and nothing is changed.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from components.data.drafting.guess import is_named_id
from components.data.drafting.subjects import Subjects
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.drafting.tally import UNLIKE, Tally, shares_of
from components.data.kinds import accepts, as_text
from components.data.parts import one_array
from components.data.sources.chunk import Source

FEWEST: Final = 20  # values that come again: of fewer, it is rather a category
EXPECTED: Final = 20  # rows with another answer by chance, below which agreement is no evidence
REMEMBERED: Final = 1_000_000  # values, of all columns together
MOST_OF_ONE: Final = 20_000  # values of a column that are remembered, the first ones
PIECE: Final = 2_000  # rows after which columns that don't agree are given up
SELDOM: Final = 0.01  # share of the first MOST_OF_ONE rows whose value comes again, below which it is free text


def unnamed_subjects(source: Source, seen: Survey, target: str) -> list[Subjects]:
    """Return the columns whose rows agree in their answer within a value. The source is read as far as one may."""
    names = [name for name, facts in seen.columns.items() if name != target and _may_be(facts)]
    limit = min(MOST_OF_ONE, REMEMBERED // max(len(names), 1))
    shares = shares_of(seen.columns[target])
    tallies = [Tally(column=name, limit=limit, shares=shares) for name in names]
    for chunk in source.chunks() if tallies else ():
        for start in range(0, len(chunk.table), PIECE):
            piece = chunk.table.slice(start, PIECE)
            answers = as_text(one_array(piece, target)).to_pylist()
            for one in tallies:
                one.add(as_text(one_array(piece, one.column)).to_pylist(), answers)
            tallies = [one for one in tallies if _may_agree(one)]
        if not tallies:
            break
    return [
        Subjects(column=one.column, count=len(one.first), alike=one.alike)
        for one in tallies
        if _agrees(one) and not _is_quantity(seen.columns[one.column], one, target=seen.columns[target])
    ]


def _may_agree(found: Tally) -> bool:
    """Say whether further rows are worth a look."""
    told_apart = found.unlike > EXPECTED + 2 * UNLIKE * found.expected
    return not told_apart and (found.rows < MOST_OF_ONE or found.again >= SELDOM * found.rows)


def _agrees(found: Tally) -> bool:
    return len(found.repeated) >= FEWEST and found.expected >= EXPECTED and found.agrees


def _is_quantity(facts: ColumnFacts, found: Tally, *, target: ColumnFacts) -> bool:
    """Say whether its values are numbers of which those next to each other have like answers: they are no codes."""
    if not facts.mostly_numbers:
        return False
    answers = [found.first[value] for value in sorted(found.repeated, key=_number)]
    numbers = target.mostly_numbers and len(target.distinct) > 2
    return not (_numbers_differ(answers) if numbers else _classes_differ(answers))


def _numbers_differ(answers: Sequence[str]) -> bool:
    """Say whether neighbours differ at least half as much as any two of them do."""
    numbers = np.array([_number(answer) for answer in answers])
    numbers = numbers[np.isfinite(numbers)]
    any_two = np.abs(numbers - np.random.default_rng(0).permutation(numbers)).mean() if len(numbers) else 0.0
    return len(numbers) > 1 and bool(np.abs(np.diff(numbers)).mean() >= any_two / 2)


def _classes_differ(answers: Sequence[str]) -> bool:
    """Say whether neighbours differ at least half as often as any two of them do."""
    codes = np.unique(answers, return_inverse=True)[1]
    chance = 1 - float(((np.bincount(codes) / len(codes)) ** 2).sum())
    return bool((np.diff(codes) != 0).mean() >= chance / 2)


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
