"""Rows of a CSV file, as text, streaming."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from components.data.config import DecimalMark
from components.data.sources.chunk import Chunk, Torn
from components.errors import Refusal, refuse

if TYPE_CHECKING:
    from _csv import Reader

BLOCK_BYTES: Final = 4 << 20  # no line may be longer
DELIMITERS: Final = (",", ";", "\t", "|")
FIRST_LINES: Final = 100  # by which the delimiter is found
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_CODE_PAGES: Final = ("cp1252", "cp1250")  # of Western and of Central Europe; Latin-1 is a part of the first


class CsvFile:
    """A CSV file with a header, in UTF-8 with or without a BOM, its delimiter found from the header."""

    def __init__(self, path: Path, *, decimal: DecimalMark = ".") -> None:
        self.path = path
        self.decimal = decimal
        self.delimiter = find_delimiter(path)
        self._torn: list[Torn] = []
        self.names = header(path, self.delimiter)

    @property
    def schema(self) -> pa.Schema:
        """Every column is text: what it means, the recipe says."""
        return pa.schema([(name, pa.string()) for name in self.names])

    def chunks(self) -> Iterator[Chunk]:
        """Yield blocks of the file; ragged lines are told apart from the rows."""
        self._torn.clear()
        next_row, last = 0, None
        try:
            for batch in self._reader():
                table = pa.Table.from_batches([batch]).rename_columns(self.names)
                chunk = self._numbered(table, first=next_row)
                next_row += table.num_rows + len(chunk.torn)
                last = chunk if len(chunk.rows) else last
                yield chunk
        except pa.ArrowInvalid as error:
            raise self._unreadable(error, after=next_row - 1) from None
        if self._torn:  # torn lines at the very end
            none, torn = np.empty(0, np.int64), tuple(self._torn)
            yield Chunk(table=self.schema.empty_table(), rows=none, torn=torn, decimal=self.decimal)
        if any("\n" in text or "\r" in text for text in self._final(last)):
            self._check_quotes()

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return `file, row 17 (line 19)`: blank lines and line breaks inside quotes count as lines only."""
        lines = self._lines(set(rows))
        return [f"{self.path.name}, row {row} (line {lines.get(row, row + 1)})" for row in rows]

    def _reader(self) -> arrow_csv.CSVStreamingReader:
        # Names are given, so that Arrow neither decodes nor judges the header: to it, that is row 0.
        places = [str(i) for i in range(len(self.names))]
        return arrow_csv.open_csv(
            self.path,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=places),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=self._tear
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
            ),
        )

    def _tear(self, line: arrow_csv.InvalidRow) -> str:
        fields = "field" if line.actual_columns == 1 else "fields"
        what = f"the line has {line.actual_columns} {fields}, the header has {line.expected_columns}"
        self._torn.append(Torn(row=line.number - 1, what=what, text=line.text))
        return "skip"

    def _numbered(self, table: pa.Table, *, first: int) -> Chunk:
        torn: list[Torn] = []
        end = first + table.num_rows
        while self._torn and self._torn[0].row < end:
            torn.append(self._torn.pop(0))
            end += 1
        rows = np.setdiff1d(np.arange(first, end), [line.row for line in torn], assume_unique=True).astype(np.int64)
        named = int(first == 0)  # the header
        return Chunk(table=table.slice(named), rows=rows[named:], torn=tuple(torn), decimal=self.decimal)

    def _lines(self, rows: set[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            reader = parsed((line.replace("\0", "") for line in stream), self.delimiter)
            row, before = -1, 0
            for fields in reader:
                row += bool(fields)
                if fields and row in rows:
                    found[row] = before + 1
                    if len(found) == len(rows):
                        break
                before = reader.line_num
        return found

    def _unreadable(self, error: pa.ArrowInvalid, *, after: int) -> Refusal:
        if "UTF8" in str(error) or "utf-8" in str(error):
            check_utf8(self.path)
        if "straddling" in str(error):
            return refuse(
                f"the line after row {max(after, 0)} is longer than {BLOCK_BYTES >> 20} MB",
                where=self.path.name,
                do="look there for a quotation mark that is never closed",
            )
        return refuse(f"is not readable as CSV after row {max(after, 0)}: {error}", where=self.path.name)

    def _final(self, chunk: Chunk | None) -> list[str]:
        """Return the cells of the last row, or its text where it is torn; `chunk` is the last that has rows."""
        if self._torn:
            return [self._torn[-1].text]
        return [] if chunk is None else [cell.as_py() or "" for column in chunk.table.columns for cell in column[-1:]]

    def _check_quotes(self) -> None:
        """Refuse a file whose last quotation mark is never closed: it has swallowed all rows below."""
        with self.path.open(encoding="utf-8-sig", newline="") as stream:
            reader = parsed(stream, self.delimiter, strict=True)
            started = 0
            try:
                for _ in reader:
                    started = reader.line_num
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise refuse(
                        "a quotation mark is never closed, so the rest of the file is one value",
                        where=f"{self.path.name}, line {started + 1}",
                        allowed="quotation marks in pairs",
                        do="close it, or double it where it is meant as a character",
                    ) from None


def parsed(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> "Reader":
    """Return the rows of the lines, by Python's own reader, which counts lines.

    Its limit on a cell is one for the whole process: it is raised and never lowered, for other threads may be reading.
    """
    csv.field_size_limit(max(csv.field_size_limit(), BLOCK_BYTES))
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def find_delimiter(path: Path) -> str:
    """Return the one of , ; tab | that cuts the header into several names and most first lines into as many fields.

    Of those that do so alike it is the one with most names; a comma where none does.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        start = stream.read(1 << 20)

    def fits(mark: str) -> tuple[bool, float, int]:
        lines = islice(filter(None, parsed(start.splitlines(), mark)), FIRST_LINES)
        fields = [len(line) for line in lines] or [0]
        return fields[0] > 1, fields.count(fields[0]) / len(fields), fields[0]

    return max(DELIMITERS, key=fits)


def header(path: Path, delimiter: str) -> list[str]:
    """Return the names of the columns.

    Raises:
        Refusal: the file is empty, or not UTF-8, or its first line has no end in sight.
    """
    if path.stat().st_size == 0:
        allowed = "a first line with the names of the columns, and a row or more below it"
        raise refuse(
            "the file is empty", where=path.name, allowed=allowed, do="was it written to its end? Make it anew"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            names = next(filter(None, parsed(stream, delimiter)), None)
    except UnicodeDecodeError:
        check_utf8(path)
        raise
    except csv.Error as error:
        raise refuse(f"the header is not readable as CSV ({error})", where=path.name) from None
    if names is None or not any(names):
        raise refuse("the file has no header", where=path.name, do="name the columns in its first line")
    return names


def check_utf8(path: Path) -> None:
    """Refuse a file that isn't UTF-8, naming the first line and byte that are not."""
    with path.open("rb") as stream:
        start = stream.read(2)
        if start in _UTF16:
            raise refuse("the file is UTF-16", where=path.name, allowed="UTF-8", do="save it again as UTF-8")
        stream.seek(0)
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                near = line[max(0, error.start - 20) : error.start + 20]
                read = [f"'{near.decode(code, errors='replace').strip()}' as {code}" for code in _CODE_PAGES]
                raise refuse(
                    f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8; it reads "
                    f"{' and '.join(read)}",
                    where=f"{path.name}, line {number}",
                    allowed="UTF-8, with or without a BOM",
                    do="save the file as UTF-8, with the name of the code page as which it reads right: "
                    f"iconv -f {_CODE_PAGES[0]} -t UTF-8 {path.name} > utf8.csv",
                ) from None
