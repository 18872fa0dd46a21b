"""A Preparation as a torch module: raw tensors in, features out. It has no weights.

N rows, F number columns, R of which have ranks, Q quantiles, C category columns or channels, H x W pixels.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.data.preparing.preparation import ImageColumn, NumberColumn, Preparation, Ranks

FAR: Final = 1e15  # beyond, float32 would overflow where a network squares, and its answer be NaN
HUGE: Final = 1e300  # beyond, float64 would


class PrepareTable(nn.Module):
    """Numbers float64 [N, F] (NaN: missing) and codes int64 [N, C] to features float32 [N, D] and codes.

    The features are all numbers, standardised, then ranks and flags of the columns that have them. What lies further
    outside the train rows' span than the span is wide counts as that far: standardised, unless `bounded` is False.
    """

    def __init__(self, columns: tuple[NumberColumn, ...], *, bounded: bool = True) -> None:
        super().__init__()
        self.flagged = [i for i, column in enumerate(columns) if column.flag]
        self.ranked = [i for i, column in enumerate(columns) if column.ranks]
        self.width = sum(column.features for column in columns)
        spans = [column.span if bounded and column.span else (-HUGE, HUGE) for column in columns]
        for name, values in {
            "fill": [column.fill for column in columns],
            "center": [column.center for column in columns],
            "scale": [column.scale or 1.0 for column in columns],
            "least": [2 * least - greatest for least, greatest in spans],
            "greatest": [2 * greatest - least for least, greatest in spans],
        }.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)
        self.ranks = RankMap(tuple(column.ranks for column in columns if column.ranks))

    def forward(self, numbers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Fill, bound, standardise and rank in float64; then say in float32."""
        missing = torch.isnan(numbers)
        filled = torch.where(missing, self.get_buffer("fill"), numbers)
        bounded = torch.minimum(torch.maximum(filled, self.get_buffer("least")), self.get_buffer("greatest"))
        standardised = (bounded - self.get_buffer("center")) / self.get_buffer("scale")
        features = [standardised.clamp(-FAR, FAR)]
        if self.ranked:
            features.append(self.ranks(filled[:, self.ranked]))
        if self.flagged:
            features.append(missing[:, self.flagged])
        return torch.cat([each.to(torch.float32) for each in features], dim=1), codes


class RankMap(nn.Module):
    """Each number's rank among its column's quantiles, -1 to 1, standardised.

    Written as a sum of clamped ramps, one between two neighbouring quantiles: no search, so it exports anywhere.
    """

    def __init__(self, columns: tuple[Ranks, ...]) -> None:
        super().__init__()
        ramps = max((len(column.quantiles) for column in columns), default=1) - 1
        start, slope, rise = (torch.zeros(len(columns), ramps, dtype=torch.float64) for _ in range(3))
        for i, column in enumerate(columns):
            knots = torch.tensor(column.quantiles, dtype=torch.float64)
            n = len(knots) - 1
            start[i, :n], slope[i, :n], rise[i, :n] = knots[:-1], 1 / (knots[1:] - knots[:-1]), 2 / n
        self.register_buffer("start", start, persistent=False)
        self.register_buffer("slope", slope.clamp(max=HUGE), persistent=False)
        self.register_buffer("rise", rise, persistent=False)
        for name in ("center", "scale"):
            values = torch.tensor([getattr(column, name) for column in columns], dtype=torch.float64)
            self.register_buffer(name, values, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """[N, R] to [N, R]."""
        beyond = (numbers.unsqueeze(2) - self.get_buffer("start")).clamp(-HUGE, HUGE)  # [N, R, Q-1]
        ramps = beyond * self.get_buffer("slope")
        ranks: Tensor = (ramps.clamp(0, 1) * self.get_buffer("rise")).sum(dim=2) - 1
        return (ranks - self.get_buffer("center")) / self.get_buffer("scale")


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
    return PrepareTable(preparation.numbers, bounded=preparation.standard)
