"""What a recipe says about data: where it is, what its columns are, how it is split and prepared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from components.errors import nearest
from components.rules import Breach, Ruled, breach

MOST_PIXELS: Final = 65_535  # of an image's side, as of a JPEG file's
_EARLIEST: Final = timezone(timedelta(hours=14))  # where a day begins first on earth
_LATEST: Final = timezone(timedelta(hours=-12))
ColumnKind = Literal["number", "category", "boolean", "image", "ignore"]
DecimalMark = Literal[".", ","]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Ruled):
    """Where the rows come from and what each column means.

    `source` is a CSV, Parquet or npz file, a folder of images with one folder per class, a packed data set
    (a folder with a card.json), or a URL of one of the files. Columns of kind `ignore` are kept with the
    rows, for groups and times, and are never shown to the model.
    """

    source: str = field(metadata={"in_key": False})  # the content decides, not where it lies
    target: str
    columns: dict[str, ColumnKind]
    decimal: DecimalMark = "."  # what stands before the decimals of a CSV file's numbers; "," is for these files alone
    bad_rows: Literal["refuse", "quarantine"] = "refuse"
    quarantine_share: float | None = None  # largest share of rows, 0 to 1, that may be set aside

    def _breaches(self) -> Iterator[Breach]:
        yield from self._of_columns()
        if self.bad_rows == "quarantine" and self.quarantine_share is None:
            what = (
                "quarantine_share is missing: beside `bad_rows: quarantine` it says which share of the rows may be set "
                "aside, such as 0.02"
            )
            yield breach(what, "bad_rows", "quarantine_share")
        if self.bad_rows != "quarantine" and self.quarantine_share is not None:
            what = "quarantine_share goes with `bad_rows: quarantine`, and only with it"
            yield breach(what, "quarantine_share", "bad_rows")
        if self.quarantine_share is not None and not 0 < self.quarantine_share < 1:
            yield breach("quarantine_share is above 0 and below 1", "quarantine_share")

    def _of_columns(self) -> Iterator[Breach]:
        keys = {name: f"columns.{name}" for name in self.columns}
        if self.target not in self.columns:
            close = nearest(self.target, self.columns)
            what = f"target '{self.target}' is not among columns: {', '.join(self.columns)}{close and f' ({close})'}"
            yield breach(what, "target", "columns")
        elif (kind := self.columns[self.target]) in ("image", "ignore"):
            yield breach(f"target '{self.target}' can't be of kind {kind}", "target", keys[self.target])
        features = {name: kind for name, kind in self.columns.items() if name != self.target and kind != "ignore"}
        if not features:
            what = "no column is left to learn from: at least one besides the target isn't `ignore`"
            yield breach(what, *(key for name, key in keys.items() if name != self.target), "columns", "target")
        if "image" in features.values() and len(features) > 1:
            what = "an image column can't be mixed with other features: mark the others `ignore`"
            images_last = sorted(features, key=lambda name: features[name] == "image")
            yield breach(what, keys[images_last[0]], keys[images_last[-1]], "columns", "target")
        for name, kind in self.columns.items():
            if not name.strip() and kind != "ignore":
                what = "a column without a name can't be learned from: mark it `ignore`, or give it a name"
                yield breach(what, keys[name])


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitConfig(Ruled):
    """How rows are shared out among train, validation and test.

    hash: by a hash of the row's content (or group) and the seed: stable when rows are added, exact duplicates
    together, the shares approximate. stratified: quotas per class for new rows, those of the split before stay where
    they were.
    time: by absolute cut-offs on `time_column`. One without an offset, such as +01:00, is in the time zone of a column
    whose type has one: it says what a person sees there. Beside text with offsets it is refused, for nobody knows its
    zone. Without any zone or offset, cut-offs and column are in UTC.
    """

    method: Literal["hash", "stratified", "time"] = "hash"
    validation: float = 0.15  # share of rows, 0 to 1; of no effect for `time`
    test: float = 0.15
    seed: int = 0
    group: str | None = None  # rows that share this column's value stay together
    time_column: str | None = None
    validation_from: str | None = None  # ISO date, or a number, from which rows are validation
    test_from: str | None = None

    def _breaches(self) -> Iterator[Breach]:
        yield from self._of_shares()
        by_time = ("time_column", "validation_from", "test_from")
        given = [name for name in by_time if getattr(self, name) is not None]
        if self.method == "time" and len(given) < len(by_time):
            yield breach("method: time needs time_column, validation_from and test_from", "method", *by_time)
        if self.method != "time" and given:
            what = "time_column, validation_from and test_from go with method: time, and only with it"
            yield breach(what, *given, "method")
        if self.method == "time" and self.group is not None:
            yield breach("group can't be combined with method: time", "group", "method")
        if self.method == "stratified" and self.group is not None:
            yield breach("group can't be combined with method: stratified; set method: hash", "group", "method")
        if self.validation_from and self.test_from and _swapped(self.validation_from, self.test_from):
            what = f"validation_from {self.validation_from} isn't before test_from {self.test_from}"
            yield breach(what, "validation_from", "test_from")

    def _of_shares(self) -> Iterator[Breach]:
        if not 0 < self.validation < 1:
            yield breach("validation is above 0 and below 1", "validation")
        if not 0 < self.test < 1:
            yield breach("test is above 0 and below 1", "test")
        if self.validation + self.test >= 1:
            larger_first = sorted(("validation", "test"), key=lambda name: -float(getattr(self, name)))
            yield breach("validation and test are shares above 0 whose sum is below 1", *larger_first)


def _swapped(first: str, second: str) -> bool:
    """Say whether the first cut-off isn't before the second, however the two can be read: as numbers, or as dates.

    Which of these they are, and what neither reads, is for the split to say, which sees the column.
    """
    readings = [_read(_as_numbers, first, second), _read(_as_dates, first, second)]
    known = [before for before in readings if before is not None]
    return bool(known) and not any(known)


def _read(before: Callable[[str, str], bool], first: str, second: str) -> bool | None:
    try:
        return before(first, second)
    except ValueError:
        return None


def _as_numbers(first: str, second: str) -> bool:
    return float(first) < float(second)


def _as_dates(first: str, second: str) -> bool:
    """Say whether the first may be before the second: beside one with an offset, one without may be of any zone."""
    start, end = _moment(first), _moment(second)
    if start.tzinfo is None and end.tzinfo is not None:
        start = start.replace(tzinfo=_EARLIEST)
    if end.tzinfo is None and start.tzinfo is not None:
        end = end.replace(tzinfo=_LATEST)
    return start < end


def _moment(text: str) -> datetime:
    """Return an ISO date or time; a year or month is its first day."""
    return datetime.fromisoformat(text + {4: "-01-01", 7: "-01"}.get(len(text), ""))


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareConfig(Ruled):
    """How raw values become features. Fitted on train only, and exported inside the model."""

    numbers: Literal["standard", "quantile", "none"] = "standard"  # quantile: standard, and ranks, for long tails
    min_category_rows: int = 2  # rarer values share the code of unknown ones
    image_size: tuple[int, int] | None = None  # pixels, height then width; None: the images have one size already
    image_channels: Literal[1, 3] | None = None  # None: 1 if every train image is grey, else 3

    def _breaches(self) -> Iterator[Breach]:
        if self.min_category_rows < 1:
            yield breach("min_category_rows is at least 1", "min_category_rows")
        if self.image_size is not None and not all(1 <= side <= MOST_PIXELS for side in self.image_size):
            yield breach(f"image_size is two numbers of pixels, each 1 to {MOST_PIXELS}", "image_size")
