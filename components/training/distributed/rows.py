"""A Dataset as files that several processes map into memory: one copy for all of them.

N rows, C channels, H x W pixels.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.training.examples import Dataset


def write_rows(rows: Dataset, folder: Path) -> None:
    """Write features and target as .npy files; images as they lie in memory."""
    folder.mkdir(parents=True)
    for number, feature in enumerate(rows.features):
        lying = feature.permute(0, 2, 3, 1) if _is_lying(feature, rows.channels_last) else feature
        np.save(folder / f"feature.{number}.npy", lying.numpy(), allow_pickle=False)
    np.save(folder / "target.npy", rows.target.numpy(), allow_pickle=False)


def map_rows(folder: Path, *, device: torch.device, channels_last: bool) -> Dataset:
    """Return what `write_rows` wrote: on the CPU mapped, on another device copied there."""
    features = [_mapped(folder / f"feature.{number}.npy") for number in range(len(list(folder.glob("feature.*"))))]
    standing = [part.permute(0, 3, 1, 2) if _is_lying(part, channels_last) else part for part in features]
    target = _mapped(folder / "target.npy").to(device)
    return Dataset(features=tuple(part.to(device) for part in standing), target=target, channels_last=channels_last)


def _is_lying(feature: Tensor, channels_last: bool) -> bool:
    return channels_last and feature.ndim == 4


def _mapped(file: Path) -> Tensor:
    return torch.from_numpy(np.load(file, mmap_mode="c", allow_pickle=False))  # c: pages are shared until written to
