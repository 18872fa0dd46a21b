"""What of rows and answers the model has never seen: categories, gaps where there were none, numbers far out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EXAMPLES: Final = 3
LETTERS: Final = 40  # of a value that is shown


@dataclass(kw_only=True, slots=True)
class Strange:
    """Counts it over the rows that it is shown."""

    known: Mapping[str, Collection[str]]  # values by category
    complete: Collection[str]  # columns of which no train row missed the value
    spans: Mapping[str, tuple[float, float]]  # about the least and greatest value of a number in the train rows
    target: str
    unknown: dict[str, int] = field(default_factory=dict)  # rows by category
    examples: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)  # rows by column
    far: dict[str, int] = field(default_factory=dict)  # rows by number
    first: dict[str, float] = field(default_factory=dict)  # far value by number
    beyond: int = 0  # answers
    extreme: float = 0.0  # of them

    def look(self, rows: pa.Table) -> None:
        """Count what is strange in these rows."""
        for name in self.known:
            self._look_for_unknown(name, rows[name].drop_null())
        for name in self.complete:
            if rows[name].null_count:
                self.missing[name] = self.missing.get(name, 0) + rows[name].null_count
        for name in self.spans:
            if name != self.target:
                self._look_for_far(name, rows[name].drop_null().to_numpy())

    def look_at_answers(self, values: npt.NDArray[np.float64]) -> None:
        """Count those that lie beyond the span of the target in the train rows. Shape [N]."""
        least, greatest = self.spans[self.target]
        by = np.maximum(least - values, values - greatest)
        odd = values[by > 0]
        if len(odd) and (not self.beyond or by.max() > max(least - self.extreme, self.extreme - greatest)):
            self.extreme = float(values[by.argmax()])
        self.beyond += len(odd)

    def _look_for_unknown(self, name: str, cells: pa.ChunkedArray) -> None:
        odd = cells.filter(pc.invert(pc.is_in(cells, value_set=pa.array(sorted(self.known[name]), pa.string()))))
        if len(odd):
            self.unknown[name] = self.unknown.get(name, 0) + len(odd)
            found = self.examples.setdefault(name, [])
            found += [value for value in odd.unique().to_pylist() if value not in found][: EXAMPLES - len(found)]

    def _look_for_far(self, name: str, cells: npt.NDArray[np.float64]) -> None:
        """Count what is farther outside of the train rows' span than that is wide."""
        least, greatest = self.spans[name]
        odd = cells[np.maximum(least - cells, cells - greatest) > greatest - least]
        if len(odd):
            self.far[name] = self.far.get(name, 0) + len(odd)
            self.first.setdefault(name, float(odd[0]))

    def told(self) -> list[str]:
        """Return a sentence per column and kind of strangeness."""
        unknown = (
            f"column '{name}': {_rows(count)} a category that the model doesn't know, such as "
            + ", ".join(map(_shown, self.examples[name]))
            for name, count in self.unknown.items()
        )
        missing = (
            f"column '{name}': {_rows(count)} no value, which no train row lacked"
            for name, count in self.missing.items()
        )
        far = (
            f"column '{name}': {_rows(count)} a number far outside of what the model was trained on "
            f"({self.spans[name][0]:g} to {self.spans[name][1]:g}), such as {self.first[name]:g}: another unit?"
            for name, count in self.far.items()
        )
        return [*unknown, *missing, *far, *self._told_of_answers()]

    def _told_of_answers(self) -> list[str]:
        if not self.beyond:
            return []
        least, greatest = self.spans[self.target]
        lie = "answers lie" if self.beyond > 1 else "answer lies"
        return [
            f"{self.beyond:,} {lie} beyond what '{self.target}' was in training (about {least:g} to {greatest:g}), "
            f"the farthest is {self.extreme:g}"
        ]


def _shown(value: str) -> str:
    return repr(value if len(value) <= LETTERS else value[: LETTERS - 3] + "...")


def _rows(count: int) -> str:
    return f"{count:,} row{'s have' if count > 1 else ' has'}"
