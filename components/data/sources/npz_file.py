"""Rows of an npz file: an array of features and one of targets, which rows to be answered may lack.

N rows, F features, H x W pixels, C channels.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.data.images import png
from components.data.kinds import IMAGE_TYPE
from components.data.sources.chunk import Chunk
from components.errors import Refusal, refuse

CHUNK_ROWS: Final = 4096
FEATURES: Final = "x [N, F] of numbers, or uint8 [N, H, W] or [N, H, W, C] with C 1, 3 or 4"
ALLOWED: Final = f"{FEATURES}; and y [N]"
Array = npt.NDArray[np.generic]


class NpzFile:
    """Arrays x and y: numbers become columns x0, x1 ..., uint8 pictures become PNG files."""

    def __init__(self, path: Path, *, image: str, label: str, labelled: bool = True) -> None:
        """Read the arrays; unless they are `labelled`, y may be missing, and has no column then."""
        self.path = path
        self.x, self.y = _features_and_target(path, labelled=labelled)
        features: list[tuple[str, pa.DataType]] = [(image, IMAGE_TYPE)]
        if self.x.ndim == 2:
            features = [(f"x{i}", pa.from_numpy_dtype(self.x.dtype)) for i in range(self.x.shape[1])]
        if self.y is not None:
            features.append((label, pa.string() if self.y.dtype.kind in "US" else pa.from_numpy_dtype(self.y.dtype)))
        self.schema = pa.schema(features)

    def chunks(self) -> Iterator[Chunk]:
        """Yield slices of the arrays."""
        for start in range(0, len(self.x), CHUNK_ROWS):
            x = self.x[start : start + CHUNK_ROWS]
            columns = (
                [pa.array(np.ascontiguousarray(column)) for column in x.T] if x.ndim == 2 else [_pictures(x, start)]
            )
            if self.y is not None:
                y = self.y[start : start + CHUNK_ROWS]
                text = y.dtype.kind in "US"
                columns.append(pa.array([_text(value) for value in y], pa.string()) if text else pa.array(y))
            rows = np.arange(start + 1, start + 1 + len(x), dtype=np.int64)
            yield Chunk(table=pa.table(columns, schema=self.schema), rows=rows)

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return `file, row 17 (index 16)`."""
        return [f"{self.path.name}, row {row} (index {row - 1})" for row in rows]


def _pictures(x: Array, start: int) -> pa.Array:
    images = [{"bytes": png(pixels.astype(np.uint8)), "path": f"{start + i}.png"} for i, pixels in enumerate(x)]
    return pa.array(images, IMAGE_TYPE)


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _features_and_target(path: Path, *, labelled: bool) -> tuple[Array, Array | None]:
    """Return x and y by their names, or else the two arrays that there are; not `labelled`, y may be missing."""
    arrays = _arrays(path)
    named = {name.lower(): array for name, array in arrays.items()}
    x, y = named.get("x"), named.get("y")
    pair = sorted(arrays.values(), key=lambda array: -array.ndim) if x is None or y is None else [x, y]
    if len(pair) == 2 and _fit(*pair):
        return pair[0], pair[1].reshape(len(pair[1]))
    alone = next(iter(arrays.values())) if len(arrays) == 1 else x
    if not labelled and alone is not None and _are_features(alone):
        return alone, None
    raise _unclear(path, arrays, labelled=labelled)


def _fit(x: Array, y: Array) -> bool:
    return _are_features(x) and y.dtype.kind in "biufUS" and y.ndim >= 1 and x.shape[0] == y.shape[0] == y.size


def _are_features(x: Array) -> bool:
    shaped = x.ndim == 2 or (x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3, 4))))
    return x.dtype.kind in "biuf" and shaped and min(x.shape[1:]) > 0


def _unclear(path: Path, arrays: Mapping[str, Array], *, labelled: bool) -> Refusal:
    shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
    if not labelled:
        allowed, do = f"{FEATURES}; no target is needed", "save the features alone, or name them x"
        return refuse(f"can't find the features in: {shapes}", where=path.name, allowed=allowed, do=do)
    if len(arrays) == 1:
        target = next(iter(arrays.values())).ndim > 1
        what = f"the {'target is' if target else 'features are'} missing: there is only {shapes}"
        do = f"save {'a target for each row' if target else 'them'} beside it, as {'y' if target else 'x'}"
        return refuse(what, where=path.name, allowed=ALLOWED, do=do)
    return refuse(f"can't tell features and target apart in: {shapes}", where=path.name, allowed=ALLOWED)


def _arrays(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise refuse("is not an npz file, or a damaged one", where=path.name)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise _not_plain(path, error) from None
    except (OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise refuse(f"is not an npz file, or a damaged one ({error})", where=path.name) from None


def _not_plain(path: Path, error: ValueError) -> Refusal:
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        return refuse(
            "an array holds Python objects, which only pickle could read",
            where=path.name,
            allowed=ALLOWED,
            do="save numbers as numbers and text as np.array(..., dtype=str)",
        )
    return refuse(f"is not an npz file, or a damaged one ({error})", where=path.name)
