"""Small convolutional networks.

N rows, C channels, H x W pixels, K outputs.
"""

from torch import nn

from components.models.config import CNN
from components.models.dropout import Dropout


def cnn(config: CNN, *, shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Return a network from images [N, C, H, W] to outputs [N, K]."""
    channels, side = shape[0], min(shape[1:])
    layers: list[nn.Module] = []
    for stage in range(config.stages):
        width = config.width * 2**stage
        if stage and side >= 2:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        layers += [*_convolution(channels, width), *_convolution(width, width)]
        channels = width
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(config.dropout), nn.Linear(channels, outputs)
    )


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
