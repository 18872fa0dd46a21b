"""Shares the rows out among train, validation and test.

`hash` looks at a row (or its group) and the seed alone, so a row never changes its part. `stratified` fills quotas
per class with new rows, in the order of their hashes, and leaves rows of an earlier split where they were. `time`
compares with two cut-offs. Rows whose columns (those that aren't `ignore`) are exactly equal share a hash, hence
a part, except by `time` and across groups; images are equal when their files are, byte for byte.

N rows, K classes.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.card import read_card
from components.data.classes import check_classes, in_order
from components.data.config import DataConfig, SplitConfig
from components.data.splitting.content import Codes, Content, Contents
from components.data.splitting.hashing import Hashes, seeded
from components.data.splitting.purposes import PARTS
from components.errors import Problem, Refusal
from components.task import Task

TRAIN, VALIDATION, TEST = range(3)  # places in PARTS
Parts = npt.NDArray[np.uint8]
SCHEMA: Final = pa.schema(
    [("row", pa.uint32()), ("part", pa.string()), ("content", pa.uint64()), ("group", pa.uint64())]
)
GROUP: Final = "group"  # in the file's metadata: the column that groups the rows
_WRITE_ROWS: Final = 65_536


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
    equal bytes. Streams, but for `stratified`, which keeps about 30 bytes per row.

    Raises:
        Refusal: a part would be empty, a class has one row or none in train, or a group or time is missing.
    """
    contents = Contents(config, data, folder, task=task)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        schema = SCHEMA if config.group is None else SCHEMA.with_metadata({GROUP: config.group})
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            counts, kept = _assign(config, contents, writer, previous=previous)
        result = _counted(counts, contents, kept=kept)
        _check(result, config, data, contents)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return result


def _assign(
    config: SplitConfig, contents: Contents, writer: pq.ParquetWriter, *, previous: Path | None
) -> tuple[Counter[int], int]:
    """Write the part of each row; return how many rows each class and part has, and how many kept their part."""
    counts: Counter[int] = Counter()
    if config.method == "stratified":
        return _assign_by_quota(config, contents, writer, previous=previous)
    for content in contents:
        match config.method:
            case "hash":
                parts = by_hash(content.group, config)
            case "time":
                parts = by_time(content.time, contents.clock.cut_offs)
            case _:
                assert_never(config.method)
        _write(content, parts, writer)
        _count(counts, content.codes, parts)
    return counts, 0


def _assign_by_quota(
    config: SplitConfig, contents: Contents, writer: pq.ParquetWriter, *, previous: Path | None
) -> tuple[Counter[int], int]:
    rows = read_card(contents.folder).rows
    hashes, codes = np.empty(rows, dtype=np.uint64), np.empty(rows, dtype=np.uint16)
    for content in contents:
        here = slice(content.start, content.start + len(content.row))
        hashes[here], codes[here] = content.row, content.codes
    parts, new = _kept(hashes, _read_past(previous)) if previous else _none_kept(hashes)
    by_quota(hashes, codes, parts, new, config)
    counts: Counter[int] = Counter()
    for start in range(0, rows, _WRITE_ROWS):
        here = slice(start, start + _WRITE_ROWS)
        none = np.zeros(0)
        piece = Content(start=start, row=hashes[here], group=hashes[here], codes=codes[here], time=none)
        _write(piece, parts[here], writer)
        _count(counts, piece.codes, parts[here])
    return counts, int(rows - new.sum())


def by_hash(hashes: Hashes, config: SplitConfig) -> Parts:
    """Return a part per hash: the lowest share of all hashes is test, the next validation."""
    place = seeded(hashes, seed=config.seed).astype(np.float64) / 2.0**64  # 0 to 1
    parts = np.full(len(hashes), TRAIN, dtype=np.uint8)
    parts[place < config.test + config.validation] = VALIDATION
    parts[place < config.test] = TEST
    return parts


def by_time(times: npt.NDArray[np.float64], cut_offs: tuple[float, float]) -> Parts:
    """Return test for rows from the later cut-off on, validation from the earlier one on, else train."""
    validation_from, test_from = cut_offs
    return (times >= validation_from).astype(np.uint8) + (times >= test_from).astype(np.uint8)


