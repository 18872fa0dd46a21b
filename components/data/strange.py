"""What of the rows to be answered the model has never seen: categories, and gaps where there were none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

EXAMPLES: Final = 3


@dataclass(kw_only=True, slots=True)
class Strange:
    """Counts it over the rows that it is shown."""

    known: Mapping[str, Collection[str]]  # values by category
    complete: Collection[str]  # columns of which no train row missed the value
    unknown: dict[str, int] = field(default_factory=dict)  # rows by category
    examples: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)  # rows by column

    def look(self, rows: pa.Table) -> None:
        """Count what is strange in these rows."""
        for name, values in self.known.items():
            cells = rows[name].drop_null()
            odd = cells.filter(pc.invert(pc.is_in(cells, value_set=pa.array(sorted(values), pa.string()))))
            if len(odd):
                self.unknown[name] = self.unknown.get(name, 0) + len(odd)
                found = self.examples.setdefault(name, [])
                found += [value for value in odd.unique().to_pylist() if value not in found][: EXAMPLES - len(found)]
        for name in self.complete:
            if rows[name].null_count:
                self.missing[name] = self.missing.get(name, 0) + rows[name].null_count

    def told(self) -> list[str]:
        """Return a sentence per column and kind of strangeness."""
        unknown = (
            f"column '{name}': {_rows(count)} a category that the model doesn't know, such as "
            + ", ".join(map(repr, self.examples[name]))
            for name, count in self.unknown.items()
        )
        missing = (
            f"column '{name}': {_rows(count)} no value, which no train row lacked"
            for name, count in self.missing.items()
        )
        return [*unknown, *missing]


def _rows(count: int) -> str:
    return f"{count:,} row{'s have' if count > 1 else ' has'}"
