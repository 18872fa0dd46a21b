"""How often the test rows of a split have decided before, though each night a few more rows are added.

A split is remembered by the smallest hashes of its test rows: of any two splits, that is enough to estimate what share
of the one's rows the other has. Source: Broder 1997, "On the resemblance and containment of documents".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

Sketch = tuple[int, ...]  # the smallest hashes of a split's test rows, in order
LENGTH: Final = 64


def sketch(assignments: Path) -> Sketch:
    """Return the sketch of a split's test rows."""
    test = pq.read_table(assignments, columns=["part", "content"]).filter(pc.field("part") == "test")
    return tuple(np.unique(test["content"].to_numpy())[:LENGTH].tolist())


def times_decided(now: Sketch, earlier: Sequence[Sketch]) -> int:
    """Return how many decisions a test row of today has been part of, on average."""
    return round(sum(_share(now, past) for past in earlier))


def _share(now: Sketch, past: Sketch) -> float:
    """Return what share of today's test rows was among those of an earlier split."""
    end = past[-1] if len(past) == LENGTH else now[-1]  # up to here the earlier sketch says who was there
    told = [row for row in now if row <= end]
    return len(set(told) & set(past)) / max(len(told), 1)