def by_quota(hashes: Hashes, codes: Codes, parts: Parts, new: npt.NDArray[np.bool_], config: SplitConfig) -> None:
    """Fill in, in place, the parts of new rows, so that the shares hold for each class as far as old rows allow."""
    order = np.argsort(codes, kind="stable").astype(np.uint32)
    ends = np.cumsum(np.bincount(codes))
    for rows in np.split(order, ends[:-1]):
        old = parts[rows[~new[rows]]]
        wanted = [round(share * len(rows)) for share in (config.test, config.validation)]
        test, validation = (max(0, w - int((old == p).sum())) for w, p in zip(wanted, (TEST, VALIDATION), strict=True))
        fresh = rows[new[rows]]
        parts[fresh] = _filled(hashes[fresh], seed=config.seed, test=test, validation=validation)


def _filled(hashes: Hashes, *, seed: int, test: int, validation: int) -> Parts:
    """Fill test, then validation, with rows in the order of their seeded hashes; equal rows go together."""
    _, inverse, counts = np.unique(seeded(hashes, seed=seed), return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2  # a bunch of equal rows goes where its middle lies
    parts = np.where(middle < test, TEST, np.where(middle < test + validation, VALIDATION, TRAIN))
    return parts.astype(np.uint8)[inverse]


def _kept(hashes: Hashes, past: tuple[Hashes, Parts]) -> tuple[Parts, npt.NDArray[np.bool_]]:
    """The parts of rows that an earlier split knew, and which rows are new."""
    known, part = past
    if not len(known):
        return _none_kept(hashes)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return part[place].astype(np.uint8), known[place] != hashes


def _none_kept(hashes: Hashes) -> tuple[Parts, npt.NDArray[np.bool_]]:
    return np.zeros(len(hashes), dtype=np.uint8), np.ones(len(hashes), dtype=np.bool_)


def _read_past(file: Path) -> tuple[Hashes, Parts]:
    table = pq.read_table(file, columns=["content", "part"])
    known, first = np.unique(table["content"].to_numpy(), return_index=True)
    codes = pc.index_in(table["part"], value_set=pa.array(PARTS)).to_numpy().astype(np.uint8)
    return known, codes[first]


def _count(counts: Counter[int], codes: Codes, parts: Parts) -> None:
    """Add the number of rows of each class and part, by code * 3 + part."""
    found = np.bincount(codes.astype(np.uint32) * len(PARTS) + parts)
    counts.update({place: int(found[place]) for place in np.flatnonzero(found).tolist()})


def _counted(counts: Counter[int], contents: Contents, *, kept: int) -> Split:
    codes = {name: code for code, name in enumerate(contents.names)}
    by = {part: {n: counts[codes[n] * len(PARTS) + p] for n in in_order(codes)} for p, part in enumerate(PARTS)}
    rows = {part: sum(of.values()) for part, of in by.items()}
    shares = {str(part): count / max(sum(rows.values()), 1) for part, count in rows.items()}
    classes = {str(part): of for part, of in by.items()} if contents.task == "classification" else {}
    return Split(rows={str(p): n for p, n in rows.items()}, shares=shares, classes=classes, kept=kept)


def _check(result: Split, config: SplitConfig, data: DataConfig, contents: Contents) -> None:
    total = sum(result.rows.values())
    if result.classes:
        counts = {name: sum(by[name] for by in result.classes.values()) for name in result.classes["train"]}
        check_classes(counts, where=f"column '{data.target}'")
    given = ", ".join(f"{part} {count}" for part, count in result.rows.items())
    do = _advice(config, contents, classes=bool(result.classes))
    empty = " and ".join(part for part, count in result.rows.items() if not count)
    what = f"the split leaves {empty} empty: of {total} rows, {given}"
    problems = [Problem(what=what, where="split", do=do)] if empty else []
    absent = [name for name, count in result.classes.get("train", {}).items() if not count]
    problems += [
        Problem(what=f"no row of the class '{name}' is in train", where="split", do=do)
        for name in absent[:10]
        if result.rows["train"]
    ]
    if problems:
        raise Refusal(problems)


def _advice(config: SplitConfig, contents: Contents, *, classes: bool) -> str:
    match config.method:
        case "time":
            return f"move the cut-offs: {contents.clock.told()}"
        case "hash" if config.group is not None:
            return f"group by a column with more values than '{config.group}', or use another split.seed"
        case "hash" if classes:
            return "add rows, raise its share, or use another split.seed, or method: stratified"
    return "add rows, raise its share, or use another split.seed"


def _write(content: Content, parts: Parts, writer: pq.ParquetWriter) -> None:
    row = np.arange(content.start, content.start + len(parts), dtype=np.uint32)
    names = pa.array(PARTS).take(pa.array(parts))
    columns = [pa.array(row), names, pa.array(content.row), pa.array(content.group)]
    writer.write_table(pa.table(columns, schema=writer.schema), row_group_size=_WRITE_ROWS)
