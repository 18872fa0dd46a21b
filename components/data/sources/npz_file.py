"""Rows of an npz file: an array of features and one of targets, which rows to be answered may lack; streaming.

N rows, F features, H x W pixels, C channels.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import permutations
from math import prod
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib import format as npy

from components.data.images import png
from components.data.kinds import IMAGE_TYPE
from components.data.sources.chunk import Chunk
from components.disk import full_disk_refused
from components.errors import Refusal, refuse

CHUNK_ROWS: Final = 4096
CHUNK_BYTES: Final = 16 << 20
COPY_BYTES: Final = 1 << 20  # of what is unpacked into a file
FEATURES: Final = "x [N, F] of numbers, or uint8 [N, H, W] or [N, H, W, C] with C 1, 3 or 4"
ALLOWED: Final = f"{FEATURES}; and y [N]"
Array = npt.NDArray[np.generic]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An array of the file, of which the header alone was read. Shape [N, ...]."""

    member: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    by_columns: bool  # in Fortran's order: the values of a row lie far apart
    start: int  # bytes before the first value

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return self.dtype.itemsize * prod(self.shape[1:])


class NpzFile:
    """Arrays x and y: numbers become columns x0, x1 ..., uint8 pictures become PNG files.

    In memory are the rows of one chunk. An array in Fortran's order, such as a data frame's `to_numpy()`, is unpacked
    into a temporary file first, for a row of it can't be read before its last column.
    """

    def __init__(self, path: Path, *, image: str, label: str, labelled: bool = True) -> None:
        """Read the arrays; unless they are `labelled`, y may be missing, and has no column then."""
        self.path = path
        self.x, self.y = _features_and_target(path, labelled=labelled)
        features: list[tuple[str, pa.DataType]] = [(image, IMAGE_TYPE)]
        if len(self.x.shape) == 2:
            features = [(f"x{i}", _arrow_type(self.x, path)) for i in range(self.x.shape[1])]
        if self.y is not None:
            features.append((label, _arrow_type(self.y, path)))
        self.schema = pa.schema(features)

    def chunks(self) -> Iterator[Chunk]:
        """Yield slices of the arrays, which are unpacked meanwhile."""
        arrays = [self.x] if self.y is None else [self.x, self.y]
        size = max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, sum(array.row_bytes for array in arrays))))
        start = 0
        slices = (map(_native, _slices(self.path, array, size)) for array in arrays)
        for x, *target in zip(*slices, strict=True):
            columns = (
                [pa.array(np.ascontiguousarray(column)) for column in x.T] if x.ndim == 2 else [_pictures(x, start)]
            )
            columns += map(_targets, target)
            rows = np.arange(start + 1, start + 1 + len(x), dtype=np.int64)
            start += len(x)
            yield Chunk(table=pa.table(columns, schema=self.schema), rows=rows, decimal=".")

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return `file, row 17 (index 16)`."""
        return [f"{self.path.name}, row {row} (index {row - 1})" for row in rows]


def _arrow_type(array: Stored, path: Path) -> pa.DataType:
    """Return what the array's values are in Arrow.

    Raises:
        Refusal: they are long doubles, whose bytes another kind of machine reads as other numbers, or not at all.
    """
    if array.dtype.kind in "US":
        return pa.string()
    if array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(np.float64).itemsize:
        name = array.member.removesuffix(".npy")
        raise refuse(
            f"the array {name} holds long doubles ({array.dtype}), which differ from machine to machine",
            where=path.name,
            allowed="numbers of at most 64 bits, such as float64",
            do=f"save {name}.astype('float64')",
        )
    return pa.from_numpy_dtype(array.dtype.newbyteorder("="))


def _native(values: Array) -> Array:
    """Return the values in this machine's order of bytes, which alone Arrow takes."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _pictures(x: Array, start: int) -> pa.Array:
    images = [{"bytes": png(pixels.astype(np.uint8)), "path": f"{start + i}.png"} for i, pixels in enumerate(x)]
    return pa.array(images, IMAGE_TYPE)


def _targets(y: Array) -> pa.Array:
    flat = y.reshape(len(y))
    return pa.array([_text(value) for value in flat], pa.string()) if y.dtype.kind in "US" else pa.array(flat)


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _features_and_target(path: Path, *, labelled: bool) -> tuple[Stored, Stored | None]:
    """Return x and y by their names, or else two arrays that can be them in one way; not `labelled`, x may do."""
    arrays = _arrays(path)
    named = {name.lower(): array for name, array in arrays.items()}
    x, y = named.get("x"), named.get("y")
    pairs = [] if x is None or y is None else [(x, y)]
    if len(arrays) == 2:
        both = permutations(arrays.values())
        pairs = [(one, other) for one, other in both if x in (None, one) and y in (None, other)]
    if len(fitting := [pair for pair in pairs if _fit(*pair)]) == 1:
        return fitting[0]
    alone = next(iter(arrays.values())) if len(arrays) == 1 else x
    if not labelled and alone is not None and _are_features(alone):
        return alone, None
    raise _unclear(path, arrays, labelled=labelled)


