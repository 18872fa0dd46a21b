"""Fully connected networks.

N rows, D features, K outputs.
"""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from components.models.config import MLP


class Perceptron(nn.Module):
    """Hidden layers beside a linear path from the features to the output, so it starts as good as a linear model."""

    def __init__(self, config: MLP, *, features: int, outputs: int) -> None:
        super().__init__()
        widths = [features] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(config.dropout)]
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(config.width, outputs)
        self.skip = nn.Linear(features, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """[N, ...] to [N, K]."""
        flat = self.flatten(features)  # [N, D]
        output: Tensor = self.output(self.hidden(flat)) + self.skip(flat)
        return output


def mlp(config: MLP, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a network from rows of the shape to the outputs."""
    return Perceptron(config, features=prod(shape), outputs=outputs)
