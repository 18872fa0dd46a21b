"""Examples: raw rows with their targets, and the same as features on the device, indexed by batch.

N rows, n rows of one shape, B rows of a batch.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.data.preparing.preparation import Target
from components.errors import refuse
from components.models.model import Model
from components.training.device import seed_of

Array = npt.NDArray[np.generic]
CHUNK_ROWS: Final = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Raw tensors of rows whose shapes agree, and the places [n] of those rows among all."""

    index: Array
    raw: tuple[Array, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Raw rows and their target [N]: int64 class indices, or float64 values in their own units.

    `raw` is the model's raw tensors of all rows, or groups of rows where images differ in size.
    """

    raw: tuple[Array, ...] | tuple[Group, ...]
    target: Array

    def __len__(self) -> int:
        return len(self.target)

    def groups(self) -> list[Group]:
        """The rows as groups, whichever way they came."""
        groups = [part for part in self.raw if isinstance(part, Group)]
        arrays = tuple(part for part in self.raw if not isinstance(part, Group))
        return groups or [Group(index=np.arange(len(self)), raw=arrays)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Features of all rows and their target, int64 or standardised float32, on one device.

    Images lie channels-last in memory where asked, and stay so when indexed.
    """

    features: tuple[Tensor, ...]
    target: Tensor
    channels_last: bool = False

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return features and target of the rows [B]."""
        return tuple(self._rows(feature, rows) for feature in self.features), self.target.index_select(0, rows)

    def _rows(self, feature: Tensor, rows: Tensor) -> Tensor:
        if self.channels_last and feature.ndim == 4:
            return feature.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
        return feature.index_select(0, rows)


def dataset(examples: Examples, model: Model, target: Target, *, device: torch.device, channels_last: bool) -> Dataset:
    """Prepare the examples once, in chunks, on the device."""
    features: list[Tensor] = []
    for group in examples.groups():
        places = torch.from_numpy(np.asarray(group.index, dtype=np.int64)).to(device)
        for start in range(0, len(places), CHUNK_ROWS):
            chunk = _prepared(model, group, slice(start, start + CHUNK_ROWS), device=device)
            features = features or [_room(part, len(examples), channels_last=channels_last) for part in chunk]
            for room, part in zip(features, chunk, strict=True):
                room[places[start : start + CHUNK_ROWS]] = part
    return Dataset(
        features=tuple(features), target=_target(examples.target, target, device), channels_last=channels_last
    )


def _prepared(model: Model, group: Group, rows: slice, *, device: torch.device) -> tuple[Tensor, ...]:
    at = torch.device("cpu") if device.type == "mps" else device  # mps has no float64
    raw = [torch.from_numpy(np.ascontiguousarray(part[rows])).to(at) for part in group.raw]
    with torch.no_grad():
        return tuple(part.to(device) for part in model.prepare.to(at)(*raw))


def _room(part: Tensor, rows: int, *, channels_last: bool) -> Tensor:
    room = part.new_empty(rows, *part.shape[1:])
    return room.to(memory_format=torch.channels_last) if channels_last and room.ndim == 4 else room


def _target(values: Array, target: Target, device: torch.device) -> Tensor:
    if target.classes:
        return torch.from_numpy(np.asarray(values, dtype=np.int64)).to(device)
    standardised = (np.asarray(values, dtype=np.float64) - target.center) / target.scale
    return torch.from_numpy(standardised.astype(np.float32)).to(device)


def order(rows: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch takes the rows: a function of seed and epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(rows, generator=generator)


def batches(rows: int, size: int) -> list[tuple[int, int]]:
    """Cut an epoch into batches, each (first, behind the last). A last batch of one row joins the one before.

    Raises:
        Refusal: there is a single row, which batch normalisation can't learn from.
    """
    if rows < 2:
        raise refuse(f"train has {rows} row(s)", where="split", allowed="at least 2", do="give it more data")
    starts = list(range(0, rows, size))
    if size > 1 and rows - starts[-1] == 1 and len(starts) > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))


def steps_of_epoch(rows: int, *, size: int, accumulate: int) -> list[list[tuple[int, int]]]:
    """Join `accumulate` batches to each step, the last step having what is left."""
    parts = batches(rows, size)
    return [parts[start : start + accumulate] for start in range(0, len(parts), accumulate)]
