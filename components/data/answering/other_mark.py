"""Which mark stands before the decimals of numbers that a model doesn't read: its own, or the other one."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.data.config import DecimalMark
from components.data.kinds import to_number

MOSTLY: Final = 0.95  # share of the bad numbers, from which the mark explains them
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})+")  # of these nobody knows which mark it is


@dataclass(kw_only=True, slots=True)
class OtherMark:
    """Looks at the bad cells of number columns: are they numbers by the other mark?"""

    model: DecimalMark  # of numbers in a CSV file; text in others is read by points
    bad: int = 0
    read: int = 0  # of the bad ones, by the other mark
    decimal: DecimalMark = "."  # the mark by which they are bad
    such: str = ""  # one that can't be a whole number with marks between thousands

    def look(self, raw: pa.Array, bad: npt.NDArray[np.bool_], *, decimal: DecimalMark) -> None:
        """Look at a column that is read by the mark; `bad` says which cells are no numbers by it."""
        if not bad.any():
            return
        cells = raw.filter(pa.array(bad))
        readable = ~to_number(cells, decimal="," if decimal == "." else ".").bad
        self.bad, self.read, self.decimal = self.bad + len(cells), self.read + int(readable.sum()), decimal
        if not self.such:
            texts = (str(cells[int(place)].as_py()).strip() for place in np.flatnonzero(readable))
            self.such = next((text for text in texts if not _THOUSANDS.fullmatch(text)), "")

    def hint(self) -> str:
        """Return what to do if the other mark explains the bad cells, else an empty string."""
        if not self.such or self.read < MOSTLY * self.bad:
            return ""
        theirs, ours = ("commas", "point") if self.decimal == "." else ("points", "comma")
        seems = f"the file seems to have decimal {theirs}, such as '{self.such[:40]}'"
        if self.decimal != self.model:
            return f"{seems}, and text in a file that is no CSV is read by decimal {ours}s: store numbers as numbers"
        return f"{seems}, and this model reads a decimal {ours}: write its numbers with a {ours}"
