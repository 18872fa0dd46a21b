"""Which test rows neither of two models has learned from."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

NAMES = ("content", "group")  # in a split without groups, the latter is the row's content again


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
