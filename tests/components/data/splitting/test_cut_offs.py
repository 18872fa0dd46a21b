"""Cut-offs say what a person sees in the column."""

from dataclasses import replace
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.config import ColumnKind, SplitConfig
from components.data.splitting.cut_offs import as_cut_off, cut_off_seconds
from components.data.splitting.split import split
from components.errors import Refusal
from tests.components.data.tables import config, packed

DATA = config({"a": "number", "t": "ignore", "y": "category"})
TIMES = [f"2025-03-01T{hour:02d}:00:00" for hour in range(24)]


def parts(folder: Path, times: pa.Array, *cuts: str, kind: ColumnKind = "ignore") -> list[str]:
    table = pa.table({"a": [float(i) for i in range(24)], "t": times, "y": ["p", "q"] * 12})
    pq.write_table(table, folder / "t.parquet")
    data = replace(DATA, columns=DATA.columns | {"t": kind})
    packed(folder, folder / "t.parquet", data)
    chosen = SplitConfig(method="time", time_column="t", validation_from=cuts[0], test_from=cuts[1])
    split(chosen, data, folder / "packed", folder / "s.parquet", task="classification")
    return pq.read_table(folder / "s.parquet")["part"].to_pylist()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "+01:00"])
def test_a_cut_off_without_an_offset_is_in_the_zone_of_the_column(tmp_path: Path, zone: str) -> None:
    seen = pa.array([f"{time}+01:00" for time in TIMES]).cast(pa.timestamp("us", tz=zone))
    expected = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    assert parts(tmp_path, seen, "2025-03-01 20:00:00", "2025-03-01 22:00:00") == expected


def test_an_offset_counts_as_it_is_written_and_goes_beside_none(tmp_path: Path) -> None:
    seen = pa.array([f"{time}+01:00" for time in TIMES]).cast(pa.timestamp("us", tz="Europe/Berlin"))
    expected = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    assert parts(tmp_path, seen, "2025-03-01T19:00Z", "2025-03-02T00:00+03:00") == expected
    (tmp_path / "mixed").mkdir()
    assert parts(tmp_path / "mixed", seen, "2025-03-01 20:00", "2025-03-01T20:30Z")[20:] == [
        *expected[20:22],
        *["test"] * 2,
    ]


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.string()])
def test_columns_without_a_zone_are_in_utc_as_their_cut_offs(tmp_path: Path, kind: pa.DataType) -> None:
    seen = pa.array(TIMES).cast(kind)
    expected = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    assert parts(tmp_path, seen, "2025-03-01 20:00:00", "2025-03-01T23:00:00+01:00") == expected


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("us", tz="Europe/Berlin"), pa.date32(), pa.string()])
def test_a_far_future_is_a_time_as_any_other(tmp_path: Path, kind: pa.DataType) -> None:
    """31 December 9999 is the usual "never"."""
    seen = pa.array([*(f"2025-03-{day + 1:02d}" for day in range(23)), "9999-12-31"])
    typed = seen.cast(pa.timestamp("us")).cast(kind) if pa.types.is_timestamp(kind) else seen.cast(kind)
    expected = ["train"] * 20 + ["validation"] * 3 + ["test"]
    assert parts(tmp_path, typed, "2025-03-21", "9999-12-30") == expected


def test_the_last_hour_of_all_is_a_time_in_every_zone(tmp_path: Path) -> None:
    seen = pa.array([*(f"2025-03-{day + 1:02d}T00:00Z" for day in range(23)), "9999-12-31T23:30Z"])
    typed = seen.cast(pa.timestamp("us", tz="Europe/Berlin"))
    assert parts(tmp_path, typed, "2025-03-21", "2025-04-01") == ["train"] * 20 + ["validation"] * 3 + ["test"]


@pytest.mark.parametrize("mark", ["+01:00", "+0100", "+01"])
def test_beside_text_with_offsets_cut_offs_have_theirs(tmp_path: Path, mark: str) -> None:
    seen = pa.array([*TIMES[:3], *(f"{time}{mark}" for time in TIMES[3:])])
    such = "2025-03-01T20:00:00+01:00"
    with pytest.raises(Refusal) as caught:
        parts(tmp_path, seen, "2025-03-01 20:00", "2025-03-01T22:00Z")
    assert "'2025-03-01 20:00' without an offset, and column 't' is text with one, such as" in str(caught.value)
    assert f"write it out; with the same one it is {such}" in str(caught.value)
    (tmp_path / "written").mkdir()
    expected = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    assert parts(tmp_path / "written", seen, such, f"2025-03-01T22:00:00{mark}") == expected


@pytest.mark.parametrize("mark", ["Z", "+00:00", "-00:00"])
def test_beside_text_in_utc_cut_offs_without_an_offset_are_in_utc(tmp_path: Path, mark: str) -> None:
    seen = pa.array([f"{time}{mark}" for time in TIMES])
    expected = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    assert parts(tmp_path, seen, "2025-03-01 20:00", "2025-03-01T22:00") == expected


