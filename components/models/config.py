"""The networks that a recipe can name, with their knobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from components.rules import Breach, Ruled, breach


@dataclass(frozen=True, kw_only=True, slots=True)
class MLP(Ruled):
    """Fully connected layers, for tables (category columns get embeddings) and small images."""

    family: Literal["mlp"] = "mlp"
    width: int = 256  # units of each hidden layer
    depth: int = 3  # hidden layers
    dropout: float = 0.3
    waves: int = 2  # of tables: learned functions of each feature alone, beside the feature; 0: none
    members: int = 8  # networks that share their layers, and whose answers are averaged
    linear: bool = True  # of tables: a linear model beside the layers, fitted first, so that they learn what it lacks

    def _breaches(self) -> Iterator[Breach]:
        if self.width < 1:
            yield breach("width is at least 1", "width")
        if self.depth < 1:
            yield breach("depth is at least 1", "depth")
        if not 0 <= self.dropout < 1:
            yield breach("dropout is 0 or more and below 1", "dropout")
        if self.waves < 0:
            yield breach("waves is 0 or more", "waves")
        if self.members < 1:
            yield breach("members is at least 1", "members")


@dataclass(frozen=True, kw_only=True, slots=True)
class CNN(Ruled):
    """Stages of two 3x3 convolutions with batch normalisation, the image halved between stages, for small images."""

    family: Literal["cnn"] = "cnn"
    width: int = 32  # channels of the first stage, doubled by each further one
    stages: int = 3
    dropout: float = 0.1

    def _breaches(self) -> Iterator[Breach]:
        if self.width < 1:
            yield breach("width is at least 1", "width")
        if self.stages < 1:
            yield breach("stages is at least 1", "stages")
        if not 0 <= self.dropout < 1:
            yield breach("dropout is 0 or more and below 1", "dropout")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResNet(Ruled):
    """A residual network (He et al. 2015) with a 3x3 stem, for images of 32 pixels and more."""

    family: Literal["resnet"] = "resnet"
    width: int = 32  # channels of the first stage
    blocks: tuple[int, ...] = (2, 2, 2)  # residual blocks of each stage

    def _breaches(self) -> Iterator[Breach]:
        if self.width < 1:
            yield breach("width is at least 1", "width")
        if not self.blocks or min(self.blocks) < 1:
            yield breach("blocks is a list of numbers of at least 1", "blocks")


@dataclass(frozen=True, kw_only=True, slots=True)
class Custom(Ruled):
    """A user's own network, by import path `package.module:Name`; the package lies beside the recipe, or is installed.

    Called as `Name(shape, outputs, **options)`: `shape` of one row of features, (D,) for tables and (C, H, W)
    for images; it returns a torch module that maps [N, *shape] to [N, outputs].
    """

    family: Literal["custom"] = "custom"
    path: str
    options: dict[str, int | float | str | bool] = field(default_factory=dict)

    def _breaches(self) -> Iterator[Breach]:
        module, _, name = self.path.partition(":")
        if not module or not name.isidentifier():
            yield breach("path is of the form package.module:Name", "path")


Network = MLP | CNN | ResNet | Custom
