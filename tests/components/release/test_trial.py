"""What of a served model's answers counts as another answer than it gave before."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.data.preparation import Target
from components.release.trial import Trial, differences, trial

ROWS = ({"size": 1.0, "city": "Ulm"}, {"size": None, "city": None})
SHARES = trial(ROWS, np.array([[0.25, 0.75], [1.0, 0.0]]), Target(name="y", classes=("a", "b")))


def answered(*, b: float = 0.75) -> pd.DataFrame:
    return pd.DataFrame({"prediction": ["b", "a"], "probability_a": [0.25, 1.0], "probability_b": [b, 0.0]})


def test_a_trial_comes_back_equal(tmp_path: Path) -> None:
    SHARES.write(tmp_path / "trial.json")
    assert Trial.read(tmp_path / "trial.json") == SHARES


def test_a_probability_may_differ_in_its_last_digits_alone() -> None:
    assert differences(SHARES, answered()) == ""
    assert differences(SHARES, answered(b=0.75 + 9e-5)) == ""
    assert differences(SHARES, answered(b=0.75 - 2e-4)) == "a difference of 0.0002, where 0.0001 is allowed"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize(
    ("off", "center", "most"),
    [
        (1.9e-4, 0.0, ""),  # of a deviation of 2
        (2.1e-4, 0.0, "2e-04"),
        (9.9e-4, 17.5, ""),  # of an answer that is 10 from the centre
        (1.1e-3, 17.5, "1e-03"),
    ],
)
def test_a_value_may_differ_by_a_share_of_its_deviation_whatever_the_unit(
    unit: float, off: float, center: float, most: str
) -> None:
    made = trial(ROWS, unit * np.array([[7.5], [8.0]]), Target(name="y", center=unit * (center or 8.0), scale=2 * unit))
    told = differences(made, pd.DataFrame({"prediction": [7.5 * unit, (8.0 + off) * unit]}))
    assert told == (most and f"a difference of {off * unit:.2g}, where {float(most) * unit:.2g} is allowed")


def test_a_trial_that_was_written_without_a_scale_has_that_of_its_values(tmp_path: Path) -> None:
    for values, scale in (((2000.0, 0.5), 2000.0), ((0.1, -0.2), 1.0)):
        written = {"rows": list(ROWS), "outputs": [[value] for value in values], "classes": []}
        (tmp_path / "trial.json").write_text(json.dumps(written))
        assert Trial.read(tmp_path / "trial.json").scale == scale


def test_too_few_answers_and_absent_columns_are_differences() -> None:
    assert differences(SHARES, answered().head(1)) == "1 answers to 2 rows"
    assert differences(SHARES, answered().drop(columns="probability_b")) == "no column probability_b"
    assert "difference" in differences(SHARES, answered(b=float("nan")))
