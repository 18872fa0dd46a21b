"""Rows that nobody gave: drawn column by column from what a model's preparation knows, to try a release with.

They travel with a release, so no row of the data is copied; where a table has few combinations at all, one may be
drawn. Of a category with more than MANY values, which could be names of people, none is shown.
H x W pixels, C channels.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from components.data.config import ColumnKind
from components.data.images import Pixels
from components.data.preparing.preparation import CategoryColumn, ImageColumn, NumberColumn, Preparation
from components.data.preparing.prepare import Floats
from components.data.rows import Array, Rows

BLOCKS: Final = 8  # patches of an image, from side to side
MANY: Final = 50  # values of a category
LARGER: Final = 1.5  # sides of every second image, where the model resizes


def invented(preparation: Preparation, kinds: Mapping[str, ColumnKind], *, count: int, seed: int) -> Rows:
    """Return raw rows without the target, at least two.

    The first is whole; in one of the others each column misses its value, if any train row did.
    """
    chance = np.random.default_rng(seed)
    if preparation.image is not None:
        return Rows(columns={preparation.image.name: _images(preparation.image, count, chance)})
    columns: dict[str, Array] = {}
    for place, number in enumerate(preparation.numbers):
        drawn = _truths(count, chance) if kinds[number.name] == "boolean" else _numbers(number, count, chance)
        if number.flag:
            drawn[_gap(place, count)] = np.nan
        columns[number.name] = drawn
    for place, category in enumerate(preparation.categories, start=len(columns)):
        columns[category.name] = _names(category, count, chance)
        if category.gaps:
            columns[category.name][_gap(place, count)] = ""
    return Rows(columns=columns)


def _gap(place: int, count: int) -> int:
    return 1 + place % (count - 1)


def _numbers(column: NumberColumn, count: int, chance: np.random.Generator) -> Floats:
    """Draw between the quantiles, or around the median, to three digits of the spread, within the train rows' span.

    Where the ends of that and the median are whole, so are the numbers that are drawn.
    """
    if column.ranks is not None:
        known = column.ranks.quantiles
        spread = known[-1] - known[0]
        drawn = np.interp(chance.uniform(0, len(known) - 1, count), np.arange(len(known)), known)
    else:
        spread = column.scale
        drawn = column.fill + spread * chance.standard_normal(count)
    if not 1e-290 < spread < 1e290:  # so many digits that they can't be counted
        return np.full(count, column.fill)
    low, high = column.span or (-np.inf, np.inf)
    whole = all(float(known).is_integer() for known in (low, column.fill, high))
    rounded: Floats = np.round(drawn, 0 if whole else 2 - int(np.floor(np.log10(spread))))
    return rounded.clip(low, high)


def _truths(count: int, chance: np.random.Generator) -> Floats:
    return chance.permutation(np.arange(count) % 2).astype(np.float64)


def _names(column: CategoryColumn, count: int, chance: np.random.Generator) -> Array:
    """Draw known values, no one more often than needed; a column that knows none misses all of its own."""
    shown = column.values if len(column.values) <= MANY else ("something new",)
    names = np.array(shown or ("",), dtype=object)
    return np.resize(chance.permutation(names), count)


def _images(column: ImageColumn, count: int, chance: np.random.Generator) -> Array:
    """Draw patchworks as bright as the images that the model knows."""
    images = np.empty(count, dtype=object)
    for place in range(count):
        factor = LARGER if column.resize and place % 2 else 1.0
        height, width = (round(side * factor) for side in column.size)
        images[place] = _patchwork(column, height, width, chance)
    return images


def _patchwork(column: ImageColumn, height: int, width: int, chance: np.random.Generator) -> Pixels:
    """Return pixels [H, W, C] of a few flat patches, which a PNG file holds in few bytes."""
    shares = chance.normal(column.mean, column.std, size=(BLOCKS, BLOCKS, column.channels))
    rows, columns = (np.arange(side) * BLOCKS // side for side in (height, width))
    patches = shares[rows][:, columns]
    return (np.clip(patches, 0, 1) * 255).astype(np.uint8)
