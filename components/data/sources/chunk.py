"""What a source of rows looks like to the packer: names of columns, and chunks of raw rows in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.data.config import DecimalMark
from components.errors import Refusal, refuse


@dataclass(frozen=True, kw_only=True, slots=True)
class Torn:
    """A row that can't be told apart into its cells, such as a CSV line with too many fields."""

    row: int
    what: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Consecutive raw rows. `rows` are their numbers in the source, from 1; torn ones are left out of the table."""

    table: pa.Table
    rows: npt.NDArray[np.int64]
    decimal: DecimalMark  # what stands before the decimals of numbers that are text
    torn: tuple[Torn, ...] = ()


class Source(Protocol):
    """Rows of a file or folder, read as a stream."""

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows in order, each chunk of a few MB."""

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return for people where each of the rows, numbered from 1, is."""


def no_rows(where: str) -> Refusal:
    """Return the refusal of a source that has columns and nothing in them."""
    do = "put rows into it; was it written to its end, or filtered to nothing?"
    return refuse("there are no rows", where=where, allowed="one row or more below the names of the columns", do=do)
