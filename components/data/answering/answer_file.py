"""Answers as a CSV or Parquet file, written as a stream, and there only when it is whole.

A file of earlier answers is replaced; one of anything else, such as the data that a model learned from, never is.
"""

import uuid
from pathlib import Path
from types import TracebackType
from typing import Final

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from components.data.sources.csv_file import find_delimiter, header
from components.disk import full_disk_refused
from components.errors import Refusal, refuse

SUFFIXES: Final = (".csv", ".parquet", ".pq")


class AnswerFile:
    """A file that tables of one schema are written to. Earlier answers at its place are replaced at the end."""

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise refuse("answers are written as CSV or Parquet", where=str(path), allowed=", ".join(SUFFIXES))
        if path.is_dir() or not path.absolute().parent.is_dir():
            what = "this is a folder" if path.is_dir() else f"there is no folder '{path.parent}'"
            raise refuse(what, where=str(path), do="name a file in a folder that is there")
        if path.exists() and not _may_be_replaced(path):
            what = "there is a file already, and it holds no answers: it has no column 'prediction'"
            do = "name another file with --output, or remove this one"
            raise refuse(what, where=str(path), allowed="a new file, or one of earlier answers", do=do)
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


def _may_be_replaced(path: Path) -> bool:
    """Say whether the file is empty or one of answers. One that can't be read may be anything."""
    if not path.is_file():
        return False
    try:
        return path.stat().st_size == 0 or "prediction" in _names(path)
    except (OSError, pa.ArrowException, Refusal):
        return False


def _names(path: Path) -> list[str]:
    if path.suffix.lower() == ".csv":
        return header(path, find_delimiter(path))
    names: list[str] = pq.read_schema(path).names
    return names
