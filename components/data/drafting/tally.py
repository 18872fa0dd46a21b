"""How often the rows of a column's value agree in their answer: what tells that they are of one subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from components.data.drafting.survey import ColumnFacts
from components.data.kinds import MISSING

ALIKE: Final = 0.95  # share of the rows whose value there was before that have the first one's answer, at least
UNLIKE: Final = 0.25  # how many times as many as by chance have another one, at most
_NONE: Final = frozenset(form for word in MISSING for form in (word, word.upper(), word.title(), "NaN", "N/A"))


@dataclass(slots=True)
class Tally:
    """Compares rows with the first one of the same value."""

    column: str
    limit: int  # of values that are remembered, the first ones
    shares: Mapping[str, float]  # of the rows, by answer
    first: dict[str, str] = field(default_factory=dict)  # the answer of each value's first row
    repeated: set[str] = field(default_factory=set)  # values that came again
    rows: int = 0
    again: int = 0  # rows whose value there was seen before
    unlike: int = 0  # those of them that have another answer than its first row
    expected: float = 0.0  # how many of them would by chance

    def add(self, values: Sequence[str | None], answers: Sequence[str | None]) -> None:
        """Look at further rows."""
        self.rows += len(values)
        for value, answer in zip(values, answers, strict=True):
            if not value or not answer or value in _NONE:
                continue
            if value in self.first:
                self.again += 1
                self.unlike += self.first[value] != answer
                self.expected += 1 - self.shares.get(self.first[value], 0.0)
                self.repeated.add(value)
            elif len(self.first) < self.limit:
                self.first[value] = answer

    @property
    def agrees(self) -> bool:
        """Whether nearly all rows agree, and far more than would by chance."""
        return self.unlike <= min((1 - ALIKE) * self.again, UNLIKE * self.expected)

    @property
    def alike(self) -> float:
        """The share of the rows that agree."""
        return 1 - self.unlike / self.again


def shares_of(target: ColumnFacts) -> dict[str, float]:
    """Return the share of the rows that each answer has. Of more than are counted none comes again by chance."""
    rows = sum(target.distinct.values())
    return {} if target.uncounted else {value: count / rows for value, count in target.distinct.items()}
