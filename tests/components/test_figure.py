"""Figures in plain text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.figure import figure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (62_543.21, "62,543"),
        (12_543_210.4, "12,543,210"),
        (0.98765432, "0.9877"),
        (0.95, "0.95"),
        (-56.034, "-56.03"),
        (0.0000123456, "0.00001235"),
        (0, "0"),
        (math.nan, "nan"),
        (1e30, "1e+30"),
    ],
)
def test_figures_are_written_as_people_do(value: float, text: str) -> None:
    assert figure(value) == text


@given(st.floats(1e-8, 1e14))
def test_four_digits_are_right_and_none_is_an_exponent(value: float) -> None:
    assert "e" not in figure(value)
    assert float(figure(value).replace(",", "")) == pytest.approx(value, rel=5.1e-4)
