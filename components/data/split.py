"""Shares the rows out among train, validation and test.

`hash` looks at a row (or its group) and the seed alone, so a row never changes its part. `stratified` fills quotas
per class with new rows, in the order of their hashes, and leaves rows of an earlier split where they were. `time`
compares with two cut-offs. Rows whose columns (those that aren't `ignore`) are exactly equal share a hash, hence
a part, except by `time` and across groups; images are equal when their files are, byte for byte.

N rows, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.classes import check_classes, in_order
from components.data.config import DataConfig, SplitConfig
from components.data.content import Content, read_content
from components.data.hashing import Hashes, seeded
from components.data.purposes import PARTS
from components.errors import Problem, Refusal
from components.task import Task

TRAIN, VALIDATION, TEST = range(3)  # places in PARTS
Parts = npt.NDArray[np.uint8]
SCHEMA: Final = pa.schema(
    [("row", pa.uint32()), ("part", pa.string()), ("content", pa.uint64()), ("group", pa.uint64())]
)
_WRITE_ROWS: Final = 262_144


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """How the rows were shared out."""

    rows: dict[str, int]  # by part
    shares: dict[str, float]  # by part, 0 to 1
    classes: dict[str, dict[str, int]]  # rows by part and class; empty for regression
    kept: int  # rows that stayed where an earlier split had put them


def split(
    config: SplitConfig, data: DataConfig, folder: Path, file: Path, *, task: Task, previous: Path | None = None
) -> Split:
    """Assign each row of the packed data set in the folder to a part, and write the assignments to the file.

    `previous` is the file of an earlier split of this data; only `stratified` needs it. Equal arguments give
    equal bytes.

    Raises:
        Refusal: a part would be empty, a class has one row or none in train, or a group or time is missing.
    """
    content = read_content(config, data, folder, task=task)
    past = _read_past(previous) if previous is not None and config.method == "stratified" else None
    match config.method:
        case "hash":
            parts = by_hash(content.group, config)
        case "stratified":
            parts = by_quota(content, config, past)
        case "time":
            parts = by_time(content)
        case _:
            assert_never(config.method)
    result = _counted(parts, content, kept=int(np.isin(content.row, past[0]).sum()) if past else 0)
    _check(result, config, data)
    _write(content, parts, file)
    return result


def by_hash(hashes: Hashes, config: SplitConfig) -> Parts:
    """Return a part per hash: the lowest share of all hashes is test, the next validation."""
    place = seeded(hashes, seed=config.seed).astype(np.float64) / 2.0**64  # 0 to 1
    parts = np.full(len(hashes), TRAIN, dtype=np.uint8)
    parts[place < config.test + config.validation] = VALIDATION
    parts[place < config.test] = TEST
    return parts


def by_time(content: Content) -> Parts:
    """Return test for rows from the later cut-off on, validation from the earlier one on, else train."""
    validation_from, test_from = content.cut_offs
    return (content.time >= validation_from).astype(np.uint8) + (content.time >= test_from).astype(np.uint8)


def by_quota(content: Content, config: SplitConfig, past: tuple[Hashes, Parts] | None) -> Parts:
    """Return parts whose shares hold for each class as far as rows that already have a part allow."""
    parts, new = _kept(content.row, past)
    order = np.argsort(content.codes, kind="stable")
    ends = np.cumsum(np.bincount(content.codes, minlength=len(content.names)))
    for rows in np.split(order, ends[:-1]):
        old = parts[rows[~new[rows]]]
        wanted = [round(share * len(rows)) for share in (config.test, config.validation)]
        test, validation = (max(0, w - int((old == p).sum())) for w, p in zip(wanted, (TEST, VALIDATION), strict=True))
        fresh = rows[new[rows]]
        parts[fresh] = _filled(content.row[fresh], seed=config.seed, test=test, validation=validation)
    return parts


def _filled(hashes: Hashes, *, seed: int, test: int, validation: int) -> Parts:
    """Fill test, then validation, with rows in the order of their seeded hashes; equal rows go together."""
    _, inverse, counts = np.unique(seeded(hashes, seed=seed), return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # a bunch of equal rows goes where its middle lies
    parts = np.where(middle < test, TEST, np.where(middle < test + validation, VALIDATION, TRAIN))
    return parts.astype(np.uint8)[inverse]


def _kept(hashes: Hashes, past: tuple[Hashes, Parts] | None) -> tuple[Parts, npt.NDArray[np.bool_]]:
    """The parts of rows that an earlier split knew, and which rows are new."""
    if past is None or not len(past[0]):
        return np.zeros(len(hashes), dtype=np.uint8), np.ones(len(hashes), dtype=np.bool_)
    known, part = past
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return part[place].astype(np.uint8), known[place] != hashes


def _read_past(file: Path) -> tuple[Hashes, Parts]:
    table = pq.read_table(file, columns=["content", "part"])
    known, first = np.unique(table["content"].to_numpy(), return_index=True)
    codes = np.zeros(len(table), dtype=np.uint8)
    names = table["part"].to_numpy(zero_copy_only=False)
    for code, name in enumerate(PARTS):
        codes[names == name] = code
    return known, codes[first]


def _counted(parts: Parts, content: Content, *, kept: int) -> Split:
    classes: dict[str, dict[str, int]] = {}
    for code, part in enumerate(PARTS if content.labelled else ()):
        counts = np.bincount(content.codes[parts == code], minlength=len(content.names))
        by_name = dict(zip(content.names, counts.tolist(), strict=True))
        classes[part] = {name: by_name[name] for name in in_order(content.names)}
    rows = dict(zip(PARTS, np.bincount(parts, minlength=len(PARTS)).tolist(), strict=True))
    shares = {part: count / max(len(parts), 1) for part, count in rows.items()}
    return Split(rows=rows, shares=shares, classes=classes, kept=kept)


def _check(result: Split, config: SplitConfig, data: DataConfig) -> None:
    total = sum(result.rows.values())
    if result.classes:
        counts = {name: sum(by[name] for by in result.classes.values()) for name in result.classes["train"]}
        check_classes(counts, where=f"column '{data.target}'")
    given = ", ".join(f"{part} {count}" for part, count in result.rows.items())
    do = "move the cut-offs" if config.method == "time" else "add rows, raise its share, or use another split.seed"
    if config.method == "hash" and result.classes and config.group is None:
        do += ", or method: stratified"
    problems = [
        Problem(what=f"the split leaves {part} empty: of {total} rows, {given}", where="split", do=do)
        for part, count in result.rows.items()
        if not count
    ]
    absent = [name for name, count in result.classes.get("train", {}).items() if not count]
    problems += [
        Problem(what=f"no row of the class '{name}' is in train", where="split", do=do)
        for name in absent[:10]
        if result.rows["train"]
    ]
    if problems:
        raise Refusal(problems)


def _write(content: Content, parts: Parts, file: Path) -> None:
    names = pa.array(PARTS)
    file.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(parts), _WRITE_ROWS):
            cut = slice(start, start + _WRITE_ROWS)
            row = np.arange(start, start + len(parts[cut]), dtype=np.uint32)
            columns = [pa.array(row), names.take(pa.array(parts[cut]))]
            columns += [pa.array(content.row[cut]), pa.array(content.group[cut])]
            writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=_WRITE_ROWS)
