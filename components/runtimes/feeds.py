"""Rows as a runtime wants them: batches of feeds by input name, images of mixed sizes grouped and put back in order.

N rows, H x W pixels, C channels, K outputs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import encode, image_groups
from components.data.rows import Array, Rows
from components.models.names import CODES, IMAGE, NUMBERS, PIXELS, core_inputs

Index = npt.NDArray[np.intp]
Output = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Feeds of some rows, and which rows of the whole they are."""

    index: Index
    feeds: dict[str, Array]


class Session(Protocol):
    """Whatever answers feeds."""

    def run(self, feeds: Mapping[str, Array]) -> Output:
        """Return the model's output [N, K] for one batch."""
        ...


def batches(preparation: Preparation, rows: Rows, *, batch_size: int) -> Iterator[Batch]:
    """Yield the rows as feeds of the released graph: raw columns, or images of one size at a time."""
    if preparation.image is not None:
        yield from _image_batches(preparation, rows, batch_size=batch_size, name=IMAGE)
        return
    for index in _slices(np.arange(len(rows)), batch_size):
        yield Batch(index=index, feeds=raw_feeds(preparation, rows.take(index)))


def core_batches(preparation: Preparation, rows: Rows, *, batch_size: int) -> Iterator[Batch]:
    """Yield the rows as feeds of the core graph, for calibration and for errors by layer."""
    if preparation.image is not None:
        yield from _image_batches(preparation, rows, batch_size=batch_size, name=PIXELS)
        return
    for index in _slices(np.arange(len(rows)), batch_size):
        numbers, codes = encode(preparation, rows.take(index))
        tensors = {NUMBERS: numbers, CODES: codes}
        yield Batch(index=index, feeds={name: tensors[name] for name in core_inputs(preparation)})


def raw_feeds(preparation: Preparation, rows: Rows) -> dict[str, Array]:
    """Return all rows of a table as feeds of the released graph: float64 or str objects [N, 1] by column."""
    numbers = {c.name: rows[c.name].astype(np.float64).reshape(-1, 1) for c in preparation.numbers}
    strings = {c.name: rows[c.name].astype(object).reshape(-1, 1) for c in preparation.categories}
    return {**numbers, **strings}


def predict(session: Session, preparation: Preparation, rows: Rows, *, batch_size: int = 256) -> Output:
    """Return the released graph's output [N, K] for the rows, in their order."""
    return answers(session.run, batches(preparation, rows, batch_size=batch_size), rows=len(rows))


def answers(run: Callable[[Mapping[str, Array]], Output], given: Iterable[Batch], *, rows: int) -> Output:
    """Run each batch, and return the outputs [N, K] in the order of the rows."""
    outputs, places = [], []
    for batch in given:
        outputs.append(run(batch.feeds))
        places.append(batch.index)
    joined = np.concatenate(outputs) if outputs else np.zeros((rows, 1), dtype=np.float32)
    result = np.empty_like(joined)
    result[np.concatenate(places) if places else slice(0)] = joined
    return result


def repeated(preparation: Preparation, rows: Rows, *, batch_size: int) -> dict[str, Array]:
    """Return one batch of exactly this size for timing: of real rows, over and over where there are fewer.

    Of images with mixed sizes, the size that most rows have is taken.
    """
    if preparation.image is not None:
        rows = rows.take(max(image_groups(preparation, rows), key=lambda group: len(group.index)).index)
    wanted = rows.take(np.resize(np.arange(len(rows)), batch_size))
    return next(iter(batches(preparation, wanted, batch_size=batch_size))).feeds


def _image_batches(preparation: Preparation, rows: Rows, *, batch_size: int, name: str) -> Iterator[Batch]:
    for group in image_groups(preparation, rows):
        for places in _slices(np.arange(len(group.index)), batch_size):
            yield Batch(index=group.index[places], feeds={name: group.pixels[places]})


def _slices(index: Index, size: int) -> Iterator[Index]:
    for start in range(0, len(index), size):
        yield index[start : start + size]
