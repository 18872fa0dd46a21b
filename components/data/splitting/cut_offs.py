"""Cut-offs of a split by time, as the moments that a person who looks at the column means by them."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.data.kinds import as_text, is_text
from components.errors import refuse

EPOCH: Final = pd.Timestamp("1970-01-01", tz="UTC").as_unit("us")  # one in nanoseconds is beside none after 2262
_YEAR: Final = r"^\d{4}"
_OFFSET: Final = r"\d[T ].*[+-]\d{2}:?(\d{2})?$"
_NONE: Final = r"[+-]00:?(00)?$"


def cut_off_seconds(given: Sequence[str], column: pa.DataType) -> list[float]:
    """ISO dates and times as seconds since 1970, NaN for what is none.

    One with its offset written out is as written. One without is in the zone of a column that has one, else in UTC.

    Raises:
        Refusal: the clocks of the column's zone show such a time twice, or never.
    """
    zone = column.tz if pa.types.is_timestamp(column) and column.tz else "UTC"
    return [_seconds(text, zone) for text in given]


def only_iso(texts: pa.Array) -> pa.Array:
    """Return the texts, null for those that aren't ISO: by `now` and `today` pandas reads the time at which it does."""
    return pc.if_else(pc.match_substring_regex(texts, _YEAR), texts, pa.scalar(None, texts.type))


def moments(raw: pa.Array) -> "pd.Series[pd.Timestamp]":
    """ISO dates and times as moments, NaT for what is none; those without a zone are in UTC."""
    given = only_iso(as_text(raw)) if is_text(raw.type) else raw
    if pa.types.is_timestamp(raw.type) and raw.type.tz:
        given = raw.cast(pa.timestamp(raw.type.unit, tz="UTC"))  # its last hours of 9999 are of another year elsewhere
    series = pd.Series(given.to_pandas(), dtype=object)
    return pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce")


def offset_of(texts: pa.Array) -> tuple[tzinfo | None, str]:
    """Return the first offset other than UTC's that texts have, and the text that has it."""
    marked = texts.filter(pc.and_not(pc.match_substring_regex(texts, _OFFSET), pc.match_substring_regex(texts, _NONE)))
    first = _stamp(marked[0].as_py()) if len(marked) else None
    return (None, "") if first is None else (first.tzinfo, str(marked[0]))


def zone_of(column: pa.DataType) -> tzinfo:
    """Return the zone of a column, in which cut-offs without an offset are read."""
    return _zone(column.tz if pa.types.is_timestamp(column) and column.tz else "UTC")


def check_offsets(given: Sequence[str], texts: pa.Array, *, column: str) -> None:
    """Refuse cut-offs without an offset beside times that are text with one other than UTC's: whose zone is meant?

    Raises:
        Refusal: it shows how to write them.
    """
    offset, such = offset_of(texts)
    plain = {text: stamp for text in given if (stamp := _stamp(text)) is not None and stamp.tzinfo is None}
    if offset is None or not plain:
        return
    said = " and ".join(f"'{text}'" for text in plain)
    written = " and ".join(stamp.tz_localize(offset).isoformat() for stamp in plain.values())
    raise refuse(
        f"{said} without an offset, and column '{column}' is text with one, such as '{such}': in which zone?",
        where="split",
        allowed="cut-offs with an offset, beside text that has any",
        do=f"write it out; with the same one it is {written}",
    )


def as_cut_off(seconds: float, *, zone: tzinfo, offset: bool) -> str:
    """Return a moment, in seconds since 1970, as a cut-off is written; a date where it is one."""
    moment = pd.Timestamp(round(seconds * 1e6), unit="us", tz="UTC")
    try:
        stamp = moment.tz_convert(zone)
        day = stamp.date().isoformat()
    except (OverflowError, NotImplementedError):  # beyond the years 1 to 9999 there: by conversion, or by its date
        return moment.isoformat()
    if offset:
        return stamp.isoformat()
    return day if stamp == stamp.normalize() else stamp.tz_localize(None).isoformat()


def _stamp(text: str) -> pd.Timestamp | None:
    stamp = pd.to_datetime(only_iso(pa.array([text]))[0].as_py(), format="ISO8601", errors="coerce")
    return stamp if isinstance(stamp, pd.Timestamp) else None


def _seconds(text: str, zone: str) -> float:
    stamp = _stamp(text)
    if stamp is None:
        return float("nan")
    if stamp.tzinfo is None:
        stamp = _placed(stamp, text, zone)
    return float((stamp - EPOCH) / pd.Timedelta(seconds=1))


def _placed(stamp: pd.Timestamp, text: str, zone: str) -> pd.Timestamp:
    """Return the moment at which the clocks of the zone show the time."""
    clocks = _zone(zone)
    placed = stamp.tz_localize(clocks, ambiguous="NaT", nonexistent="NaT")
    if not isinstance(placed, pd.Timestamp):
        such = stamp.tz_localize(clocks, ambiguous=True, nonexistent="shift_forward").isoformat(sep=" ")
        what = f"the clocks of {zone}, the column's time zone, show '{text}' twice or never, for they change there"
        raise refuse(what, where="split", do=f"write the offset out, such as {such}")
    return placed


def _zone(name: str) -> tzinfo:
    """Return a zone by its name, or by its offset."""
    zone: tzinfo = pa.timestamp("us", tz=name).to_pandas_dtype().tz
    return zone
