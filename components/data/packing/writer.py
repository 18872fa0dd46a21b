"""Writes rows as Parquet files whose bytes depend on the rows alone, not on how they came in.

Row groups are cut by count and size of the rows, files by count of row groups: memory stays flat.
"""

from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

GROUP_ROWS: Final = 65_536
GROUP_BYTES: Final = 32 << 20
FILE_GROUPS: Final = 32


class PartWriter:
    """A context that writes `part-00000.parquet`, `part-00001.parquet` ... into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[str] = []
        self.rows = 0
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0
        self._groups = 0
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        if self._file is not None:
            self._file.close()

    def write(self, table: pa.Table) -> None:
        """Add rows; they are written once a row group is full."""
        sizes = _row_bytes(table)
        while len(table):
            room = int(np.searchsorted(np.cumsum(sizes), GROUP_BYTES - self._pending_bytes, side="right"))
            take = min(len(table), GROUP_ROWS - self._pending_rows, max(room, int(self._pending_rows == 0)))
            self._keep(table.slice(0, take), bytes_=int(sizes[:take].sum()))
            table, sizes = table.slice(take), sizes[take:]
            if len(table) or self._pending_rows == GROUP_ROWS:
                self._flush()

    def _keep(self, table: pa.Table, *, bytes_: int) -> None:
        self._pending.append(table)
        self._pending_rows += len(table)
        self._pending_bytes += bytes_
        self.rows += len(table)

    def _flush(self) -> None:
        if not self._pending_rows:
            return
        table = pa.concat_tables(self._pending).combine_chunks()
        if self._groups % FILE_GROUPS == 0:
            self._next_file(table.schema)
        assert self._file is not None
        self._file.write_table(table, row_group_size=len(table))
        self._groups += 1
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def _next_file(self, schema: pa.Schema) -> None:
        if self._file is not None:
            self._file.close()
        self.files.append(f"part-{len(self.files):05d}.parquet")
        self._file = pq.ParquetWriter(
            self.folder / self.files[-1], schema, compression="zstd", compression_level=1, version="2.6"
        )


def _row_bytes(table: pa.Table) -> npt.NDArray[np.int64]:
    """About how many bytes each row holds: fixed widths, and the lengths of text and bytes."""
    sizes = np.full(len(table), 8 * table.num_columns, dtype=np.int64)
    for column in table.columns:
        values = pc.struct_field(column, "bytes") if _is_image(column.type) else column
        if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
            sizes += pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
    return sizes


def _is_image(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
