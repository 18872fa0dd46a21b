"""Answers as a CSV or Parquet file, written as a stream, and there only when it is whole."""

import uuid
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from components.disk import full_disk_refused
from components.errors import refuse

SUFFIXES: Final = (".csv", ".parquet", ".pq")


class AnswerFile:
    """A file that tables of one schema are written to. What was at its place is replaced at the end."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise refuse("answers are written as CSV or Parquet", where=str(path), allowed=", ".join(SUFFIXES))
        if path.is_dir() or not path.absolute().parent.is_dir():
            what = "this is a folder" if path.is_dir() else f"there is no folder '{path.parent}'"
            raise refuse(what, where=str(path), do="name a file in a folder that is there")
        self.path = path
        self.rows = 0
        self._fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self._writer: arrow_csv.CSVWriter | pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        with full_disk_refused(self.path):
            if self._writer is None:
                kind = arrow_csv.CSVWriter if self.path.suffix.lower() == ".csv" else pq.ParquetWriter
                self._writer = kind(str(self._fresh), table.schema)
            self._writer.write_table(table)
        self.rows += len(table)

    def __enter__(self) -> "AnswerFile":
        try:
            self._fresh.touch()  # or that is found out after the model was asked
        except OSError as error:
            do = "name a file in another folder, or mend the rights of this one"
            raise refuse(f"can't be written: {error.strerror}", where=str(self.path), do=do) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the file into its place, or if something went wrong, remove it."""
        try:
            with full_disk_refused(self.path):
                if self._writer is not None:
                    self._writer.close()
                    if kind is None:
                        self._fresh.replace(self.path)
        finally:
            self._fresh.unlink(missing_ok=True)
