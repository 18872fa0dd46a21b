"""Cut-offs of a split by time, as the moments that a person who looks at the column means by them."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

import pandas as pd
import pyarrow as pa

from components.errors import refuse

EPOCH: Final = pd.Timestamp("1970-01-01", tz="UTC").as_unit("us")  # one in nanoseconds is beside none after 2262


def cut_off_seconds(given: Sequence[str], column: pa.DataType) -> list[float]:
    """ISO dates and times as seconds since 1970, NaN for what is none.

    One with its offset written out is as written. One without is in the zone of a column that has one, else in UTC.

    Raises:
        Refusal: the clocks of the column's zone show such a time twice, or never.
    """
    zone = column.tz if pa.types.is_timestamp(column) and column.tz else "UTC"
    return [_seconds(text, zone) for text in given]


def _seconds(text: str, zone: str) -> float:
    stamp = pd.to_datetime(text, format="ISO8601", errors="coerce")
    if not isinstance(stamp, pd.Timestamp):
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
