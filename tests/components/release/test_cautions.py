"""What a reader is warned of."""

import pytest

from components.release.cautions import cautions
from components.task import Metric


@pytest.mark.parametrize(
    ("metric", "released", "uncompressed", "worst", "simple", "expected"),
    [
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.9}, []),
        ("accuracy", 0.9, 0.97, 0.96, {}, ["uncompressed model has accuracy 0.97, this one 0.9", "30 validation rows"]),
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.97}, ["a linear model does as well: 0.97"]),
        ("accuracy", 0.96, 0.96, 0.95, {"gradient_boosting": 0.97}, ["gradient boosting is better: 0.97 against 0.96"]),
        ("rmse", 3.0, 3.0, 3.03, {"linear": 2.5, "constant": 9.0}, ["a linear model is better: 2.5 against 3"]),
        ("rmse", 3.2, 3.0, 3.03, {}, ["uncompressed model has rmse 3, this one 3.2"]),
    ],
)
def test_what_is_worth_a_warning_is_said(
    metric: Metric, released: float, uncompressed: float, worst: float, simple: dict[str, float], expected: list[str]
) -> None:
    found = cautions(metric, released=released, uncompressed=uncompressed, simple=simple, worst=worst, selected_on=30)
    assert bool(found) == bool(expected)
    assert all(any(words in sentence for sentence in found) for words in expected)
