"""The cut-offs that a draft suggests for a split by time are of the data, and split them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import recipe_file
from components.data.drafting.draft import draft
from components.data.drafting.time_cuts import time_cuts
from components.data.splitting.split import split
from components.recipe import Recipe
from tests.components.data.tables import packed

DAYS = pd.date_range("2015-03-02", periods=500)
HOURS = pd.date_range("2024-03-02", periods=500, freq="5min")
OFFSET = [f"{day}T08:00:00+05:30" for day in DAYS.date]


@pytest.mark.parametrize(
    ("times", "cut"),
    [
        (pa.array(DAYS.astype(str)), "2016-04-05"),
        (pa.array(DAYS.date), "2016-04-05"),
        (pa.array(HOURS.astype(str)), "2024-03-03T09:20:00"),
        (pa.array(HOURS, pa.timestamp("us")), "2024-03-03T09:20:00"),
        (pa.array(HOURS, pa.timestamp("us", tz="Asia/Kolkata")), "2024-03-03T14:50:00"),
        (pa.array(OFFSET), "2016-04-05T00:00:00+05:30"),
        (pa.array([f"{day}Z" for day in HOURS.astype(str)]), "2024-03-03T09:20:00"),
    ],
)
def test_who_copies_the_cut_offs_gets_about_the_drafted_shares(tmp_path: Path, times: pa.Array, cut: str) -> None:
    order = np.random.default_rng(0).permutation(500)
    columns = {"a": np.arange(500.0) % 97, "day": times.take(pa.array(order)), "y": [f"c{i % 2}" for i in range(500)]}
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), source)
    text = draft(source, target="y")
    assert "These give validation about 20 % of the rows, and test 20 %" in text
    hint = re.search(r"# .*(method: time), (time_column: day),\n  # (validation_from: .*), (test_from: .*)\n", text)
    assert hint is not None
    assert hint[4] == f"test_from: {cut}"
    lines = "\n".join(f"  {line}" for line in hint.groups())
    text = re.sub(r"  method: stratified.*\n  validation: .*\n  test: .*", lines, text)
    recipe: Recipe = recipe_file.decode(text, source="draft", folder=tmp_path)
    packed(tmp_path, source, recipe.data)
    found = split(recipe.split, recipe.data, tmp_path / "packed", tmp_path / "s.parquet", task="classification")
    assert found.rows["validation"] == pytest.approx(100, abs=2)
    assert found.rows["test"] == pytest.approx(100, abs=2)


def test_of_more_dates_than_are_kept_the_cut_offs_are_those_of_all_rows(tmp_path: Path) -> None:
    """The rows are in the order of time: the first ones alone would say something else."""
    times = pd.date_range("2020-01-01", periods=100_000, freq="h").strftime("%Y-%m-%d %H:%M")
    source = tmp_path / "t.csv"
    pd.DataFrame({"a": np.arange(100_000.0) % 97, "when": times, "y": np.arange(100_000) % 2}).to_csv(source)
    text = draft(source, target="y")
    assert "validation_from: 2027-12-26, test_from: 2029-09-11" in text
    assert "These give validation about 15 % of the rows, and test 15 %" in text


def test_few_different_times_are_all_used_and_each_part_gets_one() -> None:
    for counts in ((1, 1, 98), (98, 1, 1), (30, 30, 40)):
        days = [f"2024-01-0{day + 1}" for day, count in enumerate(counts) for _ in range(count)]
        cuts = time_cuts(days, pa.string(), share=0.15)
        assert cuts is not None
        assert (cuts.validation_from, cuts.test_from) == ("2024-01-02", "2024-01-03")
        assert cuts.test == pytest.approx(counts[2] / 100)


def test_two_different_times_and_what_is_no_date_make_no_cut_offs() -> None:
    assert time_cuts(["2024-01-01", "2024-01-02"] * 9, pa.string(), share=0.15) is None
    assert time_cuts(["10:00:00", "11:00:00", "12:00:00"], pa.time32("s"), share=0.15) is None
    assert time_cuts([], pa.string(), share=0.15) is None
