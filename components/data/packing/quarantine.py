"""Bad rows, set aside beside the data set instead of being dropped."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.findings import Finding
from components.data.sources.chunk import Chunk, Torn

SCHEMA: Final = pa.schema([("row", pa.uint64()), ("column", pa.string()), ("what", pa.string()), ("raw", pa.string())])


def quarantine_path(folder: Path) -> Path:
    """Return where the bad rows of the data set in this folder lie: beside it."""
    return folder.with_name(f"{folder.name}.quarantine.parquet")


def first_of(path: Path) -> str:
    """Say what is wrong with the first of the bad rows in the file."""
    with pq.ParquetFile(path) as file:
        (first,) = next(file.iter_batches(batch_size=1)).to_pylist()
    if not first["column"]:
        return f"row {first['row']}: {first['what']}"
    value = json.loads(first["raw"]).get(first["column"])
    if isinstance(value, str) and first["what"].startswith(("is ", "has ")):  # of an image, whose file it is
        return f"{value} {first['what']}"
    return f"row {first['row']}, column '{first['column']}': {first['what']}"


class Quarantine:
    """A context that writes a line per bad cell: row, column, what is wrong, and the raw row as JSON or CSV text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "Quarantine":
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, chunk: Chunk, findings: Sequence[Finding], torn: Sequence[Torn]) -> None:
        """Set aside the rows of the findings, and the torn ones."""
        place = {int(row): i for i, row in enumerate(chunk.rows)}
        lines = [(f.row, f.column, f.what, _raw(chunk.table, place[f.row])) for f in findings]
        lines += [(line.row, None, line.what, line.text) for line in torn]
        lines.sort(key=lambda line: line[0])
        if lines:
            self._write(pa.table([list(column) for column in zip(*lines, strict=True)], schema=SCHEMA))

    def _write(self, table: pa.Table) -> None:
        if self._file is None:
            self._file = pq.ParquetWriter(self.path, SCHEMA, compression="zstd")
        self._file.write_table(table)


def _raw(table: pa.Table, place: int) -> str:
    values = table.slice(place, 1).to_pylist()[0]
    shown = {
        name: value["path"] if isinstance(value, dict) and "path" in value else value for name, value in values.items()
    }
    return json.dumps(shown, ensure_ascii=False, default=str)
