"""Small preparations and raw rows that the tests of models and of training share."""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.data.preparing.preparation import (
    CategoryColumn,
    ImageColumn,
    NumberColumn,
    Preparation,
    Ranks,
    Target,
)
from components.models.config import CNN, MLP, Network, ResNet
from components.models.model import ModelSpec

CLASSES: Final = Target(name="kind", classes=("a", "b", "c"))
VALUE: Final = Target(name="price", center=100.0, scale=20.0)

TABLE: Final = Preparation(
    target=CLASSES,
    numbers=(
        NumberColumn(name="x", fill=1.0, center=1.0, scale=2.0, flag=True),
        NumberColumn(
            name="y",
            fill=0.0,
            center=0.5,
            scale=3.0,
            ranks=Ranks(quantiles=(-2.0, 0.0, 1.0, 10.0), center=0.0, scale=0.5),
            span=(-2.0, 10.0),
        ),
        NumberColumn(name="z", fill=0.0, center=0.0, scale=1.0),
    ),
    categories=(
        CategoryColumn(name="colour", values=("blue", "red")),
        CategoryColumn(name="city", values=tuple("abcdefghij")),
    ),
)
IMAGE: Final = Preparation(
    target=CLASSES,
    image=ImageColumn(name="image", channels=1, size=(8, 8), resize=False, mean=(0.4,), std=(0.3,)),
)
SMALL: Final[dict[str, Network]] = {
    "mlp": MLP(width=8, depth=2),
    "cnn": CNN(width=4, stages=2),
    "resnet": ResNet(width=4, blocks=(1, 1)),
}


def spec(network: Network, *, target: Target = CLASSES) -> ModelSpec:
    """Return a spec: images for the convolutional families, else a table."""
    base = TABLE if network.family in ("mlp", "custom") else IMAGE
    preparation = Preparation(target=target, numbers=base.numbers, categories=base.categories, image=base.image)
    return ModelSpec(
        task="classification" if target.classes else "regression", network=network, preparation=preparation
    )


def raw(preparation: Preparation, *, rows: int, seed: int = 0) -> tuple[npt.NDArray[np.generic], ...]:
    """Return random raw arrays, with missing numbers among them."""
    rng = np.random.default_rng(seed)
    if preparation.image is not None:
        return (rng.integers(0, 256, (rows, *preparation.image.size, preparation.image.channels), dtype=np.uint8),)
    numbers = rng.normal(1, 3, (rows, len(preparation.numbers)))
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    codes = [rng.integers(0, column.codes, rows) for column in preparation.categories]
    return numbers, np.stack(codes, axis=1) if codes else np.zeros((rows, 0), dtype=np.int64)


def tensors(preparation: Preparation, *, rows: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Return the same as tensors."""
    return tuple(torch.from_numpy(part) for part in raw(preparation, rows=rows, seed=seed))
