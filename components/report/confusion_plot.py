"""The confusion matrix: test rows by their class and what the model said. K classes.

Of many classes the cells are small: their counts stand in the cells only where all fit, and are in the tooltips anyhow.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Final

from components.report import wording
from components.report.marks import Anchor, Chart, Mark, Path, Text, p, rect, shortened, width_of
from components.report.page import Confusion
from components.report.plots import HALF, drawn

CELLS: Final = 10  # classes up to which a cell holds its count, at every width
DIGIT: Final = 7.2  # pixels
NAME: Final = 11.5  # pixels that a name needs from the next: of narrower rows only some are named


def confusion_chart(confusion: Confusion) -> Chart:
    """Draw the matrix, coloured by the share of each class."""
    many = len(confusion.classes) > CELLS
    more = " Where there is no room for counts and names, they are in the tooltips of the cells." if many else ""
    return Chart(
        title="Confusion matrix on test",
        caption="Each row is an actual class, each column what the model said; the colour is the share of the row."
        f"{more}",
        drawings=drawn(HALF, lambda width: _confusion(confusion, width)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Where the cells lie, in pixels."""

    left: float
    top: float
    cell: float  # its width
    tall: float  # its height
    turn: float  # of the names above, in degrees

    @property
    def gap(self) -> float:
        """Return what lies between two cells."""
        return 2.0 if self.cell >= 14 else 0.6


def _confusion(confusion: Confusion, width: int) -> tuple[int, list[Mark]]:
    names, counts = confusion.classes, confusion.counts
    table = _table(names, width)
    room = table.cell - table.gap
    written = room >= 2 * DIGIT and all(len(_short(n)) * DIGIT <= room for row in counts for n in row)
    marks: list[Mark] = [_empty(table, len(names))]
    for row, column in product(range(len(names)), repeat=2):
        if counts[row][column] or len(names) <= CELLS:
            marks += _cell(confusion, row, column, table=table, written=written)
    height = math.ceil(table.top + table.tall * len(names) + 6)
    return height, [*_axis_names(names, table), *_names(names, table), *marks]


def _table(names: tuple[str, ...], width: int) -> Table:
    longest = max(map(width_of, names))
    left = min(longest + 34, width * 0.34)
    cell = min((width - left - 4) / len(names), 64 if len(names) > 4 else 130)
    turn = 0.0 if longest <= cell - 4 else -45.0 if cell >= 30 else -90.0
    if turn == -45:  # the last name leans out to the right
        cell = min(cell, (width - left - min(0.7 * width_of(names[-1]), 60)) / (len(names) - 0.5))
    top = {0.0: 40.0, -45.0: min(longest * 0.75, 70) + 30, -90.0: min(longest, 88) + 30}[turn]
    return Table(left=left, top=top, cell=cell, tall=min(cell, 64), turn=turn)


def _axis_names(names: tuple[str, ...], table: Table) -> list[Mark]:
    longest = max(map(width_of, names))
    across, down = table.left + table.cell * len(names) / 2, table.top + table.tall * len(names) / 2
    beside = max(table.left - longest - 18, 11)
    return [
        Text(x=across, y=12, text="predicted", kind="axis-name", anchor="middle"),
        Text(x=beside, y=down, text="actual", kind="axis-name", anchor="middle", turn=-90),
    ]


def _names(names: tuple[str, ...], table: Table) -> list[Mark]:
    """Return the classes' names, beside their rows and above their columns."""
    aside = {0.0: 0.0, -45.0: -2.0, -90.0: 4.0}[table.turn]
    every = max(1, math.ceil(NAME / table.tall))
    marks: list[Mark] = []
    for index, name in list(enumerate(names))[::every]:
        middle, down = table.left + table.cell * (index + 0.5), table.top + table.tall * (index + 0.5)
        above = shortened(name, 88 if table.turn else table.cell)
        anchor: Anchor = "start" if table.turn else "middle"
        marks += [
            Text(x=middle + aside, y=table.top - 6, text=above, anchor=anchor, turn=table.turn),
            Text(x=table.left - 8, y=down + 4, text=shortened(name, table.left - 30), anchor="end"),
        ]
    return marks


def _empty(table: Table, classes: int) -> Path:
    """Return the ground of all cells, as one mark."""
    wide, tall, half = table.cell - table.gap, table.tall - table.gap, table.gap / 2
    cell = f"h{p(wide)}v{p(tall)}h{p(-wide)}z"
    starts = product(range(classes), repeat=2)
    places = (f"M{p(table.left + table.cell * x + half)} {p(table.top + table.tall * y + half)}" for y, x in starts)
    return Path(d="".join(f"{place}{cell}" for place in places), kind="cell empty")


def _cell(confusion: Confusion, row: int, column: int, *, table: Table, written: bool) -> list[Mark]:
    names, value, right = confusion.classes, confusion.counts[row][column], row == column
    share = value / (sum(confusion.counts[row]) or 1)
    # A rare error is still seen: the root lifts small shares, and more so in a small cell that is all colour.
    least = 0.12 if written else 0.3
    strength = 0.0 if value == 0 else round(least + (1 - least) * (share if right else math.sqrt(share)), 2)
    x, y = table.left + table.cell * column, table.top + table.tall * row
    wide, tall, half = table.cell - table.gap, table.tall - table.gap, table.gap / 2
    tip = f"actual {names[row]}, predicted {names[column]}: {wording.count(value)} ({wording.percent(share)})"
    kind = "cell right" if right else "cell wrong"
    marks: list[Mark] = [rect(x + half, y + half, wide, tall, kind, tip=tip, strength=strength)]
    if value and written:
        kind = "count on" if strength > 0.55 else "count"
        middle = x + table.cell / 2, y + table.tall / 2 + 4.5
        marks.append(Text(x=middle[0], y=middle[1], text=_short(value), anchor="middle", kind=kind))
    return marks


def _short(value: int) -> str:
    """Write a count in at most four letters or so."""
    return str(value) if value < 10_000 else f"{value / 1000:.0f}k"
