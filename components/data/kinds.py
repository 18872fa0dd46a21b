"""What a column's kind makes of raw values: the one place where text becomes numbers, truth and names.

Every conversion takes a raw Arrow array and returns one of the kind's own type, null where a value is missing or
bad, and says which values were bad.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.data.config import ColumnKind, DecimalMark
from components.data.images import Unreadable, decode
from components.table import Table

IMAGE_TYPE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TYPES: Final[Mapping[ColumnKind, pa.DataType]] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "image": IMAGE_TYPE,
}
# Text that means "no value" among numbers and booleans. In categories only empty text does: NA may be Namibia.
MISSING: Final = ("", "na", "n/a", "nan", "null", "none", "?", "#n/a", "<na>")
_TRUE: Final = ("true", "t", "yes", "y", "1", "1.0")
_FALSE: Final = ("false", "f", "no", "n", "0", "0.0")
_EXACT_MISSING: Final = pa.array(sorted({*MISSING, "NA", "N/A", "NaN", "NAN", "NULL", "Null", "None", "#N/A", "<NA>"}))
_NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """A column in its kind's type, and which of its values were none of the kind."""

    values: pa.Array  # null where missing, and where bad
    bad: npt.NDArray[np.bool_]
    wanted: str = ""
    reasons: Mapping[int, str] = field(default_factory=dict)  # of bad values, where `wanted` doesn't say it all


