"""Numbers that stand for a missing one, told from those that only come often or are only large."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.drafting.draft import draft
from components.data.drafting.marks import KEPT, Ends, marks

rng = np.random.default_rng(0)
ROWS = 2000


def found(values: npt.ArrayLike) -> list[float]:
    numbers = np.asarray(values, np.float64)
    ends = Ends()
    for piece in np.array_split(numbers, 7):
        ends.add(piece)
    return [one.value for one in marks(ends, numbers=len(numbers))]


def planted(values: npt.ArrayLike, *planted: float, share: float = 0.05) -> npt.NDArray[np.float64]:
    numbers = np.array(values, np.float64)
    for place, mark in enumerate(planted):
        numbers[place :: round(1 / share)] = mark
    return numbers


ORDINARY = {
    "counts with zeros": np.where(rng.random(ROWS) < 0.6, 0, rng.poisson(4, ROWS)),
    "money with zeros": np.where(rng.random(ROWS) < 0.6, 0, rng.lognormal(8, 1, ROWS)),
    "sums far above zero, with zeros": np.where(rng.random(ROWS) < 0.2, 0, rng.integers(5000, 5100, ROWS)),
    "a rating of 1 to 5": rng.integers(1, 6, ROWS),
    "a rating that is mostly its top": np.where(rng.random(ROWS) < 0.9, 10, rng.integers(1, 10, ROWS)),
    "a long tail": rng.lognormal(0, 4, ROWS),
    "a long tail of both signs": rng.standard_cauchy(ROWS),
    "a tail that is cut off": np.minimum(rng.lognormal(0, 2, ROWS), 50),
    "none and one": rng.integers(0, 2, ROWS),
    "two far values": rng.choice([1.0, 5000.0], ROWS),
    "three far values": rng.choice([0, 500, 5000], ROWS),
    "years": rng.integers(1950, 2025, ROWS),
    "ages to 99": rng.integers(18, 100, ROWS),
    "percent to 99": rng.integers(0, 100, ROWS),
    "prices that end in nines": rng.choice([9, 19, 29, 49, 99], ROWS),
    "dear prices that end in nines": rng.choice([99, 199, 299, 499, 999], ROWS),
    "-1 below counts": np.where(rng.random(ROWS) < 0.1, -1, rng.integers(20, 30, ROWS)),
    "degrees": rng.integers(-20, 35, ROWS),
    "settings": rng.choice([-9, 0, 9], ROWS),
    "normal": rng.normal(0, 1, ROWS),
    "one value": np.full(ROWS, -999),
    "one value and its opposite": rng.choice([-99, 99], ROWS),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_column_has_no_mark(name: str) -> None:
    assert found(ORDINARY[name]) == []


@pytest.mark.parametrize(
    ("values", "used"),
    [
        (rng.normal(30, 9, ROWS), [-999]),
        (rng.lognormal(8, 2, ROWS), [-9]),
        (rng.integers(0, 2, ROWS), [-9]),
        (rng.integers(1, 6, ROWS), [99]),
        (rng.integers(18, 90, ROWS), [999]),
        (rng.normal(0, 100, ROWS), [-9999]),
        (rng.normal(0, 500, ROWS), [-9999, 9999]),
        (rng.standard_cauchy(ROWS) * 0.3, [-99999]),
        (rng.lognormal(0, 2, ROWS), [-999, -998]),
        (rng.integers(0, 9, ROWS), [98, 99]),
        (rng.integers(1990, 2025, ROWS), [9999]),
        (rng.integers(100, 120, ROWS), [-32768]),
        (rng.normal(0, 1, ROWS), [1e20]),
    ],
)
def test_a_planted_mark_is_found(values: npt.NDArray[np.float64], used: list[float]) -> None:
    assert found(planted(values, *used)) == sorted(used)


def test_a_mark_comes_in_a_hundredth_of_the_rows_and_in_five_at_least() -> None:
    values = rng.normal(30, 9, ROWS)
    for count, expected in ((19, []), (20, [-999.0])):
        assert found([*[-999] * count, *values[count:]]) == expected
    for count, expected in ((4, []), (5, [-999.0])):
        assert found([*[-999] * count, *values[count:100]]) == expected


@given(st.lists(st.lists(st.integers(-12, 12), max_size=30), max_size=5))
def test_the_outer_values_are_counted_exactly_however_the_rows_come(pieces: list[list[int]]) -> None:
    ends = Ends()
    for piece in pieces:
        ends.add(np.array(piece, np.float64))
    whole = [float(value) for piece in pieces for value in piece]
    values = sorted(set(whole))
    assert ends.low == {value: whole.count(value) for value in values[:KEPT]}
    assert ends.high == {value: whole.count(value) for value in values[-KEPT:]}


def test_a_mark_is_told_of_beside_its_column_and_in_the_first_lines(tmp_path: Path) -> None:
    lab, note = planted(rng.integers(3, 43, ROWS), -999, share=0.125), ["a", "b"] * (ROWS // 2)
    frame = pd.DataFrame({"lab": lab, "age": rng.integers(18, 90, ROWS), "note": note, "y": rng.integers(0, 2, ROWS)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    text = draft(tmp_path / "t.csv", target="y")
    said = "-999 in 250 of 2,000 rows, all other values are 3 to 42: empty those cells if they stand for missing ones"
    assert f"    lab: number  # {said}\n" in text
    assert "    age: number\n" in text
    assert "# WARNING: -999 in lab, far from all other values: a model takes that as a number like any other" in text
    frame.assign(age=planted(frame["age"], 999)).to_csv(tmp_path / "t.csv", index=False)
    assert "# WARNING: -999 in lab, 999 in age, far from all" in draft(tmp_path / "t.csv", target="y")


def test_a_mark_among_the_answers_is_told_of_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "weight": planted(rng.integers(3, 43, ROWS), -999)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    text = draft(tmp_path / "t.csv", target="weight")
    said = "-999 in 100 of 2,000 rows, all other values are 3 to 42: take those rows out if they stand for missing ones"
    assert f"    weight: number  # the target; {said}\n" in text
    assert "# WARNING: -999 in weight, far from all other values" in text
