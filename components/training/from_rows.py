"""Examples from raw rows: the way from data to training.

N rows.
"""

import numpy as np
import torch
from torch import Tensor

from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import encode, encode_target, image_groups
from components.data.rows import Rows
from components.training.examples import Examples, Group


def examples(preparation: Preparation, rows: Rows) -> Examples:
    """Encode N rows and their target; images of mixed sizes come as groups of one size.

    Raises:
        Refusal: a class that no train row has, or an image of a size that the model can't take.
    """
    target = encode_target(preparation, rows)
    if preparation.image is None:
        return Examples(raw=encode(preparation, rows), target=target)
    groups = image_groups(preparation, rows)
    return Examples(raw=tuple(Group(index=group.index, raw=(group.pixels,)) for group in groups), target=target)


def few(examples: Examples, *, rows: int) -> tuple[Tensor, ...]:
    """Return the raw tensors of the first rows, of one shape, to trace a model with."""
    return tuple(torch.from_numpy(np.ascontiguousarray(part[:rows])) for part in examples.groups()[0].raw)