def says_missing(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Say of each text whether it stands for no value, among numbers and booleans."""
    return _mask(pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text)), value_set=pa.array(MISSING)))


def to_number(raw: pa.Array, *, decimal: DecimalMark = ".") -> Converted:
    """Convert to float64; `decimal` is the mark in numbers that are text. Infinity is bad, NaN is missing."""
    if is_text(raw.type):
        values, bad = _parse_numbers(raw) if decimal == "." else _parse_decimal_commas(raw)
    else:
        values, bad = pc.cast(raw, pa.float64(), safe=False), np.zeros(len(raw), dtype=np.bool_)
    infinite = _mask(pc.is_inf(values))
    unusable = pc.or_kleene(pc.is_nan(values), pa.array(infinite))
    wanted = "a finite number" if decimal == "." else "a finite number with a decimal comma"
    return Converted(values=_without(values, _mask(unusable)), bad=bad | infinite, wanted=wanted)


def _parse_decimal_commas(raw: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Read the comma as the point. What has a point itself is bad: 1.234 may be a thousand or little more than one."""
    pointed = _mask(pc.match_substring(raw, "."))
    values, bad = _parse_numbers(pc.replace_substring(_without(raw, pointed), ",", "."))
    return values, bad | pointed


def _parse_numbers(raw: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    present = _without(raw, _mask(pc.is_in(raw, value_set=_EXACT_MISSING)))
    try:
        return pc.cast(present, pa.float64()), np.zeros(len(raw), dtype=np.bool_)
    except pa.ArrowInvalid:
        return _parse_one_by_one(present)


def _parse_one_by_one(raw: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    text = pc.utf8_trim_whitespace(raw)
    text = _without(text, _mask(pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING))))
    odd = _mask(pc.invert(pc.match_substring_regex(text, _NUMBER)))
    unsigned = pc.replace_substring_regex(_without(text, odd), r"^\+", "")
    try:
        return pc.cast(unsigned, pa.float64()), odd
    except pa.ArrowInvalid:  # an exponent that Arrow won't read
        return pa.array([None if v is None else float(v) for v in unsigned.to_pylist()], pa.float64()), odd


def to_boolean(raw: pa.Array) -> Converted:
    """Convert true/false, yes/no, t/f, y/n, 1/0, in any case, to bool."""
    if pa.types.is_boolean(raw.type):
        return Converted(values=raw, bad=np.zeros(len(raw), dtype=np.bool_))
    text = pc.utf8_lower(pc.utf8_trim_whitespace(as_text(raw)))
    text = _without(text, _mask(pc.is_in(text, value_set=pa.array(MISSING))))
    yes, no = (_mask(pc.is_in(text, value_set=pa.array(words))) for words in (_TRUE, _FALSE))
    bad = ~_mask(pc.is_null(text)) & ~yes & ~no
    wanted = "a boolean (true or false, yes or no, t or f, 1 or 0)"
    return Converted(values=pa.array(yes, pa.bool_(), mask=~yes & ~no), bad=bad, wanted=wanted)


def to_category(raw: pa.Array) -> Converted:
    """Convert to text; see `as_text`."""
    return Converted(values=as_text(raw), bad=np.zeros(len(raw), dtype=np.bool_))


def to_image(raw: pa.Array) -> Converted:
    """Check that each value's bytes decode, and keep them as they are."""
    pictures = (
        raw
        if pa.types.is_struct(raw.type)
        else pa.StructArray.from_arrays(
            [raw.cast(pa.binary()), pa.nulls(len(raw), pa.string())], fields=list(IMAGE_TYPE), mask=pc.is_null(raw)
        )
    )
    reasons: dict[int, str] = {}
    for row, value in enumerate(pc.struct_field(pictures, "bytes")):
        try:
            decode(value.as_py() or b"")
        except Unreadable as error:
            reasons[row] = str(error)
    bad = np.zeros(len(raw), dtype=np.bool_)
    bad[list(reasons)] = True
    return Converted(values=pictures.cast(IMAGE_TYPE), bad=bad, reasons=reasons)


def to_ignore(raw: pa.Array) -> Converted:
    """Keep the column as it is; only empty text becomes missing."""
    values = as_text(raw) if is_text(raw.type) else raw
    return Converted(values=values, bad=np.zeros(len(raw), dtype=np.bool_))


CONVERSIONS: Table[Callable[[pa.Array], Converted]] = Table(
    "kind of column",
    {"number": to_number, "boolean": to_boolean, "category": to_category, "image": to_image, "ignore": to_ignore},
)


def convert(raw: pa.Array, kind: ColumnKind, *, decimal: DecimalMark) -> Converted:
    """Convert to the kind; `decimal` is the mark in numbers that are text."""
    return to_number(raw, decimal=decimal) if kind == "number" else CONVERSIONS[kind](raw)


def as_text(raw: pa.Array) -> pa.Array:
    """Return the values as text, null where missing or empty.

    Text stays as it is ("007" too), whole numbers lose their ".0", booleans are "true" and "false", dates are ISO, and
    times show no more of a second than there is, whatever the unit that they are stored in.
    """
    if is_text(raw.type):
        text = raw.cast(pa.string())
        return _without(text, _mask(pc.equal(pc.binary_length(text), 0)))
    if pa.types.is_floating(raw.type):
        return _numbers_as_text(raw)
    if pa.types.is_timestamp(raw.type) or pa.types.is_time(raw.type):
        shown = pc.replace_substring_regex(raw.cast(pa.string()), r"(\.\d*?)0+(\D.*)?$", r"\1\2")
        return pc.replace_substring_regex(shown, r"\.(\D.*)?$", r"\1")
    return raw.cast(pa.string())


def _numbers_as_text(raw: pa.Array) -> pa.Array:
    if pa.types.is_float16(raw.type):  # Arrow computes nothing with these
        raw = raw.cast(pa.float32())
    present = _without(raw, _mask(pc.is_nan(raw)))
    whole = pc.and_(pc.equal(pc.trunc(present), present), pc.less(pc.abs(present), 2.0**63))
    integers = pc.cast(_without(present, ~_mask(whole)), pa.int64(), safe=False)
    return pc.coalesce(integers.cast(pa.string()), present.cast(pa.string()))


def is_text(kind: pa.DataType) -> bool:
    """Whether the Arrow type is one of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def accepts(kind: ColumnKind, stored: pa.DataType) -> bool:
    """Whether a column of this Arrow type can be of the kind at all."""
    if kind == "ignore" or (pa.types.is_null(stored) and kind != "image"):
        return True
    if kind == "image":
        return _holds_images(stored)
    plain = (
        is_text(stored) or pa.types.is_boolean(stored) or pa.types.is_integer(stored) or pa.types.is_floating(stored)
    )
    if kind == "category":
        return bool(plain or pa.types.is_temporal(stored) or pa.types.is_decimal(stored))
    return bool(plain or pa.types.is_decimal(stored))


def _holds_images(stored: pa.DataType) -> bool:
    if pa.types.is_struct(stored):
        return {"bytes", "path"} == {child.name for child in stored}
    return bool(pa.types.is_binary(stored) or pa.types.is_large_binary(stored))


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    """A boolean Arrow array as numpy, null as False."""
    mask: npt.NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def _without(values: pa.Array, mask: npt.NDArray[np.bool_]) -> pa.Array:
    """The values, null where the mask is set."""
    return pc.if_else(pa.array(mask), pa.scalar(None, values.type), values) if mask.any() else values
