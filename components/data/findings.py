"""What was found wrong with the rows: the first few in full, the rest as a count."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from components.errors import Problem, Refusal

SHOWN: Final = 10
FEW: Final = 3  # wrong cells say nothing of their column


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One bad cell, or one bad row where no column is named. Rows count from 1."""

    row: int
    what: str
    column: str | None = None


@dataclass(kw_only=True, slots=True)
class Findings:
    """Keeps the first findings of each column and counts all: memory stays flat however bad the data is."""

    first: dict[str | None, list[Finding]] = field(default_factory=dict)  # by column
    counts: Counter[str | None] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.counts.total()

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings, in the order of their rows."""
        for finding in findings:
            self.counts[finding.column] += 1
            kept = self.first.setdefault(finding.column, [])
            if len(kept) < SHOWN:
                kept.append(finding)

    def refusal(self, places: Callable[[Sequence[int]], list[str]], *, rows: int, do: str, mostly: str = "") -> Refusal:
        """Return the error that names them all; a column that most rows are wrong in is named once.

        `places` says where rows are, `do` what to do of them all, `mostly` what to do of such a column.
        """
        whole = [one for one, count in self.counts.items() if one is not None and count > max(rows / 2, FEW)]
        cells = [finding for column, found in self.first.items() if column not in whole for finding in found]
        named = [self.first[one][0] for one in whole] + sorted(cells, key=_row)
        shown = sorted(named[:SHOWN], key=_row)
        problems = []
        for finding, where in zip(shown, places([one.row for one in shown]), strict=True):
            often = f"; so it is in {self.counts[finding.column]:,} of {rows:,} rows" if finding.column in whole else ""
            place = where if finding.column is None else f"{where}, column '{finding.column}'"
            problems.append(Problem(what=finding.what + often, where=place, do=mostly if often else ""))
        again = sum(self.counts[one] - 1 for one in whole)
        *before, last = shortened(problems, count=self.count - again)
        return Refusal([*before, replace(last, do=last.do or do)])


def _row(finding: Finding) -> int:
    return finding.row


def shortened(problems: Sequence[Problem], *, count: int) -> list[Problem]:
    """Return the first problems, and one that counts the rest."""
    shown = list(problems[:SHOWN])
    return [*shown, Problem(what=f"... and {count - len(shown)} more")] if count > len(shown) else shown
