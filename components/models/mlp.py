"""Fully connected networks.

N rows, D features, P waves of a feature, E values of its embedding, M members, K outputs.
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
    """Hidden layers. The output begins at zero, so that a small table isn't overfitted at once.

    Members share the layers. Each sees the features with weights of its own, which begin as random signs, and has an
    output of its own. In training they answer one by one, so that each learns alone; then with their mean.
    Source: Gorishniy et al. 2024, TabM-mini, https://arxiv.org/abs/2410.24210
    """

    def __init__(self, config: MLP, *, features: int, outputs: int, waves: int) -> None:
        super().__init__()
        self.members, self.outputs = config.members, outputs
        self.flatten = nn.Flatten()
        self.waves = Waves(features, size=waves) if waves else nn.Identity()
        inputs = features * (1 + waves)
        if self.members > 1:
            self.signs = nn.Parameter(torch.randint(2, (self.members, inputs)) * 2.0 - 1)
            self.register_buffer("own", torch.eye(self.members).unsqueeze(2), persistent=False)
        self.first = nn.Linear(inputs, config.width)
        self.layers = nn.Sequential(*(Layer(config.width, dropout=config.dropout) for _ in range(config.depth - 1)))
        self.last = nn.Sequential(nn.ReLU(), Dropout(config.dropout))
        self.output = nn.Linear(config.width, self.members * outputs)
        for weight in self.output.parameters():
            nn.init.zeros_(weight)

    def forward(self, features: Tensor) -> Tensor:
        """[N, ...] to [N, K], or with several members in training to [N, M, K]."""
        seen = self.waves(self.flatten(features))  # [N, D]
        if self.members == 1:
            return self._outputs(seen)
        answers = self._outputs((seen.unsqueeze(1) * self.signs).flatten(0, 1))  # [N * M, M * K]: each with all outputs
        apart = answers.reshape(-1, self.members, self.members, self.outputs)  # [N, M, M, K]
        own = (apart * self.get_buffer("own")).sum(dim=2)
        return own if self.training else own.mean(dim=1)

    def _outputs(self, seen: Tensor) -> Tensor:
        outputs: Tensor = self.output(self.last(self.layers(self.first(seen))))
        return outputs


def mlp(config: MLP, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a network from rows of the shape to the outputs."""
    waves = config.waves if len(shape) == 1 else 0
    return Perceptron(config, features=prod(shape), outputs=outputs, waves=waves)
