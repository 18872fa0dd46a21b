"""The names of a graph's inputs and outputs.

The core graph takes the tensors of `Model.forward`, the released graph raw columns.
"""

from typing import Final

from components.data.preparing.preparation import Preparation

NUMBERS: Final = "numbers"  # of the core graph: double [N, F]
CODES: Final = "codes"  # int64 [N, C]
PIXELS: Final = "pixels"  # uint8 [N, H, W, C]
IMAGE: Final = "image"  # of the released graph: uint8 [N, H, W, C]; tables have an input per column
PROBABILITIES: Final = "probabilities"  # float [N, K]
VALUES: Final = "values"  # double [N, 1]


def core_inputs(preparation: Preparation) -> tuple[str, ...]:
    """Return the names of the core graph's inputs. A table without numbers, or categories, has no such input."""
    if preparation.image is not None:
        return (PIXELS,)
    return (NUMBERS,) * bool(preparation.numbers) + (CODES,) * bool(preparation.categories)


def core_output(preparation: Preparation) -> str:
    """Return the name of the core graph's output."""
    return PROBABILITIES if preparation.target.classes else VALUES


def raw_inputs(preparation: Preparation) -> tuple[str, ...]:
    """Return the names of the released graph's inputs, in order."""
    if preparation.image is not None:
        return (IMAGE,)
    return (*(column.name for column in preparation.numbers), *(column.name for column in preparation.categories))


def raw_output(preparation: Preparation) -> str:
    """Return the name of the released graph's output: the core's, which gives way to a column that has it already."""
    name, taken = core_output(preparation), raw_inputs(preparation)
    while name in taken:
        name += "_output"
    return name
