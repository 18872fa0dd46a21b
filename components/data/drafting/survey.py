"""Looks at every row of a source once, and says what each column seems to hold.

A guess for a starter recipe only: what a column means is the recipe's to say from then on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.data.classes import no_labels
from components.data.config import DecimalMark
from components.data.drafting.marks import Ends, Mark, marks
from components.data.images import size_of
from components.data.kinds import accepts, as_text, is_text, says_missing, to_boolean, to_number
from components.data.parts import one_array
from components.data.sources.chunk import Source, Torn
from components.data.sources.image_folder import ImageFolder

MOST_DISTINCT: Final = 10_000  # counted exactly up to here
MOSTLY: Final = 0.95  # share of values that read as numbers, from which the others are mistakes
_DATE: Final = r"^(\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}([T ].*)?|\d{4}/\d{1,2}/\d{1,2}.*)$"


@dataclass(kw_only=True, slots=True)
class ColumnFacts:
    """What was seen of a column. Counts are of rows."""

    name: str
    type: pa.DataType
    decimal: DecimalMark = "."  # the mark by which its numbers were read, where they are text
    rows: int = 0
    present: int = 0  # neither empty nor null
    blanks: int = 0  # texts such as NA, which are no value among numbers and booleans
    numbers: int = 0  # values that read as numbers
    dates: int = 0
    truths: int = 0  # words for true and false, and their type
    whole: bool = True  # every number is whole
    padded: bool = False  # numbers with leading zeros: codes, such as postal ones
    counting: bool = True  # whole numbers that rise by one from row to row
    odd: str = ""  # one value that isn't a number
    distinct: Counter[str] = field(default_factory=Counter)  # rows of each value, until there are too many
    uncounted: bool = False  # there are more values than are counted
    times: list[str] = field(default_factory=list)  # of a column of dates: of all rows, each as far from the next
    step: int = 1  # values from one of these to the next
    last: float | None = None
    center: float = 0.0
    scale: float = 1.0
    moments: tuple[float, float, float] = (0.0, 0.0, 0.0)  # sums of powers 1 to 3 of (x - center) / scale
    ends: Ends = field(default_factory=Ends)  # its smallest and its largest numbers

    def hopeless(self, *, before: int) -> bool:
        """Say whether so few of the values before were numbers that the others can't be mistakes."""
        return before > 20_000 and self.numbers < (before - self.blanks) / 4

    def labelled(self) -> "ColumnFacts":
        """Return the facts of a target: what says that a label is missing is no value of it."""
        words = no_labels(self.distinct) if not self.uncounted and is_text(self.type) else frozenset()
        count = sum(self.distinct[word] for word in words)
        kept = Counter({value: rows for value, rows in self.distinct.items() if value not in words})
        return replace(self, distinct=kept, present=self.present - count, blanks=self.blanks - count)

    @property
    def wrong(self) -> int:
        """Values that would be bad ones of a column of numbers."""
        return self.present - self.blanks - self.numbers

    @property
    def mostly_numbers(self) -> bool:
        """Whether so many values are numbers that the others are mistakes. Codes with leading zeros are none."""
        return bool(self.numbers) and not self.padded and self.numbers >= MOSTLY * (self.present - self.blanks)

    @property
    def marks(self) -> list[Mark]:
        """Numbers that seem to stand for missing ones."""
        return marks(self.ends, numbers=self.numbers)

    @property
    def deviation(self) -> float:
        """The standard deviation of the numbers."""
        mean, square, _ = (total / max(self.numbers, 1) for total in self.moments)
        return float(max(square - mean**2, 0.0) ** 0.5) * self.scale

    @property
    def skewness(self) -> float:
        """The third standardised moment of the numbers."""
        if self.numbers < 3:
            return 0.0
        mean, square, cube = (total / self.numbers for total in self.moments)
        variance = square - mean**2
        return (cube - 3 * mean * square + 2 * mean**3) / variance**1.5 if variance > 1e-12 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was seen of a source. Torn rows are counted apart, and nothing else of them is seen."""

    rows: int
    torn: int = 0
    first_torn: str = ""  # where the first of them is, and what is wrong with it
    columns: dict[str, ColumnFacts]
    sizes: Counter[tuple[int, int]]  # images by height and width
    image: str | None  # the name of the image column
    unopened: tuple[str, ...] = ()  # files of images whose head is none of an image, or their rows
    pointed: tuple[str, ...] = ()  # columns whose decimal points kept others from being read by decimal commas
    strays: tuple[str, ...] = ()  # files in a folder of images that are none, and are passed over


def survey(source: Source) -> Survey:
    """Read every row, streaming, and gather what its columns hold."""
    image = next((c.name for c in source.schema if accepts("image", c.type) and not pa.types.is_null(c.type)), None)
    facts = {c.name: ColumnFacts(name=c.name, type=c.type) for c in source.schema}
    sizes: Counter[tuple[int, int]] = Counter()
    unopened: list[str] = []
    torn: list[Torn] = []  # the first
    rows = count = 0
    for chunk in source.chunks():
        rows += len(chunk.rows)
        count += len(chunk.torn)
        torn = torn or [*chunk.torn[:1]]
        for name, column in facts.items():
            values = one_array(chunk.table, name)
            column.rows += len(values)
            column.decimal = chunk.decimal
            if name == image:
                for place, size in _sizes(values, first=column.rows - len(values) + 1):
                    sizes.update([size] if size else [])
                    unopened += [] if size else [place]
            elif accepts("category", column.type):
                _look(column, values)
    first = "".join(f"{place}: {line.what}" for line in torn for place in source.places([line.row]))
    return Survey(
        rows=rows,
        torn=count,
        first_torn=first,
        columns=facts,
        sizes=sizes,
        image=image,
        unopened=tuple(unopened),
        strays=tuple(source.strays) if isinstance(source, ImageFolder) else (),
    )


def _look(column: ColumnFacts, values: pa.Array) -> None:
    text = as_text(values).drop_null()
    column.present += len(text)
    column.blanks += int(says_missing(text).sum()) if is_text(column.type) else 0
    _count_distinct(column, text)
    if pa.types.is_temporal(column.type):
        column.dates += len(text)
        _keep_times(column, text)
    elif pa.types.is_boolean(column.type):
        column.truths += len(text)
    else:
        _look_at_words(column, text)
        _look_at_numbers(column, values, before=column.present - len(text))


def _look_at_words(column: ColumnFacts, text: pa.Array) -> None:
    """Count dates and words for truth, but only while every value so far was one: the rest is of no interest."""
    if not is_text(column.type):
        return
    before = column.present - len(text)
    if column.dates == before:
        column.dates += int(pc.sum(pc.match_substring_regex(text, _DATE)).as_py() or 0)
        _keep_times(column, text)
    if column.truths == before:
        column.truths += len(text) - int(to_boolean(text).bad.sum())
    if not column.padded and column.numbers == before:
        column.padded = bool(pc.any(pc.match_substring_regex(text, r"^0\d+$")).as_py())


def _keep_times(column: ColumnFacts, text: pa.Array) -> None:
    """Keep every so many of the dates, while all values are dates; of too many, every other one stays."""
    if column.dates < column.present:
        column.times = []
        return
    before = column.present - len(text)
    column.times += text[-before % column.step :: column.step].to_pylist()
    while len(column.times) > 2 * MOST_DISTINCT:
        column.times, column.step = column.times[::2], 2 * column.step


def _look_at_numbers(column: ColumnFacts, values: pa.Array, *, before: int) -> None:
    if column.hopeless(before=before):
        return
    read = to_number(values, decimal=column.decimal)
    if read.bad.any() and not column.odd:
        column.odd = str(values[int(np.argmax(read.bad))].as_py())
    numbers = read.values.drop_null().to_numpy(zero_copy_only=False)
    column.counting &= not read.bad.any() and len(numbers) == len(values)
    if not len(numbers):
        return
    whole = np.trunc(numbers) == numbers
    column.whole &= bool(whole.all())
    steps = np.diff(numbers, prepend=numbers[0] - 1 if column.last is None else column.last)
    column.counting &= bool((steps == 1).all())
    column.last = float(numbers[-1])
    if not column.numbers:
        column.center, column.scale = float(np.median(numbers)), float(numbers.std()) or 1.0
    shifted = (numbers - column.center) / column.scale
    sums = (float((shifted**power).sum()) for power in (1, 2, 3))
    one, two, three = (total + new for total, new in zip(column.moments, sums, strict=True))
    column.moments = (one, two, three)
    column.numbers += len(numbers)
    column.ends.add(numbers)


def _count_distinct(column: ColumnFacts, text: pa.Array) -> None:
    if column.uncounted:
        return
    for entry in pc.value_counts(text):
        column.distinct[entry["values"].as_py()] += entry["counts"].as_py()
    column.uncounted = len(column.distinct) > MOST_DISTINCT


def _sizes(values: pa.Array, *, first: int) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Yield of each image that is there its file, else its row, and from its head alone its height and width."""
    for row, value in enumerate(values.to_pylist(), start=first):
        data, path = (value["bytes"], value.get("path")) if isinstance(value, dict) else (value, None)
        if data is not None:
            yield path or f"row {row}", size_of(data)
