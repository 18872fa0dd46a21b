"""The networks that a recipe can name, with their knobs."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class MLP:
    """Fully connected layers, for tables (category columns get embeddings) and small images."""

    family: Literal["mlp"] = "mlp"
    width: int = 256  # units of each hidden layer
    depth: int = 3  # hidden layers
    dropout: float = 0.3
    waves: int = 2  # of tables: learned functions of each feature alone, beside the feature; 0: none
    members: int = 8  # networks that share their layers, and whose answers are averaged
    linear: bool = True  # of tables: a linear model beside the layers, fitted first, so that they learn what it lacks

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.members) < 1 or self.waves < 0 or not 0 <= self.dropout < 1:
            raise ValueError("width, depth and members are at least 1, waves 0 or more, dropout 0 or more and below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class CNN:
    """Stages of two 3x3 convolutions with batch normalisation, the image halved between stages, for small images."""

    family: Literal["cnn"] = "cnn"
    width: int = 32  # channels of the first stage, doubled by each further one
    stages: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or self.stages < 1 or not 0 <= self.dropout < 1:
            raise ValueError("width and stages are at least 1, dropout is 0 or more and below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNet:
    """A residual network (He et al. 2015) with a 3x3 stem, for images of 32 pixels and more."""

    family: Literal["resnet"] = "resnet"
    width: int = 32  # channels of the first stage
    blocks: tuple[int, ...] = (2, 2, 2)  # residual blocks of each stage

    def __post_init__(self) -> None:
        if self.width < 1 or not self.blocks or min(self.blocks) < 1:
            raise ValueError("width is at least 1, blocks is a list of numbers of at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Custom:
    """A user's own network, by import path `package.module:Name`; the package lies beside the recipe, or is installed.

    Called as `Name(shape, outputs, **options)`: `shape` of one row of features, (D,) for tables and (C, H, W)
    for images; it returns a torch module that maps [N, *shape] to [N, outputs].
    """

    family: Literal["custom"] = "custom"
    path: str
    options: dict[str, int | float | str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, _, name = self.path.partition(":")
        if not module or not name.isidentifier():
            raise ValueError(f"path is '{self.path}': allowed is package.module:Name")


Network = MLP | CNN | ResNet | Custom
