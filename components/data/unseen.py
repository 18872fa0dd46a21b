"""Which test rows neither of two models has learned from."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.split import GROUP

NAMES = ("content", "group")  # in a split without groups, the latter is the row's content again


def other_groups(assignments: Path, earlier: Path) -> str:
    """Return in words why the earlier split doesn't tell which groups its model learned from, or nothing.

    It tells where this one has no groups, or both are by the same column.
    """
    ours, theirs = _group(assignments), _group(earlier)
    if ours is None or ours == theirs:
        return ""
    said = f"by those of '{theirs}'" if theirs else "without any"
    return f"The split is by groups of '{ours}', the one before it {said}"


def _group(assignments: Path) -> str | None:
    metadata = pq.read_schema(assignments).metadata or {}
    return metadata[GROUP.encode()].decode() if GROUP.encode() in metadata else None


def unseen(assignments: Path, earlier: Path) -> npt.NDArray[np.bool_]:
    """Say for each test row of `assignments`, in order, whether the earlier model learned from nothing like it.

    It did where it trained on, or chose by, a row of the same content or the same group. What the earlier split had as
    test, or didn't have, is unseen.
    """
    ours, theirs = pq.read_table(assignments), pq.read_table(earlier)
    test = ours.filter(pc.equal(ours["part"], "test"))
    learned = theirs.filter(pc.not_equal(theirs["part"], "test"))
    fresh = np.ones(len(test), dtype=np.bool_)
    for name in NAMES:
        fresh &= ~np.isin(test[name].to_numpy(), learned[name].to_numpy())
    return fresh
