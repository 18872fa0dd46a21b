"""A 64-bit hash of each row's content that stays the same over versions, machines and the order of columns.

Numbers: the bits of the float64, through SplitMix64's finaliser (Steele, Lea and Flood 2014). Text and images:
the first 8 bytes of BLAKE2b (RFC 7693). Columns are taken by name in order, one mixed into the next.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.data.kinds import as_text
from components.data.parts import one_array

Hashes = npt.NDArray[np.uint64]
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MISSING: Final = np.uint64(0xA0761D6478BD642F)


def mixed(values: Hashes) -> Hashes:
    """Return SplitMix64's next output for each state: every input bit moves every output bit."""
    with np.errstate(over="ignore"):
        state = values + _STEP
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def seeded(hashes: Hashes, *, seed: int) -> Hashes:
    """Return the hashes, shuffled anew for each seed."""
    return mixed(hashes ^ mixed(np.array([seed % 2**64], dtype=np.uint64)))


def row_hashes(table: pa.Table, columns: Sequence[str]) -> Hashes:
    """Return a hash of the columns' values for each row. Equal rows have equal hashes."""
    total = np.zeros(len(table), dtype=np.uint64)
    for name in sorted(columns):
        total = mixed(total ^ value_hashes(one_array(table, name)))
    return total


def value_hashes(values: pa.Array) -> Hashes:
    """Return a hash of each value; all missing ones share one."""
    if pa.types.is_struct(values.type):
        return _bytes_hashes(pc.struct_field(values, "bytes"))
    if pa.types.is_floating(values.type):
        return _number_hashes(values)
    return _text_hashes(as_text(values))


def _number_hashes(values: pa.Array) -> Hashes:
    numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 is 0.0
    return np.where(_missing(values), _MISSING, mixed(numbers.view(np.uint64)))


def _text_hashes(values: pa.Array) -> Hashes:
    encoded = values.dictionary_encode()
    known = np.array([_digest(text.encode()) for text in encoded.dictionary.to_pylist()] or [0], dtype=np.uint64)
    codes = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    return np.where(_missing(values), _MISSING, known[codes])


def _bytes_hashes(values: pa.Array) -> Hashes:
    digests = [int(_MISSING) if value is None else _digest(value) for value in values.to_pylist()]
    return np.array(digests, dtype=np.uint64)


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def _missing(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = pc.is_null(values).to_numpy(zero_copy_only=False)
    return mask
