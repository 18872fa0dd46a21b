"""What a split must know of each row: hashes of its content and group, its class, its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.data.classes import check_count
from components.data.config import DataConfig, SplitConfig
from components.data.findings import Finding, Findings
from components.data.kinds import as_text, is_text, to_number
from components.data.parts import one_array, tables
from components.data.splitting.cut_offs import (
    EPOCH,
    as_cut_off,
    check_offsets,
    cut_off_seconds,
    moments,
    offset_of,
    zone_of,
)
from components.data.splitting.hashing import Hashes, row_hashes, value_hashes
from components.errors import refuse
from components.task import Task

Codes = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One entry per row, for some of the rows."""

    start: int  # number of the first row, from 0
    row: Hashes  # of all columns that aren't `ignore`
    group: Hashes  # of the group column; the row's own where there is none
    codes: Codes  # place of its class in the names; 0 for regression
    time: npt.NDArray[np.float64]  # a number, or seconds since 1970; empty without a time column


class Contents:
    """Reads the packed data set once, streaming.

    `names` are the classes that have turned up so far, in that order; for regression one empty name stands for all.
    """

    def __init__(self, config: SplitConfig, data: DataConfig, folder: Path, *, task: Task) -> None:
        self.config, self.data, self.folder, self.task = config, data, folder, task
        self.clock = _Clock(config)
        self._known: dict[str, int] = {} if task == "classification" else {"": 0}

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in the order of their codes."""
        return tuple(self._known)

    def __iter__(self) -> Iterator[Content]:
        """Yield the rows in order.

        Raises:
            Refusal: a group or time is missing, a class isn't a whole number, or there are very many classes.
        """
        shown = [name for name, kind in self.data.columns.items() if kind != "ignore"]
        extra = [name for name in (self.config.group, self.config.time_column) if name is not None]
        findings, start = Findings(), 0
        for table in tables(self.folder, list(dict.fromkeys([*shown, *extra]))):
            content = self._read(table, shown, start, findings)
            start += len(table)
            if not findings.count:
                yield content
        if findings.count:
            raise findings.refusal(_places, rows=start, do="mend the data, or choose another column or kind")

    def _read(self, table: pa.Table, shown: Sequence[str], start: int, findings: Findings) -> Content:
        row, none = row_hashes(table, shown), np.zeros(len(table), dtype=np.uint16)
        grouped, timed = self.config.group, self.config.time_column
        return Content(
            start=start,
            row=row,
            group=_groups(table, grouped, start, findings) if grouped is not None else row,
            codes=self._classes(table, start, findings) if self.task == "classification" else none,
            time=self.clock.read(table, start, findings) if timed is not None else np.zeros(0),
        )

    def _classes(self, table: pa.Table, start: int, findings: Findings) -> Codes:
        values, target = one_array(table, self.data.target), self.data.target
        if pa.types.is_floating(values.type):
            broken = pc.not_equal(pc.trunc(values), values)
            what = "a class must be a whole number: give the target the kind category, or the task regression"
            _find(findings, broken, target, start, what)
        encoded = as_text(values).dictionary_encode()
        for name in encoded.dictionary.to_pylist():
            self._known.setdefault(name, len(self._known))
        check_count(self._known, where=f"column '{target}'")
        codes = np.array([self._known[name] for name in encoded.dictionary.to_pylist()], dtype=np.uint16)
        found: Codes = codes[encoded.indices.to_numpy()]
        return found


def _groups(table: pa.Table, name: str, start: int, findings: Findings) -> Hashes:
    values = as_text(one_array(table, name))
    _find(findings, pc.is_null(values), name, start, "the group is missing")
    return value_hashes(values)


class _Clock:
    """Reads times as numbers, in the way that fits cut-offs and column: plain numbers, or dates."""

    def __init__(self, config: SplitConfig) -> None:
        self.name = config.time_column or ""
        self.given = (config.validation_from or "", config.test_from or "")
        self.numeric: bool | None = None
        self.cut_offs = (np.inf, np.inf)
        self._zone: tzinfo = UTC
        self._offset = False  # cut-offs must have one
        self._ends = (np.inf, -np.inf)

    def told(self) -> str:
        """Say from when to when the times are that were read, as cut-offs are written."""
        if not np.isfinite(self._ends).all():
            return f"there are no times in '{self.name}'"
        if self.numeric:
            least, greatest = (f"{end:.15g}" for end in self._ends)
        else:
            least, greatest = (as_cut_off(end, zone=self._zone, offset=self._offset) for end in self._ends)
        return f"the times in '{self.name}' are from {least} to {greatest}"

    def read(self, table: pa.Table, start: int, findings: Findings) -> npt.NDArray[np.float64]:
        """Return the times of the rows; missing and unreadable ones become findings."""
        raw = one_array(table, self.name)
        if self.numeric is None:
            self._decide(raw)
        if not self.numeric and is_text(raw.type):
            check_offsets(self.given, raw, column=self.name)
            self._see_offset(raw)
        times = _numbers(raw) if self.numeric else _seconds(raw)
        kind = "a number" if self.numeric else "a date or time in ISO form"
        _find(findings, pa.array(np.isnan(times)), self.name, start, f"the time is missing, or not {kind}")
        least, greatest = self._ends
        self._ends = (float(np.fmin.reduce(times, initial=least)), float(np.fmax.reduce(times, initial=greatest)))
        return times

    def _see_offset(self, texts: pa.Array) -> None:
        offset = None if self._offset else offset_of(texts)[0]
        if offset is not None:
            self._zone, self._offset = offset, True

    def _decide(self, raw: pa.Array) -> None:
        """Numbers, if both cut-offs and the first times are: `2020` may also be a year among dates."""
        as_numbers = _numbers(pa.array(self.given))
        start = raw.drop_null().slice(0, 100)
        self.numeric = not np.isnan(as_numbers).any() and not pa.types.is_temporal(raw.type)
        self.numeric = self.numeric and not (len(start) and np.isnan(_numbers(start)).all())
        first, second = as_numbers if self.numeric else cut_off_seconds(self.given, raw.type)
        if not first < second:
            given = f"validation_from is '{self.given[0]}', test_from is '{self.given[1]}'"
            allowed = "two ISO dates, or two numbers, the first before the second"
            raise refuse(given, where="split", allowed=allowed)
        self.cut_offs = (float(first), float(second))
        self._zone = zone_of(raw.type)


def _numbers(raw: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = to_number(raw).values.to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _seconds(raw: pa.Array) -> npt.NDArray[np.float64]:
    """ISO dates and times as seconds since 1970; those without a zone are in UTC."""
    seconds = (moments(raw) - EPOCH) / pd.Timedelta(seconds=1)
    return np.asarray(seconds, dtype=np.float64)


def _find(findings: Findings, bad: pa.Array, name: str, start: int, what: str) -> None:
    rows = np.flatnonzero(bad.to_numpy(zero_copy_only=False).astype(np.bool_))
    findings.add(Finding(row=start + int(row) + 1, column=name, what=what) for row in rows)


def _places(rows: Sequence[int]) -> list[str]:
    return [f"row {row} of the packed data" for row in rows]
