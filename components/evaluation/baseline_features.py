"""Features of the simple models, made of what the preparation knows.

N rows, F features, C channels, H x W pixels.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.data.preparing.preparation import ImageColumn, Preparation
from components.data.preparing.prepare import encode, image_groups
from components.data.rows import Rows

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Features = Callable[[Rows], Floats]  # to [N, F]

SIDE: Final = 32  # pixels: larger images are averaged down to it
OWN: Final = 250  # categories of a column that are told apart; rarer ones count as unknown


def width(preparation: Preparation) -> int:
    """Return the number of features of a linear model, at most."""
    if preparation.image is not None:
        height, across = _small(preparation.image)
        return height * across * preparation.image.channels
    return 2 * len(preparation.numbers) + sum(min(c.codes, OWN) for c in preparation.categories)


def is_reduced(preparation: Preparation) -> bool:
    """Say whether the linear model sees smaller images than the network."""
    return preparation.image is not None and _small(preparation.image) != tuple(preparation.image.size)


def linear_features(preparation: Preparation, seen: Rows) -> Features:
    """Return what makes features of a linear model: pixels; or standardised numbers and one-hot categories.

    Missing numbers take the preparation's value, and say so in a feature of their own where train rows lack any.
    """
    if preparation.image is not None:
        column = preparation.image
        return lambda rows: _pixels(preparation, column, rows)
    numbers, codes = _table(preparation, seen)
    fill = np.array([number.fill for number in preparation.numbers])
    flagged = np.isnan(numbers).any(axis=0)
    filled = np.where(np.isnan(numbers), fill, numbers)
    largest = np.maximum(np.abs(filled).max(axis=0, initial=0), 1e-300)  # so that no square overflows
    center, scale = (filled / largest).mean(axis=0), (filled / largest).std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    places = _places(preparation, codes)

    def features(rows: Rows) -> Floats:
        numbers, codes = _table(preparation, rows)
        missing = np.isnan(numbers)
        standard = (np.where(missing, fill, numbers) / largest - center) / scale
        one_hot = [np.eye(int(place.max()) + 1)[place[codes[:, c]]] for c, place in enumerate(places)]
        return np.concatenate([standard, missing[:, flagged].astype(np.float64), *one_hot], axis=1)

    return features


def boosted_features(preparation: Preparation, seen: Rows) -> Features:
    """Return what makes features of gradient boosting: numbers as they are, NaN where missing, and category codes."""
    values, codes = _table(preparation, seen)
    places, empty = _places(preparation, codes), np.isnan(values).all(axis=0)  # scikit-learn can't bin no value

    def features(rows: Rows) -> Floats:
        numbers, codes = _table(preparation, rows)
        numbers[:, empty] = 0.0
        own = [place[codes[:, c]][:, None].astype(np.float64) for c, place in enumerate(places)]
        return np.concatenate([numbers, *own], axis=1)

    return features


def _table(preparation: Preparation, rows: Rows) -> tuple[Floats, Integers]:
    numbers, codes = encode(preparation, rows)
    return numbers.astype(np.float64), codes.astype(np.int64)


def _places(preparation: Preparation, codes: Integers) -> list[Integers]:
    """Return, for each category column, the place of each code: from 1 the most frequent ones, 0 for all others."""
    places = []
    for column, category in enumerate(preparation.categories):
        counts = np.bincount(codes[:, column], minlength=category.codes)
        frequent = np.argsort(-counts, kind="stable")[: OWN - 1]
        place = np.zeros(category.codes, dtype=np.int64)
        place[frequent] = np.where(counts[frequent] > 0, np.arange(1, len(frequent) + 1), 0)
        places.append(place)
    return places


def _pixels(preparation: Preparation, column: ImageColumn, rows: Rows) -> Floats:
    """Return the pixels of every image at the size that the network sees, or smaller, normalised by channel."""
    height, across = _small(column)
    flat = np.empty((len(rows), height * across * column.channels))
    mean, std = np.array(column.mean), np.array(column.std)
    for group in image_groups(preparation, rows):
        pixels = group.pixels
        if pixels.shape[1:3] != (height, across):
            pixels = np.stack([_resized(image, height, across) for image in pixels])
        flat[group.index] = ((pixels / 255 - mean) / std).reshape(len(pixels), -1)
    return flat


def _resized(image: npt.NDArray[np.uint8], height: int, across: int) -> npt.NDArray[np.uint8]:
    layers = [
        Image.fromarray(image[:, :, channel]).resize((across, height), Image.Resampling.BILINEAR)
        for channel in range(image.shape[2])
    ]
    return np.stack([np.asarray(layer) for layer in layers], axis=2)


def _small(column: ImageColumn) -> tuple[int, int]:
    return min(column.size[0], SIDE), min(column.size[1], SIDE)
