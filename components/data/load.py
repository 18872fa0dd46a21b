"""Reads rows of a packed data set into memory.

N rows, H x W pixels, C channels.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.data.card import read_card
from components.data.config import ColumnKind
from components.data.images import Pixels, Unreadable, decode, with_channels
from components.data.kinds import as_text
from components.data.parts import one_array, tables
from components.data.rows import Array, Rows
from components.errors import refuse


def load(folder: Path, index: npt.NDArray[np.int64] | None, columns: Mapping[str, ColumnKind]) -> Rows:
    """Return the rows whose numbers, from 0, are in the index, in its order; all of them for None.

    Columns of kind `ignore` aren't read. A column may be asked for as a `category` whatever its kind, and then
    comes as text: so a target of whole numbers gives the names of classes.

    Raises:
        Refusal: the data set is damaged, or a row beyond its end is asked for.
    """
    wanted = {name: kind for name, kind in columns.items() if kind != "ignore"}
    total = read_card(folder).rows
    if index is not None and len(index) and not 0 <= index.min() <= index.max() < total:
        raise refuse(f"row {index.max()} was asked for, the data set has {total}", where=str(folder))
    order = None if index is None else np.argsort(index, kind="stable")
    pieces: dict[str, list[Array]] = {name: [] for name in wanted}
    start = 0
    for table in tables(folder, list(wanted)):
        here = table if index is None or order is None else table.take(_within(index[order], start, len(table)))
        start += len(table)
        for name, kind in wanted.items():
            pieces[name].append(values(one_array(here, name), kind))
    return Rows(columns={name: _joined(pieces.pop(name), kind, order) for name, kind in wanted.items()})


def _within(rising: npt.NDArray[np.int64], start: int, length: int) -> pa.Array:
    first, last = np.searchsorted(rising, [start, start + length])
    return pa.array(rising[first:last] - start)


def values(column: pa.Array, kind: ColumnKind) -> Array:
    """Return a stored column as what `Rows` holds for the kind; images as an object array of [H, W, C]."""
    if kind == "image":
        return _objects([_decoded(value) for value in pc.struct_field(column, "bytes").to_pylist()])
    if kind in ("category", "ignore"):
        return _names(as_text(column))
    numbers: Array = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return numbers


def _names(text: pa.Array) -> Array:
    """Text as str objects, one object per distinct value, "" where missing."""
    encoded = text.dictionary_encode()
    distinct = _objects([*encoded.dictionary.to_pylist(), ""])
    codes: npt.NDArray[np.int64] = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return distinct[codes]


def _decoded(data: bytes) -> Pixels:
    try:
        return decode(data)
    except Unreadable as error:
        raise refuse(f"an image of the packed data set {error}", do="pack the data again") from None


def _objects(items: list[Pixels] | list[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def _joined(arrays: list[Array], kind: ColumnKind, order: npt.NDArray[np.intp] | None) -> Array:
    array = np.concatenate(arrays) if arrays else np.empty(0)
    if order is not None:
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        array = array[back]
    return _stacked(array) if kind == "image" else array


def _stacked(images: Array) -> Array:
    """Images of one size as one array [N, H, W, C]: grey unless one has colour. Of several sizes: as they are."""
    if len({image.shape[:2] for image in images}) != 1:
        return images
    channels = max(image.shape[2] for image in images)
    stacked = np.empty((len(images), *images[0].shape[:2], channels), dtype=np.uint8)
    for place, image in enumerate(images):
        stacked[place] = with_channels(image, channels)
    return stacked
