"""Lengths of time, which are neither dates nor numbers."""

from pathlib import Path

import pandas as pd
import pytest

from components.data.drafting.draft import draft
from components.errors import Refusal


def table(folder: Path) -> Path:
    frame = pd.DataFrame({"x": range(60), "stay": pd.to_timedelta(range(60), "min"), "ill": [0, 1] * 30})
    frame.assign(x=frame["x"] * 37 % 60).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def test_a_column_of_lengths_of_time_is_called_so_and_is_none_of_dates(tmp_path: Path) -> None:
    text = draft(table(tmp_path), target="ill")
    said = "lengths of time: of use to a model as numbers, so write them as seconds (in pandas: .dt.total_seconds())"
    assert f"    stay: ignore  # {said}\n" in text
    assert "split by time" not in text


def test_a_target_of_lengths_of_time_is_refused_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        draft(table(tmp_path), target="stay")
    said = str(refused.value)
    assert "column 'stay': the target's values are lengths of time, of type duration[" in said
    assert "write them as seconds" in said
    assert "currency" not in said