def _fit(x: Stored, y: Stored) -> bool:
    return _are_features(x) and y.dtype.kind in "biufUS" and x.shape[:1] == y.shape[:1] == (prod(y.shape),)


def _are_features(x: Stored) -> bool:
    picture = len(x.shape) == 3 or (len(x.shape) == 4 and x.shape[3] in (1, 3, 4))
    shaped = len(x.shape) == 2 or (x.dtype == np.uint8 and picture)
    return x.dtype.kind in "biuf" and shaped and min(x.shape[1:]) > 0


def _unclear(path: Path, arrays: Mapping[str, Stored], *, labelled: bool) -> Refusal:
    shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
    if not labelled:
        allowed, do = f"{FEATURES}; no target is needed", "save the features alone, or name them x"
        return refuse(f"can't find the features in: {shapes}", where=path.name, allowed=allowed, do=do)
    if len(arrays) == 1:
        target = len(next(iter(arrays.values())).shape) > 1
        what = f"the {'target is' if target else 'features are'} missing: there is only {shapes}"
        do = f"save {'a target for each row' if target else 'them'} beside it, as {'y' if target else 'x'}"
        return refuse(what, where=path.name, allowed=ALLOWED, do=do)
    return refuse(f"can't tell features and target apart in: {shapes}", where=path.name, allowed=ALLOWED)


def _arrays(path: Path) -> dict[str, Stored]:
    """Return the arrays by name, in the order of the file; members that are no arrays don't count."""
    if not zipfile.is_zipfile(path):
        raise _damaged(path)
    with _undamaged(path), zipfile.ZipFile(path) as archive:
        names = [name for name in dict.fromkeys(archive.namelist()) if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _stored(archive, name, path) for name in names}


def _stored(archive: zipfile.ZipFile, member: str, path: Path) -> Stored:
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"{member} is of version {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise refuse(
            "an array holds Python objects, which only pickle could read",
            where=path.name,
            allowed=ALLOWED,
            do="save numbers as numbers and text as np.array(..., dtype=str)",
        )
    there, wanted = archive.getinfo(member).file_size - start, dtype.itemsize * prod(shape)
    if min(shape, default=0) < 0 or there < wanted:
        raise ValueError(f"{member} has {there} bytes of values, where {dtype} {list(shape)} takes {wanted}")
    return Stored(member=member, dtype=dtype, shape=shape, by_columns=by_columns and wanted > 0, start=start)


def _slices(path: Path, array: Stored, size: int) -> Iterator[Array]:
    """Yield the rows, so many at a time."""
    with _opened(path, array) as stream:
        if array.by_columns:
            yield from _turned(stream, path, array, size)
        else:
            for start in range(0, array.shape[0], size):
                shape = (min(size, array.shape[0] - start), *array.shape[1:])
                data = _read(stream, shape[0] * array.row_bytes, path)
                yield np.ndarray(shape, array.dtype, data)
        with _undamaged(path):
            stream.read(1)  # at its end the member's checksum is compared


def _turned(stream: IO[bytes], path: Path, array: Stored, size: int) -> Iterator[Array]:
    """Yield the rows of an array that lies by columns, from a file on disk."""
    total = array.shape[0] * array.row_bytes
    with ExitStack() as opened:
        with full_disk_refused(Path(gettempdir())):
            file = opened.enter_context(TemporaryFile())
            for start in range(0, total, COPY_BYTES):
                file.write(_read(stream, min(COPY_BYTES, total - start), path))
            file.flush()
        for start in range(0, array.shape[0], size):
            # Mapped anew for each slice: pages that were read would count as this process's memory.
            whole: Array = np.memmap(file, array.dtype, "r", shape=array.shape, order="F")
            yield np.array(whole[start : start + size], order="C")


@contextmanager
def _opened(path: Path, array: Stored) -> Iterator[IO[bytes]]:
    """Open the array's member where its values begin."""
    with _undamaged(path):
        archive = zipfile.ZipFile(path)
    with archive:
        with _undamaged(path):
            stream = archive.open(array.member)
        with stream:
            _read(stream, array.start, path)
            yield stream


def _read(stream: IO[bytes], size: int, path: Path) -> bytes:
    with _undamaged(path):
        data = stream.read(size)
        if len(data) < size:
            raise EOFError(f"{size} bytes of values were to come, {len(data)} did")
        return data


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (Refusal, MemoryError, PermissionError):
        raise
    except Exception as error:
        # zipfile raises BadZipFile, EOFError, OSError, RuntimeError, zlib.error ... on damaged files, numpy ValueError.
        raise _damaged(path, f" ({error})") from None


def _damaged(path: Path, why: str = "") -> Refusal:
    do = "write it anew with np.savez, or give the file the ending of what it is"
    return refuse(f"is not an npz file, or a damaged one{why}", where=path.name, allowed=ALLOWED, do=do)
