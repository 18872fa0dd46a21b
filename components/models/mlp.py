"""Fully connected networks.

N rows, D features, P waves of a feature, E values of its embedding, K outputs.
"""

from math import pi, prod

import torch
from torch import Tensor, nn

from components.models.config import MLP
from components.models.dropout import Dropout

WAVES = 16  # P
FREQUENCY = 0.2  # standard deviation of the first frequencies, in periods per standard deviation of the feature


class Waves(nn.Module):
    """Each feature beside `size` learned functions of it alone: a small layer over cosines of learned frequency.

    Source: Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556; with phases and the feature itself beside them
    as in Holzmueller et al. 2024, https://arxiv.org/abs/2407.04491.
    """

    def __init__(self, features: int, *, size: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.randn(features, WAVES) * FREQUENCY)
        self.phase = nn.Parameter((torch.rand(features, WAVES) * 2 - 1) * pi)
        self.mix = nn.Parameter((torch.rand(features, size, WAVES) * 2 - 1) / WAVES**0.5)
        self.bias = nn.Parameter(torch.zeros(features, size))

    def forward(self, features: Tensor) -> Tensor:
        """[N, D] to [N, D * (1 + E)]."""
        waves = torch.cos(2 * pi * self.frequency * features.unsqueeze(2) + self.phase)  # [N, D, P]
        mixed = (waves.unsqueeze(2) * self.mix).sum(dim=3) + self.bias  # [N, D, E]
        return torch.cat([features, torch.relu(mixed).flatten(1)], dim=1)


class Layer(nn.Module):
    """A hidden layer beside a shortcut."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.relu = nn.ReLU()
        self.dropout = Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, width] to the same."""
        output: Tensor = hidden + self.linear(self.dropout(self.relu(hidden)))
        return output


class Perceptron(nn.Module):
    """Hidden layers beside a linear path from the features to the output.

    Both begin at zero, so that what comes first is the linear part, and a small table isn't overfitted at once.
    """

    def __init__(self, config: MLP, *, features: int, outputs: int, waves: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.waves = Waves(features, size=waves) if waves else nn.Identity()
        self.first = nn.Linear(features * (1 + waves), config.width)
        self.layers = nn.Sequential(*(Layer(config.width, dropout=config.dropout) for _ in range(config.depth - 1)))
        self.last = nn.Sequential(nn.ReLU(), Dropout(config.dropout))
        self.output = nn.Linear(config.width, outputs)
        self.skip = nn.Linear(features, outputs, bias=False)
        for weight in (self.output.weight, self.output.bias, self.skip.weight):
            nn.init.zeros_(weight)

    def forward(self, features: Tensor) -> Tensor:
        """[N, ...] to [N, K]."""
        flat = self.flatten(features)  # [N, D]
        output: Tensor = self.output(self.last(self.layers(self.first(self.waves(flat))))) + self.skip(flat)
        return output


def mlp(config: MLP, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a network from rows of the shape to the outputs."""
    waves = config.waves if len(shape) == 1 else 0
    return Perceptron(config, features=prod(shape), outputs=outputs, waves=waves)
