"""What was found wrong with the rows: the first few in full, the rest as a count."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from components.errors import Problem, Refusal

SHOWN: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One bad cell, or one bad row where no column is named. Rows count from 1."""

    row: int
    what: str
    column: str | None = None


@dataclass(kw_only=True, slots=True)
class Findings:
    """Keeps the first findings and counts all: memory stays flat however bad the data is."""

    first: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, findings: Iterable[Finding], *, count: int) -> None:
        """Add findings; the iterable is read only as far as there is room."""
        self.count += count
        for finding in findings:
            if len(self.first) >= SHOWN:
                break
            self.first.append(finding)

    def refusal(self, places: Callable[[Sequence[int]], list[str]], *, do: str) -> Refusal:
        """Return the error that names them all."""
        found = sorted(self.first, key=lambda finding: finding.row)
        wheres = places([finding.row for finding in found])
        problems = [
            Problem(what=f.what, where=where if f.column is None else f"{where}, column '{f.column}'")
            for f, where in zip(found, wheres, strict=True)
        ]
        *before, last = shortened(problems, count=self.count)
        return Refusal([*before, replace(last, do=do)])


def shortened(problems: Sequence[Problem], *, count: int) -> list[Problem]:
    """Return the first problems, and one that counts the rest."""
    shown = list(problems[:SHOWN])
    return [*shown, Problem(what=f"... and {count - len(shown)} more")] if count > len(shown) else shown
