"""Typed values of a category, under the names that a model knows them by.

`components.release.served` does the same for those who ask the model itself; a test compares the two.
"""

import re
from collections.abc import Collection
from typing import Final

import pyarrow as pa

_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)  # exact beyond what a float holds
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)


def as_known(text: pa.Array, known: Collection[str]) -> pa.Array:
    """Return for the texts of typed values the known ones that mean the same, where there are any.

    A CSV's "1.0", "01" and "True" were categories in training; in Parquet the same rows hold 1 and true.
    """
    names = {_meaning(name): name for name in known} | {name: name for name in known}
    encoded = text.dictionary_encode()
    named = [names.get(one) or names.get(_meaning(one), one) for one in encoded.dictionary.to_pylist()]
    return pa.array(named, pa.string()).take(encoded.indices)


def _meaning(text: str) -> int | float | str:
    """Return what a typed value of this text would be: a number, "true" or "false"; else the text itself."""
    plain = text.strip().lower()
    if _WHOLE.fullmatch(plain):
        return int(plain)
    if _NUMBER.fullmatch(plain):
        return float(plain)
    return plain if plain in ("true", "false") else text
