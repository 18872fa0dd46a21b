"""Learns from the train rows how raw values become features, and brings raw rows into a model's input form.

N rows, F number columns, C category columns or channels, H x W pixels.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from components.data.classes import in_order
from components.data.config import DataConfig, PrepareConfig
from components.data.images import Pixels, with_channels
from components.data.preparing.preparation import (
    CategoryColumn,
    ImageColumn,
    NumberColumn,
    Preparation,
    Ranks,
    Target,
)
from components.data.rows import Array, Rows
from components.errors import Problem, Refusal, refuse
from components.task import Task

QUANTILES: Final = 64
ROUNDING: Final = 1e-12  # of the largest value: what is closer counts as equal
TRUTH: Final = ("false", "true")  # the classes of a boolean target
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageGroup:
    """Images of one size, and which of the rows they are."""

    index: Index
    pixels: Pixels  # [n, H, W, C]


def fit(config: PrepareConfig, data: DataConfig, rows: Rows, *, task: Task) -> Preparation:
    """Learn the preparation from rows, which must be train rows only."""
    names = [name for name in data.columns if name != data.target]
    of = {kind: [n for n in names if data.columns[n] == kind] for kind in ("number", "boolean", "category", "image")}
    numbers = [n for n in names if data.columns[n] in ("number", "boolean")]
    return Preparation(
        target=_fit_target(data.target, rows[data.target], task, truth=data.columns[data.target] == "boolean"),
        numbers=tuple(_fit_number(n, rows[n], config, truth=n in of["boolean"]) for n in numbers),
        categories=tuple(_fit_category(n, rows[n], config) for n in of["category"]),
        image=_fit_image(of["image"][0], rows[of["image"][0]], config) if of["image"] else None,
        standard=config.numbers != "none",
    )


def encode(preparation: Preparation, rows: Rows) -> tuple[Array, ...]:
    """Return the model's raw tensors: numbers float64 [N, F], NaN where missing, and codes int64 [N, C].

    Either may have no columns. For images, which must be of one size, it is pixels uint8 [N, H, W, C] alone.
    """
    if preparation.image is not None:
        groups = image_groups(preparation, rows)
        if len(groups) > 1:
            raise ValueError("images of several sizes have no common tensor: use image_groups")
        return tuple(group.pixels for group in groups)
    numbers = np.empty((len(rows), len(preparation.numbers)), dtype=np.float64)
    for place, number in enumerate(preparation.numbers):
        numbers[:, place] = rows[number.name]
    codes = np.empty((len(rows), len(preparation.categories)), dtype=np.int64)
    for place, category in enumerate(preparation.categories):
        codes[:, place] = _codes(category, rows[category.name])
    return numbers, codes


def image_groups(preparation: Preparation, rows: Rows) -> list[ImageGroup]:
    """Return the images by size, sizes in the order of their first image, with the preparation's channels.

    Raises:
        Refusal: the model takes one size and resizes nothing, and there are images of another.
    """
    column = preparation.image
    if column is None:
        raise ValueError("the preparation has no image column")
    images = rows[column.name]
    places: dict[tuple[int, int], list[int]] = {}
    for row, image in enumerate(images):
        places.setdefault(image.shape[:2], []).append(row)
    odd = [size for size in places if not column.resize and size != tuple(column.size)]
    if odd:
        what = f"{sum(len(places[size]) for size in odd)} images are of another size, the first of {_size(odd[0])}"
        do = "set prepare.image_size, so that the model resizes every image"
        raise refuse(what, where=f"column '{column.name}'", allowed=_size(column.size), do=do)
    return [
        ImageGroup(index=np.array(of_size), pixels=_stack(images, of_size, column.channels))
        for of_size in places.values()
    ]


def encode_target(preparation: Preparation, rows: Rows) -> npt.NDArray[np.int64] | Floats:
    """Return the place of each row's class, or for a regression the raw value.

    Raises:
        Refusal: there are classes that no train row has.
    """
    target = preparation.target
    given = rows[target.name]
    if not target.classes:
        return given.astype(np.float64)
    codes = {name: code for code, name in enumerate(target.classes)}
    names = label_names(given, truth=set(codes) <= set(TRUTH))
    unseen = Counter(str(name) for name in names if name not in codes)
    if unseen:
        raise Refusal(
            Problem(
                what=f"the class '{name}' of {count} rows is in no train row",
                where=f"column '{target.name}'",
                allowed=", ".join(target.classes[:20]),
                do="add rows of it, or split by method: stratified",
            )
            for name, count in unseen.most_common(10)
        )
    return np.fromiter((codes[name] for name in names), dtype=np.int64, count=len(names))


def label_names(given: Array, *, truth: bool) -> npt.NDArray[np.object_]:
    """Return target values as names of classes: text as it is, whole numbers without a point, booleans as such."""
    if given.dtype == object:
        return given.astype(object)
    if truth:
        return np.array(TRUTH, dtype=object)[given.astype(np.int64)]
    distinct, inverse = np.unique(given.astype(np.float64), return_inverse=True)
    names = [str(int(value)) if float(value).is_integer() else repr(float(value)) for value in distinct]
    return np.array(names, dtype=object)[inverse]


def _fit_target(name: str, given: Array, task: Task, *, truth: bool) -> Target:
    if task == "classification":
        return Target(name=name, classes=in_order(set(label_names(given, truth=truth))))
    values = given.astype(np.float64)
    center, scale = _center_and_scale(values)
    return Target(name=name, center=center, scale=scale, span=_span(float(values.min()), float(values.max())))


def _fit_number(name: str, given: Array, config: PrepareConfig, *, truth: bool) -> NumberColumn:
    numbers = given.astype(np.float64)
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return NumberColumn(name=name, fill=0.0, center=0.0, scale=1.0)
    fill, flag = float(np.median(present)), len(present) < len(numbers)
    span = None if truth else _span(float(present.min()), float(present.max()))
    if config.numbers == "none":
        return NumberColumn(name=name, fill=fill, center=0.0, scale=1.0, flag=flag, span=span)
    center, scale = _center_and_scale(present)
    ranks = _fit_ranks(present) if config.numbers == "quantile" and not truth else None
    return NumberColumn(name=name, fill=fill, center=center, scale=scale, flag=flag, ranks=ranks, span=span)


def _span(least: float, greatest: float) -> tuple[float, float] | None:
    """Return both, rounded outwards by a tenth of what lies between, at most: a released file holds no row's value."""
    width = greatest - least
    if not 1e-300 < width < 1e300:
        return None
    digits = 1 - math.floor(math.log10(width))
    step = 10.0**-digits
    return round(math.floor(least / step) * step, digits), round(math.ceil(greatest / step) * step, digits)


