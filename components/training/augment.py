"""Random changes to a batch of train images, on their device, drawn from torch's global generator.

N rows, C channels, H x W pixels.
"""

from math import radians

import torch
from torch import Tensor
from torch.nn import functional

from components.training.config import Augment


def augment(config: Augment, images: Tensor, *, black: Tensor) -> Tensor:
    """Return the images [N, C, H, W] rotated, cropped and flipped as the config says; `black` [C, 1, 1] fills gaps."""
    if config == Augment() or not len(images):
        return images
    images = images - black  # so that what lies outside is 0
    if config.rotate_degrees:
        images = rotate(images, degrees=config.rotate_degrees)
    if config.crop_pixels:
        images = crop(images, pixels=config.crop_pixels)
    if config.flip:
        images = flip(images)
    return images + black


def flip(images: Tensor) -> Tensor:
    """Turn half of the images left to right."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


def crop(images: Tensor, *, pixels: int) -> Tensor:
    """Pad by so many pixels of 0 and cut out each image at a random place: a shift by up to so many pixels."""
    rows, _, height, width = images.shape
    padded = functional.pad(images, [pixels] * 4)
    down, right = torch.randint(0, 2 * pixels + 1, (2, rows), device=images.device)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, 2p+1, 2p+1, H, W], a view
    return windows[torch.arange(rows, device=images.device), :, down, right]


def rotate(images: Tensor, *, degrees: float) -> Tensor:
    """Rotate each image about its centre by an angle drawn from minus to plus so many degrees."""
    height, width = images.shape[2:]
    angle = (torch.rand(len(images), device=images.device) * 2 - 1) * radians(degrees)
    sine, cosine, none = torch.sin(angle), torch.cos(angle), torch.zeros_like(angle)
    upper = torch.stack([cosine, -sine * (height / width), none], dim=1)
    lower = torch.stack([sine * (width / height), cosine, none], dim=1)
    grid = functional.affine_grid(torch.stack([upper, lower], dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
