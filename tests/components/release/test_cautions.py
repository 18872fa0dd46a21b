"""What a reader is warned of."""

import pytest

from components.evaluation.interval import Interval
from components.evaluation.metrics import ClassFigures, Evaluation
from components.release.cautions import cautions
from components.task import Metric


def evaluation(metric: Metric, figures: Interval, *classes: tuple[str, int, int]) -> Evaluation:
    """Of 160 rows; classes are a name, its rows, and how many of them are found."""
    of = [
        ClassFigures(name=name, precision=0.5, recall=found / rows, f1=0.5, roc_auc=0.5, support=rows, predicted=9)
        for name, rows, found in classes
    ]
    task = "regression" if metric == "rmse" else "classification"
    return Evaluation(
        task=task, rows=160, confidence=0.95, resamples=1000, figures={metric: figures}, classes=tuple(of)
    )


@pytest.mark.parametrize(
    ("metric", "released", "uncompressed", "worst", "simple", "expected"),
    [
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.9}, []),
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.965}, []),
        ("accuracy", 0.9, 0.97, 0.96, {}, ["uncompressed model has accuracy 0.97, this one 0.9", "30 validation rows"]),
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.97}, ["a linear model does as well: accuracy 0.97"]),
        (
            "accuracy",
            0.9,
            0.9,
            0.9,
            {"gradient_boosting": 0.99},
            ["gradient boosting is better: accuracy 0.99 against"],
        ),
        (
            "accuracy",
            0.96,
            0.96,
            0.95,
            {"linear": 0.962},
            ["a linear model may be better: accuracy 0.962 against 0.96 (0.94 to 0.98 on 160 rows)"],
        ),
        ("accuracy", 0.96, 0.96, 0.95, {"constant": 0.92}, []),
        (
            "accuracy",
            0.93,
            0.93,
            0.92,
            {"constant": 0.92},
            ["isn't shown to be better than a constant answer: accuracy 0.92 against 0.93 (0.91 to 0.95 on 160 rows)"],
        ),
        ("rmse", 3.0, 3.0, 3.03, {"linear": 2.5, "constant": 9.0}, ["a linear model is better: rmse 2.5 against 3"]),
        ("rmse", 3.0, 3.0, 3.03, {"linear": 2.99, "constant": 3.01}, ["linear model may be", "than a constant"]),
        ("rmse", 3.2, 3.0, 3.03, {}, ["uncompressed model has rmse 3, this one 3.2"]),
    ],
)
def test_what_is_worth_a_warning_is_said(
    metric: Metric, released: float, uncompressed: float, worst: float, simple: dict[str, float], expected: list[str]
) -> None:
    measured = evaluation(metric, Interval(released, released - 0.02, released + 0.02))
    found = cautions(metric, released=measured, uncompressed=uncompressed, simple=simple, worst=worst, selected_on=30)
    assert len(found) == min(len(expected), 2 if metric == "rmse" else 1)
    assert all(any(words in sentence for sentence in found) for words in expected)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((("no", 147, 140), ("yes", 13, 7)), ()),
        ((("no", 147, 140), ("yes", 13, 2)), ("of 13 rows of 'yes' 2 are found",)),
        (
            (("a", 50, 10), ("b", 40, 0), ("c", 30, 10)),
            ("of 40 rows of 'b' 0 are found, and fewer than half of those of 2 other classes",),
        ),
    ],
)
def test_a_class_that_is_hardly_found_is_named(
    classes: tuple[tuple[str, int, int], ...], expected: tuple[str, ...]
) -> None:
    measured = evaluation("accuracy", Interval(0.9, 0.88, 0.92), *classes)
    assert cautions("accuracy", released=measured, uncompressed=0.9, simple={}, worst=0.9, selected_on=30) == expected
