"""Rows of a Parquet file, or of a folder of them (a packed data set is one), streaming."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.sources.chunk import Chunk
from components.data.sources.walking import files_below, is_file
from components.errors import Problem, Refusal, refuse

CHUNK_ROWS: Final = 16_384
SUFFIXES: Final = (".parquet", ".pq")


class ParquetFiles:
    """One or several Parquet files of one schema, in the order of their names; hidden ones don't count.

    Those in folders within are refused: such a folder's name may be a value of theirs (`year=2024`), and is no column.
    """

    def __init__(self, path: Path) -> None:
        self.files = _files(path) if path.is_dir() else [path]
        schemas = {file: _schema(file) for file in self.files}
        self.schema: pa.Schema = schemas[self.files[0]]
        odd = [file.name for file, schema in schemas.items() if not schema.equals(self.schema)]
        if odd:
            raise Refusal(
                Problem(what=f"its columns differ from those of {self.files[0].name}", where=name) for name in odd[:10]
            )

    def chunks(self) -> Iterator[Chunk]:
        """Yield batches of rows; dictionaries are read as their values."""
        row = 1
        for file in self.files:
            try:
                for batch in pq.ParquetFile(file).iter_batches(batch_size=CHUNK_ROWS, use_threads=False):
                    table = _plain(pa.Table.from_batches([batch]))
                    yield Chunk(table=table, rows=np.arange(row, row + len(table), dtype=np.int64), decimal=".")
                    row += len(table)
            except (pa.ArrowException, OSError) as error:
                what = f"is a damaged Parquet file ({_first_line(error)})"
                raise refuse(what, where=file.name, allowed="a whole Parquet file", do="write it anew") from None

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return `file, row 17`, where the row is counted within its file."""
        ends = np.cumsum([pq.read_metadata(file).num_rows for file in self.files])
        places = []
        for row in rows:
            file = int(np.searchsorted(ends, row))
            places.append(f"{self.files[file].name}, row {row - (int(ends[file - 1]) if file else 0)}")
        return places


def files_of(folder: Path, *, below: bool = False) -> Iterator[Path]:
    """Return the Parquet files of a folder, or those of all folders within. Hidden ones don't count."""
    within = (path for path in files_below(folder, forgiving=True) if path.parent != folder)
    return (path for path in (within if below else folder.glob("*")) if counts(path, folder))


def counts(path: Path, folder: Path) -> bool:
    """Say whether the path is a Parquet file, and not hidden below the folder."""
    hidden = any(name.startswith((".", "_")) for name in path.relative_to(folder).parts)  # as Arrow has it
    return path.suffix.lower() in SUFFIXES and not hidden and is_file(path)


def _files(folder: Path) -> list[Path]:
    if within := sorted(path.relative_to(folder).as_posix() for path in files_of(folder, below=True)):
        shown = ", ".join(within[:3]) + (" ..." if len(within) > 3 else "")
        raise refuse(
            f"{len(within)} Parquet {'file lies' if len(within) == 1 else 'files lie'} in folders within: {shown}",
            where=folder.name,
            allowed="Parquet files that lie in the folder itself",
            do="move all that are to be read into one folder, or name the one folder that holds them",
        )
    return sorted(files_of(folder))


def _schema(file: Path) -> pa.Schema:
    try:
        stored = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        what = f"is not a Parquet file, or a damaged one ({_first_line(error)})"
        do = "write it anew, or give the file the ending of what it is"
        raise refuse(what, where=file.name, allowed="a whole Parquet file", do=do) from None
    return _plain(stored.remove_metadata().empty_table()).schema


def _plain(table: pa.Table) -> pa.Table:
    """The table with dictionary columns as their values, and text and bytes of the types that Arrow computes with."""
    for place, column in enumerate(table.schema):
        if (kind := _plain_type(column.type)) != column.type:
            table = table.set_column(place, pa.field(column.name, kind), table.column(place).cast(kind))
    return table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
