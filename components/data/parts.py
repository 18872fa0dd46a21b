"""Reads a packed data set's files, a row group at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.card import read_card
from components.errors import refuse


def tables(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the columns, in the order given, of all rows in their order.

    Raises:
        Refusal: a file or a column is missing or damaged.
    """
    for name in read_card(folder).files:
        yield from _groups(folder / name, list(columns))


def _groups(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            absent = [name for name in columns if name not in file.schema_arrow.names]
            if absent:
                raise refuse(f"the columns {', '.join(absent)} are missing", where=path.name, do="pack the data again")
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns, use_threads=False).select(columns)
    except (pa.ArrowException, OSError) as error:
        what = f"the data set's file is missing or damaged ({(str(error).splitlines() or [''])[0]})"
        raise refuse(what, where=path.name, do="pack the data again") from None


def one_array(table: pa.Table, name: str) -> pa.Array:
    """Return a column as one array."""
    column = table.column(name)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
