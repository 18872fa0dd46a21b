"""Which test rows neither of two models has learned from, as far as rows are known again."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.data.splitting.split import GROUP

NAMES = ("content", "group")  # in a split without groups, the latter is the row's content again


def other_groups(assignments: Path, earlier: Path) -> str:
    """Return in words why the earlier split doesn't tell which groups its model learned from, or nothing.

    It tells where this one has no groups, or both are by the same column. Without groups, one's rows may have been in
    train and test alike: then that model's figures are too good.
    """
    ours, theirs = _group(assignments), _group(earlier)
    if ours is None or ours == theirs:
        return ""
    before = f"The split is by groups of '{ours}', the one before it"
    if theirs:
        return f"{before} by those of '{theirs}'"
    return (
        f"{before} without any (the earlier figures may be too good: rows of one '{ours}' may have been in train and "
        "test alike)"
    )


def _group(assignments: Path) -> str | None:
    metadata = pq.read_schema(assignments).metadata or {}
    return metadata[GROUP.encode()].decode() if GROUP.encode() in metadata else None


def unseen(assignments: Path, earlier: Path) -> npt.NDArray[np.bool_]:
    """Say for each test row of `assignments`, in order, whether the earlier model learned from nothing like it.

    It did where it trained on, or chose by, a row of the same content or the same group. What the earlier split had as
    test, or didn't have, is unseen.
    """
    ours = pq.read_table(assignments)
    return _strange(ours.filter(pc.equal(ours["part"], "test")), _learned(earlier))


def gone(assignments: Path, earlier: Path) -> float:
    """Return the share of the rows that the earlier model learned from of which nothing is left in this data.

    Neither their content nor their group is in it. They were taken out, or each was written anew: then the earlier
    model may know test rows that `unseen` takes for fresh.
    """
    learned = _learned(earlier)
    return float(_strange(learned, pq.read_table(assignments)).mean()) if len(learned) else 0.0


def _learned(earlier: Path) -> pa.Table:
    table = pq.read_table(earlier)
    return table.filter(pc.not_equal(table["part"], "test"))


def _strange(rows: pa.Table, known: pa.Table) -> npt.NDArray[np.bool_]:
    """Say for each of the rows whether none of those that are known has its content or its group."""
    strange = np.ones(len(rows), dtype=np.bool_)
    for name in NAMES:
        strange &= ~np.isin(rows[name].to_numpy(), known[name].to_numpy())
    return strange
