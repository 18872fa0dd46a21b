"""A Preparation as a torch module: raw tensors in, features out. It has no weights.

N rows, F number columns, Q quantiles, C category columns or channels, H x W pixels.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.preparing.preparation import ImageColumn, NumberColumn, Preparation

FAR: Final = 1e15  # beyond, float32 would overflow where a network squares, and its answer be NaN
HUGE: Final = 1e300  # beyond, float64 would


class PrepareTable(nn.Module):
    """Numbers float64 [N, F] (NaN: missing) and codes int64 [N, C] to features float32 [N, D] and codes."""

    def __init__(self, columns: tuple[NumberColumn, ...]) -> None:
        super().__init__()
        self.mapped = any(column.quantiles for column in columns)
        self.flagged = [i for i, column in enumerate(columns) if column.flag]
        self.width = len(columns) + len(self.flagged)
        self._constant("fill", [column.fill for column in columns])
        self._constant("center", [column.center for column in columns])
        self._constant("scale", [column.scale or 1.0 for column in columns])
        if self.mapped:
            self.steps = QuantileMap(columns)

    def _constant(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Fill, map, standardise in float64; then say in float32, with a flag per column that asks for one."""
        missing = torch.isnan(numbers)
        filled = torch.where(missing, self.get_buffer("fill"), numbers)
        mapped = self.steps(filled) if self.mapped else filled
        standardised = (mapped - self.get_buffer("center")) / self.get_buffer("scale")
        features = standardised.clamp(-FAR, FAR).to(torch.float32)
        if self.flagged:
            features = torch.cat([features, missing[:, self.flagged].to(torch.float32)], dim=1)
        return features, codes


class QuantileMap(nn.Module):
    """Each column's rank among its quantiles, piecewise-linear from -1 to 1; columns without any as they are.

    Written as a sum of clamped ramps, one between two neighbouring quantiles: no search, so it exports anywhere.
    """

    def __init__(self, columns: tuple[NumberColumn, ...]) -> None:
        super().__init__()
        ramps = max(len(column.quantiles) for column in columns) - 1
        start, slope, rise = (torch.zeros(len(columns), max(ramps, 1), dtype=torch.float64) for _ in range(3))
        for i, column in enumerate(columns):
            knots = torch.tensor(column.quantiles, dtype=torch.float64)
            n = len(knots) - 1
            if n > 0:
                start[i, :n], slope[i, :n], rise[i, :n] = knots[:-1], 1 / (knots[1:] - knots[:-1]), 2 / n
        slope.clamp_(max=HUGE)
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("slope", slope, persistent=False)
        self.register_buffer("rise", rise, persistent=False)
        plain = torch.tensor([len(column.quantiles) == 0 for column in columns])
        self.register_buffer("plain", plain, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """[N, F] to [N, F]."""
        beyond = (numbers.unsqueeze(2) - self.get_buffer("start")).clamp(-HUGE, HUGE)  # [N, F, Q-1]
        ramps = beyond * self.get_buffer("slope")
        ranks = (ramps.clamp(0, 1) * self.get_buffer("rise")).sum(dim=2) - 1  # [N, F]
        return torch.where(self.get_buffer("plain"), numbers, ranks)


class PrepareImage(nn.Module):
    """Pixels uint8 [N, H, W, C] to features float32 [N, C, *size]."""

    def __init__(self, column: ImageColumn) -> None:
        super().__init__()
        self.resize = column.resize
        self.size = tuple(column.size)
        self.register_buffer("mean", torch.tensor(column.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(column.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """Resize where the column asks for it, then bring each channel to its train rows' scale."""
        image = pixels.permute(0, 3, 1, 2).to(torch.float32)  # [N, C, H, W]
        if self.resize:
            image = functional.interpolate(image, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        return ((image / 255 - self.get_buffer("mean")) / self.get_buffer("std"),)

    @property
    def black(self) -> Tensor:
        """What a pixel of 0 becomes, [C, 1, 1]."""
        return (-self.get_buffer("mean") / self.get_buffer("std"))[0]


def prepare(preparation: Preparation) -> PrepareTable | PrepareImage:
    """Return the module that does what the preparation says."""
    if preparation.image is not None:
        return PrepareImage(preparation.image)
    return PrepareTable(preparation.numbers)
