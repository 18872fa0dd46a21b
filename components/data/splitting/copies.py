"""Rows that are exact copies of others, by the hashes of their content that the assignments of a split hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.splitting.hashing import Hashes
from components.data.splitting.purposes import PARTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """How many rows say what another one says."""

    rows: int  # that equal an earlier row
    in_train: dict[str, int]  # rows of validation and of test that equal a row of train


def copies_in(assignments: Path) -> Copies:
    """Count them. A split by time or by groups may put copies into several parts; no other one does.

    Takes about 20 bytes of memory per row.
    """
    train, *others = _hashes(assignments)
    seen = [_among(train, hashes) for hashes in others]
    new = np.sort(np.concatenate([hashes[~known] for hashes, known in zip(others, seen, strict=True)]))
    return Copies(
        rows=len(train) + sum(map(len, others)) - _different(train) - _different(new),
        in_train={part: int(known.sum()) for part, known in zip(PARTS[1:], seen, strict=True)},
    )


def _hashes(assignments: Path) -> Iterator[Hashes]:
    """Yield the hashes of the rows of each part, sorted."""
    file = pq.ParquetFile(assignments, pre_buffer=False)  # a buffer takes as much memory as all that is read here
    hashes = np.empty(file.metadata.num_rows, dtype=np.uint64)
    parts, start, names = np.empty(len(hashes), dtype=np.uint8), 0, pa.array(PARTS)
    for batch in file.iter_batches(columns=["content", "part"]):
        here = slice(start, start := start + len(batch))
        hashes[here] = batch["content"].to_numpy()
        parts[here] = pc.index_in(batch["part"], value_set=names).to_numpy()
    for place in range(len(PARTS)):
        yield np.sort(hashes[parts == place])


def _among(known: Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Say of each hash whether it is one of those that are known. Both are sorted: the search is quick then."""
    if not len(known):
        return np.zeros(len(hashes), dtype=np.bool_)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[place] == hashes
    return found


def _different(hashes: Hashes) -> int:
    """Return how many different ones there are, of sorted ones: np.unique takes five times the memory."""
    return min(len(hashes), 1) + int(np.count_nonzero(hashes[1:] != hashes[:-1]))
