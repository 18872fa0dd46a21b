"""What of a served model's answers counts as another answer than it gave before."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.data.preparing.preparation import Target
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
    ("off", "center", "said"),
    [
        (1.9e-4, 7.0, ""),  # of a deviation of 2
        (2.2e-4, 7.0, "0.00011"),
        (9.4e-4, 17.5, ""),  # of an answer that is 9.5 from the centre
        (9.7e-4, 17.5, "0.0001"),
    ],
)
def test_a_value_may_differ_by_a_share_of_its_deviation_whatever_the_unit(
    unit: float, off: float, center: float, said: str
) -> None:
    values = unit * np.array([[1e6], [8.0]])  # how far out another one lies counts for nothing
    made = trial(ROWS, values, Target(name="y", center=unit * center, scale=2 * unit))
    told = differences(made, pd.DataFrame({"prediction": [1e6 * unit, (8.0 + off) * unit]}))
    assert told == (said and f"a difference of {said}, where 0.0001 is allowed")


@pytest.mark.parametrize(
    ("values", "said"), [([2000.1, 0.5], ""), ([2000.3, 0.5], "0.00015"), ([2000.0, 0.5002], "0.0002")]
)
def test_a_trial_that_was_written_without_a_scale_takes_a_share_of_each_value(
    tmp_path: Path, values: list[float], said: str
) -> None:
    written = {"rows": list(ROWS), "outputs": [[2000.0], [0.5]], "classes": []}
    (tmp_path / "trial.json").write_text(json.dumps(written))
    told = differences(Trial.read(tmp_path / "trial.json"), pd.DataFrame({"prediction": values}))
    assert told == (said and f"a difference of {said}, where 0.0001 is allowed")


def test_too_few_answers_and_absent_columns_are_differences() -> None:
    assert differences(SHARES, answered().head(1)) == "1 answers to 2 rows"
    assert differences(SHARES, answered().drop(columns="probability_b")) == "no column probability_b"
    assert "difference" in differences(SHARES, answered(b=float("nan")))
