"""Validation: are these the columns, and is every cell of its column's kind?"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.data.classes import no_labels
from components.data.config import DataConfig
from components.data.findings import Finding, shortened
from components.data.kinds import Converted, accepts, convert
from components.data.parts import one_array
from components.data.sources.chunk import Chunk
from components.errors import Problem, Refusal, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A chunk in the types of its kinds, and which of its rows are bad, and why."""

    table: pa.Table
    rows: npt.NDArray[np.int64]
    bad: npt.NDArray[np.bool_]
    findings: tuple[Finding, ...]  # one per bad cell


def check_columns(schema: pa.Schema, config: DataConfig, *, where: str) -> None:
    """Compare the data's columns with the recipe's.

    Raises:
        Refusal: some are missing, unknown, twice there, or of a type that can't be what the recipe says.
    """
    names = Counter(schema.names)
    problems = [
        Problem(what=f"{count} columns are named '{name}'", where=where, do="rename all but one")
        for name, count in names.items()
        if count > 1
    ]
    problems += [_missing(name, config, names, where) for name in config.columns if name not in names]
    problems += [_unknown(name, where) for name in names if name not in config.columns]
    for column in schema:
        kind = config.columns.get(column.name)
        if kind is not None and not accepts(kind, column.type):
            what = f"holds values of type {column.type}, which can't be of kind {kind}"
            problems.append(Problem(what=what, where=f"{where}, column '{column.name}'"))
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))


def _missing(name: str, config: DataConfig, names: Mapping[str, int], where: str) -> Problem:
    what = f"the {'target ' if name == config.target else ''}column '{name}' is missing"
    free = [other for other in names if other not in config.columns]
    unused = ", ".join(f"'{other}'" for other in free[:20]) + (" ..." if len(free) > 20 else "")
    do = nearest(name, free) or "mend data.columns or the data"
    return Problem(what=what, where=where, allowed=unused and f"a column that isn't named yet: {unused}", do=do)


def _unknown(name: str, where: str) -> Problem:
    shown = name or '""'
    do = f"list it under data.columns, as `{shown}: ignore` if the model shall not see it"
    return Problem(what=f"the column '{name}' is not in the recipe", where=where, do=do)


def check_rows(chunk: Chunk, config: DataConfig) -> Checked:
    """Convert each column to its kind, and collect what is none of it. The target must be there in every row."""
    converted = {
        name: convert(one_array(chunk.table, name), kind, decimal=chunk.decimal)
        for name, kind in config.columns.items()
    }
    bad = np.zeros(len(chunk.rows), dtype=np.bool_)
    findings: list[Finding] = []
    for name, column in converted.items():
        bad |= column.bad
        findings += bad_cells(chunk, name, column)
    unlabelled = _unlabelled(converted[config.target].values) & ~converted[config.target].bad
    findings += [
        Finding(row=int(chunk.rows[i]), column=config.target, what="the target is missing")
        for i in np.flatnonzero(unlabelled)
    ]
    table = pa.table({name: column.values for name, column in converted.items()})
    return Checked(table=table, rows=chunk.rows, bad=bad | unlabelled, findings=tuple(findings))


def bad_cells(chunk: Chunk, name: str, column: Converted) -> Iterator[Finding]:
    """Yield a finding for each cell of the column that was none of its kind."""
    if not column.bad.any():
        return
    raw = chunk.table.column(name)
    for i in np.flatnonzero(column.bad):
        what = column.reasons.get(int(i)) or f"{_shown(raw[int(i)].as_py())} is not {column.wanted}"
        yield Finding(row=int(chunk.rows[i]), column=name, what=what)


def _shown(value: object) -> str:
    text = f"'{value}'" if str(value).isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}...'"


def _unlabelled(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Where the target is missing, or has a word that says so."""
    missing = pc.is_null(values)
    if pa.types.is_string(values.type):
        words = no_labels(pc.unique(values.drop_null()).to_pylist())
        missing = pc.or_(missing, pc.is_in(values, value_set=pa.array(sorted(words), pa.string())))
    mask: npt.NDArray[np.bool_] = missing.to_numpy(zero_copy_only=False)
    return mask
