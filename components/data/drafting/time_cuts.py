"""Suggests the two cut-offs of a split by time, out of the times that were seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from components.data.kinds import is_text

if TYPE_CHECKING:
    import pandas as pd

ENOUGH: Final = 20  # different days, or minutes, from which cut-offs are such


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """Where validation and test begin, as a recipe says it, and what share of the rows each gets."""

    validation_from: str
    test_from: str
    validation: float  # 0 to 1
    test: float


def time_cuts(texts: Sequence[str], column: pa.DataType, *, share: float) -> Cuts | None:
    """Return cut-offs that give validation and test about this share of the rows each; none where no three times are.

    They are days where there are enough, else minutes, else times as they are: in the zone in which cut-offs are read,
    and with an offset beside text that has one.
    """
    from components.data.splitting.cut_offs import moments, offset_of, zone_of

    given = pa.array(texts, pa.string())
    offset = offset_of(given)[0] if is_text(column) else None
    try:
        clocks = moments(given).dropna().dt.tz_convert(offset or zone_of(column)).dt.tz_localize(None).sort_values()
    except OverflowError:  # the year 9999 in UTC may be the next one in the zone
        return None
    found = _placed(clocks, share)
    if found is None:
        return None
    first, second = found
    later, last = float((clocks >= first).mean()), float((clocks >= second).mean())
    said = (
        one.tz_localize(offset).isoformat() if offset else one.isoformat().removesuffix("T00:00:00") for one in found
    )
    return Cuts(validation_from=next(said), test_from=next(said), validation=later - last, test=last)


def _placed(clocks: "pd.Series[pd.Timestamp]", share: float) -> "tuple[pd.Timestamp, pd.Timestamp] | None":
    """Return two of the times, which are sorted, with an earlier one before them."""
    rounded = next((few for unit in ("D", "min") if (few := clocks.dt.floor(unit)).nunique() >= ENOUGH), clocks)
    several = rounded.drop_duplicates().reset_index(drop=True)
    if len(several) < 3:
        return None
    first, second = (
        int(several.searchsorted(rounded.iloc[int(len(rounded) * (1 - part))])) for part in (2 * share, share)
    )
    second = max(second, 2)
    return several[min(max(first, 1), second - 1)], several[second]