def test_a_cut_off_means_the_same_for_every_kind_of_column_or_is_refused(tmp_path: Path) -> None:
    seen = pa.array([f"{time}+01:00" for time in TIMES]).cast(pa.timestamp("us", tz="Europe/Berlin"))
    with pytest.raises(Refusal, match=r"such as '2025-03-01 00:00:00\+0100': in which zone\?"):
        parts(tmp_path, seen, "2025-03-01 20:00", "2025-03-01 22:00", kind="category")
    kinds: list[ColumnKind] = ["ignore", "category"]
    for kind in kinds:
        (tmp_path / kind).mkdir()
        found = parts(tmp_path / kind, seen, "2025-03-01 20:00+01:00", "2025-03-01 22:00+01:00", kind=kind)
        assert found == ["train"] * 20 + ["validation"] * 2 + ["test"] * 2


@pytest.mark.parametrize("word", ["now", "today"])
def test_the_time_at_which_it_is_read_is_no_date(tmp_path: Path, word: str) -> None:
    with pytest.raises(Refusal, match=f"test_from is '{word}'(.|\n)*two ISO dates"):
        parts(tmp_path, pa.array(TIMES), "2025-03-01 20:00", word)
    (tmp_path / "row").mkdir()
    with pytest.raises(Refusal, match="row 24 of the packed data, column 't': the time is missing, or not a date"):
        parts(tmp_path / "row", pa.array([*TIMES[:-1], word]), "2025-03-01 20:00", "2025-03-01 22:00")


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        (pa.array(TIMES), "2025-03-01 to 2025-03-01T23:00:00"),
        (pa.array([f"2025-03-{day:02d}" for day in range(1, 25)]).cast(pa.date32()), "2025-03-01 to 2025-03-24"),
        (pa.array([f"2025-03-{day:02d}" for day in range(1, 24)] + ["9999-12-31"]), "2025-03-01 to 9999-12-31"),
        (
            pa.array([f"{time}+01:00" for time in TIMES]),
            "2025-03-01T00:00:00+01:00 to 2025-03-01T23:00:00+01:00",
        ),
        (
            pa.array([f"{time}+01:00" for time in TIMES]).cast(pa.timestamp("us", tz="Europe/Berlin")),
            "2025-03-01 to 2025-03-01T23:00:00",
        ),
    ],
)
def test_cut_offs_that_leave_a_part_empty_are_told_the_times_of_the_data(
    tmp_path: Path, seen: pa.Array, ends: str
) -> None:
    with pytest.raises(Refusal, match="the split leaves train and validation empty") as caught:
        parts(tmp_path, seen, "2001-01-01T00:00Z", "2001-06-01T00:00Z")
    assert [one.do for one in caught.value.problems][:1] == [f"move the cut-offs: the times in 't' are from {ends}"]


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("9999-12-31T23:30:00", ZoneInfo("Europe/Berlin")),
        ("9999-12-31T23:30:00", timezone(timedelta(hours=1))),
        ("0001-01-01T00:00:00", ZoneInfo("America/New_York")),
    ],
)
def test_a_moment_that_a_zone_puts_beyond_the_years_1_to_9999_is_told_in_utc(
    text: str, zone: tzinfo, offset: bool
) -> None:
    (seconds,) = cut_off_seconds([text], pa.timestamp("us"))
    assert as_cut_off(seconds, zone=zone, offset=offset) == f"{text}+00:00"


def test_cut_offs_that_are_numbers_are_told_numbers(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="the times in 't' are from 1700000000 to 1700000023"):
        parts(tmp_path, pa.array(range(1_700_000_000, 1_700_000_024)), "5", "6.5")


@pytest.mark.parametrize(
    ("text", "such"),
    [("2025-10-26 02:30", r"2025-10-26 02:30:00\+02:00"), ("2025-03-30 02:30", r"2025-03-30 03:00:00\+02:00")],
)
def test_a_time_that_clocks_show_twice_or_never_needs_its_offset(text: str, such: str) -> None:
    berlin = pa.timestamp("us", tz="Europe/Berlin")
    with pytest.raises(Refusal, match=rf"'{text}' twice or never(.|\n)*write the offset out, such as {such}"):
        cut_off_seconds([text, "2026-01-01"], berlin)
    assert cut_off_seconds([text, "soon"], pa.timestamp("us"))[0] > 0


def test_only_what_is_swapped_in_every_zone_is_refused_before_the_column_is_seen() -> None:
    SplitConfig(method="time", time_column="t", validation_from="2025-03-02T06:00", test_from="2025-03-01T20:00Z")
    SplitConfig(method="time", time_column="t", validation_from="2025-03-01T20:00Z", test_from="2025-03-01T10:00")
    for cuts in (("2025-03-02T12:00", "2025-03-01T20:00Z"), ("2025-03-01T20:00Z", "2025-03-01T07:00")):
        with pytest.raises(ValueError, match="isn't before"):
            SplitConfig(method="time", time_column="t", validation_from=cuts[0], test_from=cuts[1])