def _fit_ranks(present: Floats) -> Ranks | None:
    """Take the values at evenly spaced ranks, each one once; None where the values are equal up to rounding."""
    if np.ptp(present / max(float(np.abs(present).max()), 1e-300)) < ROUNDING:
        return None
    at = np.linspace(0, 1, min(QUANTILES, len(present)))
    distinct = np.unique(np.quantile(present, at, method="inverted_cdf"))
    if len(distinct) == 1:
        return None
    center, scale = _center_and_scale(np.interp(present, distinct, np.linspace(-1, 1, len(distinct))))
    return Ranks(quantiles=tuple(distinct.tolist()), center=center, scale=scale)


def _center_and_scale(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation; 1 for the latter where the values are equal up to rounding."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0:
        return 0.0, 1.0
    shares = values / largest  # so that squares of very large values stay finite
    center, scale = float(shares.mean()) * largest, float(shares.std()) * largest
    return center, scale if scale > ROUNDING * largest else 1.0


def _fit_category(name: str, given: Array, config: PrepareConfig) -> CategoryColumn:
    counts = Counter(given.tolist())
    gaps = counts.pop("", 0) > 0
    values = sorted(value for value, n in counts.items() if n >= config.min_category_rows)
    return CategoryColumn(name=name, values=tuple(values), gaps=gaps)


def _codes(column: CategoryColumn, given: Array) -> npt.NDArray[np.int64]:
    codes = {"": 1} | {value: code for code, value in enumerate(column.values, start=2)}
    return np.fromiter((codes.get(value, 0) for value in given), dtype=np.int64, count=len(given))


def _fit_image(name: str, images: Array, config: PrepareConfig) -> ImageColumn:
    sizes = Counter(tuple(image.shape[:2]) for image in images)
    if len(sizes) > 1 and config.image_size is None:
        common = ", ".join(
            f"{_size(size)} ({count} {'image' if count == 1 else 'images'})" for size, count in sizes.most_common(5)
        )
        what = f"the images have {len(sizes)} sizes: {common}{', ...' if len(sizes) > 5 else ''}"
        do = "set prepare.image_size to [height, width] in pixels"
        raise refuse(what, where=f"column '{name}'", do=do)
    channels = config.image_channels or (1 if all(image.shape[2] == 1 for image in images) else 3)
    mean, std = _brightness(images, channels)
    size = config.image_size or next(iter(sizes))
    return ImageColumn(
        name=name, channels=channels, size=size, resize=config.image_size is not None, mean=mean, std=std
    )


def _brightness(images: Array, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, 0 to 1, every image of the same weight."""
    moments = np.zeros((2, channels))
    for image in images:
        shares = with_channels(image, channels).reshape(-1, channels) / 255.0
        moments += (shares.mean(axis=0), (shares**2).mean(axis=0))
    mean, square = moments / max(len(images), 1)
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    return tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist())


def _stack(images: Array, places: list[int], channels: int) -> Pixels:
    if images.dtype != object and len(places) == len(images):
        return with_channels(images.astype(np.uint8, copy=False), channels)
    return np.stack([with_channels(images[place], channels) for place in places])


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} pixels"
