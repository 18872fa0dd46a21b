"""The linear part of a network for tables.

N rows, F' numbers with their flags, C categories, K outputs.
"""

import torch
from torch import Tensor, nn


class LinearPath(nn.Module):
    """A linear model of the numbers' features, and of each category as a column of its own. It begins at zero.

    Sums, no layer: pruning leaves it whole, and quantization leaves it in floats.
    """

    def __init__(self, numbers: int, codes: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, numbers))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.offsets = nn.ModuleList(nn.Embedding(count, outputs) for count in codes)
        for offset in self.offsets:
            for weight in offset.parameters():
                nn.init.zeros_(weight)
        self.requires_grad_(False)  # it is fitted on its own: components.training.linear_start

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """[N, F'] and [N, C] to [N, K]."""
        output = self.bias + (numbers.unsqueeze(1) * self.weight).sum(dim=2)
        for i, offset in enumerate(self.offsets):
            output = output + offset(codes[:, i])
        return output
