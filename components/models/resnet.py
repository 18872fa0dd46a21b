"""Residual networks (He et al. 2015, https://arxiv.org/abs/1512.03385, with the 3x3 stem of its section 4.2).

N rows, C channels, H x W pixels, K outputs.
"""

from torch import Tensor, nn

from components.models.config import ResNet


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; `stride` 2 halves the image."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
        self.relu = nn.ReLU()
        nn.init.zeros_(self.second_norm.weight)  # each block starts as its shortcut

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C', H / stride, W / stride]."""
        inner = self.relu(self.first_norm(self.first(image)))
        output: Tensor = self.relu(self.second_norm(self.second(inner)) + self.shortcut(image))
        return output


def resnet(config: ResNet, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a network from images [N, C, H, W] to outputs [N, K]."""
    channels = config.width
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]
    for stage, blocks in enumerate(config.blocks):
        for block in range(blocks):
            width, halve = config.width * 2**stage, stage > 0 and block == 0
            layers.append(Block(channels, width, stride=2 if halve else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
