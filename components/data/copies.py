"""Rows that are exact copies of others, by the hashes of their content that the assignments of a split hold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.data.hashing import Hashes
from components.data.purposes import PARTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """How many rows say what another one says."""

    rows: int  # that equal an earlier row
    in_train: dict[str, int]  # rows of validation and of test that equal a row of train


def copies_in(assignments: Path) -> Copies:
    """Count them. A split by time or by groups may put copies into several parts; no other one does.

    Takes about 40 bytes of memory per row.
    """
    train, *others = (_hashes(assignments, [("part", "==", part)]) for part in PARTS)
    known, rows = np.unique(train), _hashes(assignments, None)
    in_train = {part: _among(known, hashes) for part, hashes in zip(PARTS[1:], others, strict=True)}
    return Copies(rows=len(rows) - len(np.unique(rows)), in_train=in_train)


def _hashes(assignments: Path, filters: list[tuple[str, str, str]] | None) -> Hashes:
    hashes: Hashes = pq.read_table(assignments, columns=["content"], filters=filters)["content"].to_numpy()
    return hashes


def _among(known: Hashes, hashes: Hashes) -> int:
    """Return how many of the hashes are among the known ones, which are sorted."""
    if not len(known):
        return 0
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return int((known[place] == hashes).sum())
