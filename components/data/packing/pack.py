"""Turns a source of rows into a packed data set: a folder of Parquet files and a card, streaming and validated."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from components.data import card as cards
from components.data.card import Card, read_card, write_card
from components.data.classes import check_classes, check_count, sorted_classes
from components.data.config import DataConfig
from components.data.findings import Finding, Findings
from components.data.kinds import as_text
from components.data.packing.check import Checked, check_columns, check_rows
from components.data.packing.quarantine import Quarantine, quarantine_path
from components.data.packing.writer import PartWriter
from components.data.parts import one_array
from components.data.sources.chunk import Chunk, Source, no_rows
from components.data.sources.table import kind_of, source_at
from components.errors import refuse

Progress = Callable[[int], None]
LOOK_SECONDS: Final = 2.0  # for rows that are read twice


def open_source(config: DataConfig, source: Path) -> Source:
    """Open the source, and compare its columns with the recipe's. No row is read.

    Raises:
        Refusal: it can't be opened, its columns aren't the recipe's, or it is no text that has a decimal mark.
    """
    opened = source_at(source, config)
    if config.decimal != "." and kind_of(source) != "csv":
        what = f"data.decimal '{config.decimal}' is for the numbers of a CSV file, and this is none"
        raise refuse(what, where=source.name, do="leave data.decimal out")
    check_columns(opened.schema, config, where=source.name)
    return opened


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What is counted while the rows go by."""

    findings: Findings = field(default_factory=Findings)
    classes: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    bad: int = 0  # of them


def pack(config: DataConfig, folder: Path, *, source: Path, progress: Progress | None = None) -> Card:
    """Read the source, check every cell against the recipe's columns, and write the rows into the folder.

    The same rows give the same bytes. `folder` is made, and must be new or empty; bad rows that the recipe
    lets aside go to `quarantine_path(folder)`. `progress` is told the number of rows read so far.

    Raises:
        Refusal: something is wrong with the source; the first problems are named, the rest counted.
    """
    opened = open_source(config, source)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise refuse("the folder is not empty", where=str(folder))
    try:
        card = _pack(config, folder, source=opened, name=source.name, progress=progress)
        card = _with_origin(card, source)
        write_card(card, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return card


def look_ahead(config: DataConfig, source: Path) -> None:
    """Refuse now what `pack` would refuse later, as far as it is seen in two seconds.

    A table in which something is found is read to its end, to name all of it; pictures would take too long.

    Raises:
        Refusal: as `pack` does.
    """
    opened, tally, end = open_source(config, source), _Tally(), monotonic() + LOOK_SECONDS
    pictures = "image" in config.columns.values()
    for _ in _checked(opened, config, tally, source.name):
        lost = tally.findings.count and config.bad_rows == "refuse"
        if monotonic() > end and not lost:
            return
        if monotonic() > end and pictures:
            break
    _judge(tally, config, opened, name=source.name)


def _pack(config: DataConfig, folder: Path, *, source: Source, name: str, progress: Progress | None) -> Card:
    tally = _Tally()
    with PartWriter(folder) as writer, Quarantine(quarantine_path(folder)) as quarantine:
        for chunk, checked, good in _checked(source, config, tally, name):
            if config.bad_rows == "quarantine":
                quarantine.add(chunk, checked.findings, chunk.torn)
            if config.bad_rows == "quarantine" or not tally.findings.count:
                writer.write(good)
            if progress is not None:
                progress(tally.rows)
    _judge(tally, config, source, name=name)
    return Card(
        columns=dict(config.columns),
        target=config.target,
        rows=writer.rows,
        files=tuple(writer.files),
        classes=sorted_classes(tally.classes),
        source=name,
        quarantined=tally.bad,
    )


def _checked(source: Source, config: DataConfig, tally: _Tally, name: str) -> Iterator[tuple[Chunk, Checked, pa.Table]]:
    """Yield chunks with what was found of them and their good rows, and count."""
    for chunk in source.chunks():
        checked = check_rows(chunk, config)
        tally.rows += len(chunk.rows) + len(chunk.torn)
        tally.bad += int(checked.bad.sum()) + len(chunk.torn)
        _record(tally, chunk, checked)
        good = _good(checked)
        _count_classes(tally, good, config, name)
        yield chunk, checked, good


def _record(tally: _Tally, chunk: Chunk, checked: Checked) -> None:
    torn = [Finding(row=line.row, what=line.what) for line in chunk.torn]
    found = sorted([*checked.findings, *torn], key=lambda finding: finding.row)
    tally.findings.add(found)


def _good(checked: Checked) -> pa.Table:
    return checked.table.filter(pa.array(~checked.bad)) if checked.bad.any() else checked.table


def _count_classes(tally: _Tally, table: pa.Table, config: DataConfig, name: str) -> None:
    if config.columns[config.target] == "number":
        return
    counts = pc.value_counts(as_text(one_array(table, config.target)))
    for entry in counts:
        tally.classes[entry["values"].as_py()] += entry["counts"].as_py()
    check_count(tally.classes, where=f"{name}, column '{config.target}'")


def _judge(tally: _Tally, config: DataConfig, source: Source, *, name: str) -> None:
    """Decide whether what was found can stand."""
    if not tally.rows:
        raise no_rows(name)
    mostly = (
        "say what it holds under data.columns: another kind, or ignore; as data.decimal: its mark; or mend the rows"
    )
    if config.bad_rows == "refuse" and tally.findings.count:
        do = "mend these rows, or set data.bad_rows: quarantine and data.quarantine_share to set bad rows aside"
        raise tally.findings.refusal(source.places, rows=tally.rows, do=do, mostly=mostly)
    if config.quarantine_share is not None and tally.bad > config.quarantine_share * tally.rows:
        share = f"{tally.bad} of {tally.rows} rows are bad ({tally.bad / tally.rows:.2%})"
        do = f"{share}, more than data.quarantine_share {config.quarantine_share:.2%}: mend them, or raise it"
        raise tally.findings.refusal(source.places, rows=tally.rows, do=do, mostly=mostly)
    if config.columns[config.target] != "number":
        check_classes(tally.classes, where=f"{name}, column '{config.target}'")


def _with_origin(card: Card, source: Path) -> Card:
    """The card, with the origin that a packed source's own card tells."""
    if not (source / cards.NAME).is_file():
        return card
    earlier = read_card(source)
    if earlier.rows != card.rows + card.quarantined:
        what = f"the card says {earlier.rows} rows, the files hold {card.rows + card.quarantined}"
        raise refuse(what, where=source.name, do="pack the data again")
    return replace(card, source=earlier.source, licence=earlier.licence, description=earlier.description)
