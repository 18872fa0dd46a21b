"""The networks that a recipe can name, with their knobs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from components.rules import Breach, Ruled, breach

# What makes a network too large for a machine is told by its weights; of too many layers even that would take forever.
MOST_LAYERS: Final = 1000
MOST_STAGES: Final = 12  # each doubles the channels


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
        if not 1 <= self.depth <= MOST_LAYERS:
            yield breach(f"depth is 1 to {MOST_LAYERS}", "depth")
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
        if not 1 <= self.stages <= MOST_STAGES:
            yield breach(f"stages is 1 to {MOST_STAGES}", "stages")
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
        if not 1 <= len(self.blocks) <= MOST_STAGES or not all(1 <= count <= MOST_LAYERS for count in self.blocks):
            yield breach(f"blocks is a list of 1 to {MOST_STAGES} numbers, each 1 to {MOST_LAYERS}", "blocks")


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
