"""What of a served model's answers counts as another answer than it gave before."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.release.trial import Trial, differences, trial

ROWS = ({"size": 1.0, "city": "Ulm"}, {"size": None, "city": None})
SHARES = trial(ROWS, np.array([[0.25, 0.75], [1.0, 0.0]]), ("a", "b"))
VALUES = trial(ROWS, np.array([[2000.0], [0.5]]), ())


def answered(*, b: float = 0.75) -> pd.DataFrame:
    return pd.DataFrame({"prediction": ["b", "a"], "probability_a": [0.25, 1.0], "probability_b": [b, 0.0]})


def test_a_trial_comes_back_equal(tmp_path: Path) -> None:
    SHARES.write(tmp_path / "trial.json")
    assert Trial.read(tmp_path / "trial.json") == SHARES


def test_a_probability_may_differ_in_its_last_digits_alone() -> None:
    assert differences(SHARES, answered()) == ""
    assert differences(SHARES, answered(b=0.75 + 9e-5)) == ""
    assert differences(SHARES, answered(b=0.75 - 2e-4)) == "a difference of 0.0002, where 0.0001 is allowed"


@pytest.mark.parametrize(
    ("values", "said"), [([2000.1, 0.5], ""), ([2000.3, 0.5], "0.00015"), ([2000.0, 0.5002], "0.0002")]
)
def test_a_value_may_differ_by_a_share_of_it(values: list[float], said: str) -> None:
    told = differences(VALUES, pd.DataFrame({"prediction": values}))
    assert told == (said and f"a difference of {said}, where 0.0001 is allowed")


def test_too_few_answers_and_absent_columns_are_differences() -> None:
    assert differences(SHARES, answered().head(1)) == "1 answers to 2 rows"
    assert differences(SHARES, answered().drop(columns="probability_b")) == "no column probability_b"
    assert "difference" in differences(SHARES, answered(b=float("nan")))
