"""Raw rows, as a user would give them, before any preparation.

N rows, H x W pixels, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Columns by name, each of N values.

    number: float64, NaN where missing. boolean: float64 of 0 and 1, NaN where missing. category: str objects,
    "" where missing. image: uint8 [N, H, W, C], or an object array of N arrays [H, W, C] where sizes differ.
    The target is one of the columns: float64 for regression, str objects for classification.
    """

    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def take(self, index: npt.NDArray[np.intp] | slice) -> "Rows":
        """Return the rows at the index, in its order."""
        return Rows(columns={name: values[index] for name, values in self.columns.items()})

    def some(self, most: int, *, seed: int) -> "Rows":
        """Return all rows, or `most` of them drawn without replacement, in their order."""
        if len(self) <= most:
            return self
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))
