"""What each part of the rows is for. Reading a part for anything else fails the run."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from components.errors import refuse

if TYPE_CHECKING:  # stages name parts and purposes in their types: that must not cost an import of Arrow
    import numpy as np
    import numpy.typing as npt

Part = Literal["train", "validation", "test"]
Purpose = Literal["fit", "calibrate", "stop", "select", "report", "gate"]

PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")
PURPOSES: Final[dict[Part, frozenset[Purpose]]] = {
    "train": frozenset({"fit", "calibrate"}),
    "validation": frozenset({"stop", "select"}),
    "test": frozenset({"report", "gate"}),
}


def rows_of(assignments: Path, part: Part, *, purpose: Purpose) -> "npt.NDArray[np.int64]":
    """Return the numbers, from 0 and rising, of the part's rows.

    Raises:
        Refusal: the part is not for this purpose.
    """
    return _of_part(assignments, "row", part, purpose=purpose).astype("int64")


def groups_of(assignments: Path, part: Part, *, purpose: Purpose) -> "npt.NDArray[np.uint64]":
    """Return what rows that were drawn together share, for each of the part's rows, in their order.

    It is the hash of their group, or of their content where the split has no groups.

    Raises:
        Refusal: the part is not for this purpose.
    """
    return _of_part(assignments, "group", part, purpose=purpose).astype("uint64")


def _of_part(assignments: Path, column: str, part: Part, *, purpose: Purpose) -> "npt.NDArray[np.unsignedinteger]":
    if purpose not in PURPOSES[part]:
        right = next(name for name, purposes in PURPOSES.items() if purpose in purposes)
        what = f"the {part} rows were asked for, to {purpose}"
        allowed = f"on {part} rows: {', '.join(sorted(PURPOSES[part]))}"
        raise refuse(what, allowed=allowed, do=f"{purpose} on {right} rows")
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(assignments, columns=[column, "part"])
    values: npt.NDArray[np.unsignedinteger] = table.filter(pc.equal(table["part"], part))[column].to_numpy()
    return values
