"""Which test rows neither of two models has learned from."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq


def unseen(assignments: Path, earlier: Path) -> npt.NDArray[np.bool_]:
    """Say for each test row of `assignments`, in order, whether the earlier model had no row of the same content.

    A row that the earlier split had as test, or didn't have, is unseen; one that it trained on or chose by isn't.
    """
    ours = pq.read_table(assignments, columns=["part", "content"])
    theirs = pq.read_table(earlier, columns=["part", "content"])
    test = ours.filter(pc.equal(ours["part"], "test"))["content"].to_numpy()
    learned = theirs.filter(pc.not_equal(theirs["part"], "test"))["content"].to_numpy()
    return ~np.isin(test, learned)
