"""What a reader is warned of."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.evaluation.config import EvaluateConfig
from components.evaluation.interval import Interval
from components.evaluation.metrics import ClassFigures, Evaluation, evaluate, lead
from components.figure import figure
from components.release.cautions import cautions
from components.task import Metric


def evaluation(metric: Metric, figures: Interval, *classes: tuple[str, int, int]) -> Evaluation:
    """Of 160 rows; classes are a name, its rows, and how many of them are found."""
    of = [
        ClassFigures(
            name=name, precision=0.5, recall=found / max(rows, 1), f1=0.5, roc_auc=0.5, support=rows, predicted=9
        )
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
        ("accuracy", 0.9, 0.97, 0.96, {}, ["uncompressed model has accuracy 0.97, this one 0.9"]),
        ("accuracy", 0.97, 0.97, 0.96, {"linear": 0.97}, ["a linear model does as well: accuracy 0.97"]),
        ("accuracy", 0.9, 0.9, 0.9, {"gradient_boosting": 0.99}, ["gradient boosting is better: it has accuracy 0.99"]),
        (
            "accuracy",
            0.96,
            0.96,
            0.95,
            {"linear": 0.962},
            [
                "a linear model may be better: it has accuracy 0.962, this one 0.96; compared row by row it is ahead by "
                "0.002 (-0.018 to 0.022 at 95 % confidence), which 160 rows can't tell from nothing"
            ],
        ),
        ("accuracy", 0.96, 0.96, 0.95, {"constant": 0.92}, []),
        ("accuracy", 0.93, 0.93, 0.92, {"constant": 0.92}, ["a constant answer may do as well: it has accuracy 0.92"]),
        ("rmse", 3.0, 3.0, 3.03, {"linear": 2.5, "constant": 9.0}, ["a linear model is better: it has rmse 2.5"]),
        (
            "rmse",
            3.0,
            3.0,
            3.03,
            {"linear": 2.99, "constant": 3.01},
            ["a linear model may be better", "a constant answer may do as well"],
        ),
        ("rmse", 3.2, 3.0, 3.03, {}, ["uncompressed model has rmse 3, this one 3.2"]),
    ],
)
def test_what_is_worth_a_warning_is_said(
    metric: Metric, released: float, uncompressed: float, worst: float, simple: dict[str, float], expected: list[str]
) -> None:
    """A lead is certain from 0.02 on."""
    sign = -1 if metric in ("rmse", "mae") else 1
    leads = {name: sign * (released - value) for name, value in simple.items()}
    found = cautions(
        metric,
        released=evaluation(metric, Interval(released, released - 0.02, released + 0.02)),
        uncompressed=uncompressed,
        simple=simple,
        leads={name: Interval(value, value - 0.02, value + 0.02) for name, value in leads.items()},
        worst=worst,
        selected_on=30,
    )
    assert len(found) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("metric", "released", "simple", "told"),
    [
        ("accuracy", 0.99, {"constant": 0.5, "one_column": 0.97}, True),
        ("accuracy", 0.99, {"constant": 0.5, "one_column": 0.96}, False),
        ("accuracy", 0.99, {"constant": 0.98, "one_column": 0.99}, False),  # hardly anything was learned
        ("accuracy", 0.99, {"constant": 0.5, "one_column": 0.995}, True),
        ("rmse", 1.0, {"constant": 9.0, "one_column": 2.1}, True),
        ("rmse", 1.0, {"constant": 9.0, "one_column": 2.4}, False),
        ("rmse", 3.2, {"constant": 7638.0, "one_column": 971.9}, True),  # the target itself, in 64 steps
        ("mae", 1.0, {"constant": 9.0, "one_column": 2.1}, True),
        ("accuracy", 0.99, {"constant": 0.5}, False),
    ],
)
def test_a_column_that_tells_nearly_all_alone_is_named(
    metric: Metric, released: float, simple: dict[str, float], told: bool
) -> None:
    sign = -1 if metric in ("rmse", "mae") else 1
    found = cautions(
        metric,
        released=evaluation(metric, Interval(released, released, released)),
        uncompressed=released,
        simple=simple,
        leads={
            name: Interval(sign * (released - value), sign * (released - value) - 0.02, 9.0)
            for name, value in simple.items()
        },
        column="paid back",
        worst=released,
        selected_on=30,
    )
    alone = figure(simple.get("one_column", 0.0))
    assert [one for one in found if "kind must be" in one] == [
        f"the column 'paid back' alone has {metric} {alone}, this one {figure(released)}: if it is known only once the "
        "answer is, its kind must be ignore"
    ] * told


def test_a_column_alone_that_is_better_is_told_as_any_simple_model_is() -> None:
    leads = {"constant": Interval(-0.03, -0.1, 0.04), "one_column": Interval(-0.13, -0.2, -0.06)}
    found = said(
        simple={"constant": 0.53, "one_column": 0.63},
        leads=leads,
        column="CRP",
        released=evaluation("accuracy", Interval(0.5, 0.4, 0.6)),
    )
    assert any(one.startswith("the column 'CRP' alone is better: it has accuracy 0.63") for one in found)
    assert not any("known only once" in one for one in found)


def test_a_column_that_tells_nearly_all_is_the_first_of_all() -> None:
    simple = {"linear": 0.95, "constant": 0.5, "one_column": 0.9}
    leads = {"constant": Interval(0.4, 0.3, 0.5)}
    leak, lost, *others = said(simple=simple, leads=leads, column="paid back", worst=0.95, uncompressed=0.96)
    assert leak.startswith("the column 'paid back' alone has accuracy 0.9")
    assert lost.startswith("on test the uncompressed model has")
    assert len(others) == 1


@pytest.mark.parametrize(
    ("metric", "rows", "max_loss", "words"),
    [
        ("accuracy", 12, 0.01, "one of the 12 validation rows by which compression is judged counts 0.08333, more"),
        ("f1_macro", 99, 0.01, "one of the 99 validation rows by which compression is judged counts 0.0101 on average"),
        ("recall_macro", 1, 0.5, "the only validation row by which compression is judged counts 1 on average, more"),
        ("accuracy", 100, 0.01, ""),
        ("accuracy", 12, 0.1, ""),
        ("accuracy", 12, 0.0, ""),  # no larger share would help
        ("accuracy", 12, None, ""),
        ("roc_auc", 12, 0.01, ""),
        ("rmse", 12, 0.01, ""),
    ],
)
def test_validation_rows_too_few_to_judge_compression_by_are_told(
    metric: Metric, rows: int, max_loss: float | None, words: str
) -> None:
    found = cautions(
        metric,
        released=evaluation(metric, Interval(0.9, 0.88, 0.92)),
        uncompressed=0.9,
        simple={},
        leads={},
        worst=0.9,
        selected_on=rows,
        max_loss=max_loss,
    )
    assert [one.startswith(words) for one in found] == [True] * bool(words)
    end = f"the {max_loss} that select.max_loss allows to lose: give validation a larger share"
    assert all(one.endswith(end) for one in found)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((("no", 147, 140), ("yes", 13, 7)), ()),
        (
            (("no", 160, 150), ("absent", 0, 0)),
            ("no test row is of 'absent': nothing is known of how such rows are answered",),
        ),
        ((("no", 147, 140), ("yes", 13, 2)), ("of 13 rows of 'yes' 2 are found",)),
        (
            (("a", 50, 10), ("b", 40, 0)),
            ("of 40 rows of 'b' 0 are found, and fewer than half of those of 'a'",),
        ),
        (
            (("a", 50, 10), ("b", 40, 0), ("c", 30, 10)),
            ("of 40 rows of 'b' 0 are found, and fewer than half of those of 'a' and 'c'",),
        ),
        (
            tuple((name, 10, place) for place, name in enumerate("abcde")),
            ("of 10 rows of 'a' 0 are found, and fewer than half of those of 'b', 'c', 'd' and 1 other class",),
        ),
        (
            (("a", 20, 19), ("b", 0, 0), ("c", 0, 0)),
            ("no test row is of 'b' and 'c': nothing is known of how such rows are answered",),
        ),
        (
            tuple((name, 20, place) for place, name in enumerate("abcdef")),
            ("of 20 rows of 'a' 0 are found, and fewer than half of those of 'b', 'c', 'd' and 2 other classes",),
        ),
    ],
)
def test_a_class_that_is_hardly_found_is_named(
    classes: tuple[tuple[str, int, int], ...], expected: tuple[str, ...]
) -> None:
    measured = evaluation("accuracy", Interval(0.9, 0.88, 0.92), *classes)
    found = cautions("accuracy", released=measured, uncompressed=0.9, simple={}, leads={}, worst=0.9, selected_on=30)
    assert found == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((5, 90), ()),
        ((1, 90), ("fewer than 5 test rows are of 'a' (1 row): its figures say next to nothing",)),
        (
            (3, 90, 2),
            ("fewer than 5 test rows are of 'c' (2 rows) and 'a' (3 rows): their figures say next to nothing",),
        ),
        (
            (4, 3, 2, 1, 4),
            (
                "fewer than 5 test rows are of 'd' (1 row), 'c' (2 rows), 'b' (3 rows) and 2 other classes: their "
                "figures say next to nothing",
            ),
        ),
    ],
)
def test_classes_of_hardly_any_test_row_are_named(counts: tuple[int, ...], expected: tuple[str, ...]) -> None:
    classes = [(name, rows, rows) for name, rows in zip("abcde", counts, strict=False)]
    assert said(released=evaluation("accuracy", Interval(0.9, 0.88, 0.92), *classes)) == expected


def test_a_constant_whose_value_lies_outside_the_interval_is_compared_row_by_row() -> None:
    """Of 36 rows the net has 20, a constant 12, 5 of them the same: neither's own interval shows the difference's."""
    truth = np.repeat([0, 1, 2], 12)
    said = np.where(np.isin(np.arange(36), [*range(5), *range(12, 27)]), truth, (truth + 1) % 3)
    output, constant = np.eye(3)[said], np.eye(3)[np.zeros(36, dtype=int)]
    config = EvaluateConfig()
    made = evaluate(config, task="classification", target=truth, output=output, classes=("a", "b", "c"), seed=0)
    ahead = lead(
        config, metric="accuracy", task="classification", target=truth, output=output, other=constant, classes=3, seed=0
    )
    assert ahead is not None
    assert made.of("accuracy").low > 12 / 36, "its own interval leaves the constant's value out"
    assert ahead.low <= 0, "that of the difference doesn't: on other rows the constant would be right more often too"
    found, *_ = cautions(
        "accuracy",
        released=made,
        uncompressed=20 / 36,
        simple={"constant": 12 / 36},
        leads={"constant": ahead},
        worst=0.5,
        selected_on=30,
    )
    assert found == (
        "a constant answer may do as well: it has accuracy 0.3333, this one 0.5556; compared row by row this one is "
        f"ahead by 0.2222 ({figure(ahead.low)} to {figure(ahead.high)} at 95 % confidence), which 36 rows can't tell "
        "from nothing"
    )


@pytest.mark.parametrize("floorless", [True, False])
def test_a_first_release_of_which_nothing_was_asked_says_so(floorless: bool) -> None:
    found = cautions(
        "accuracy",
        released=evaluation("accuracy", Interval(0.9, 0.88, 0.92)),
        uncompressed=0.9,
        simple={},
        leads={},
        worst=0.9,
        selected_on=30,
        floorless=floorless,
    )
    words = "this first release would have passed with any accuracy: set gate.floor, and a poor one is refused"
    assert found == (words,) * floorless


def said(**given: Any) -> tuple[str, ...]:
    """What is said of a release of which nothing is to be said but what is given."""
    plain: dict[str, Any] = {
        "released": evaluation("accuracy", Interval(0.9, 0.88, 0.92)),
        "uncompressed": 0.9,
        "simple": {},
        "leads": {},
        "worst": 0.9,
        "selected_on": 30,
    }
    return cautions("accuracy", **{**plain, **given})


@pytest.mark.parametrize(
    ("rows", "bunches", "effective", "words"),
    [
        (9, None, None, "9 rows, which are too few to tell"),
        (160, 2, 1.9, "160 rows (2 independent bunches of them), which are too few to tell"),
        (
            160,
            20,
            3.14,
            "160 rows (20 independent bunches of them), which are so unlike in size that they say no more than 3.1 "
            "would, too few to tell",
        ),
    ],
)
def test_a_test_on_hardly_any_row_is_none(rows: int, bunches: int | None, effective: float | None, words: str) -> None:
    measured = evaluation("accuracy", Interval(0.9, 0.1, 1.0))
    released = replace(measured, rows=rows, bunches=bunches, effective=effective)
    better, few = said(released=released, simple={"linear": 0.95})
    assert few.startswith(f"it was tested on {words}")
    assert better.startswith("a linear model may be better: it has accuracy 0.95, this one 0.9, which ")
    assert not said(released=replace(released, rows=160, effective=None if bunches is None else 10.0))


def test_test_rows_that_are_copies_of_train_rows_are_counted() -> None:
    assert said() == ()
    (sentence,) = said(in_train=12)
    assert sentence.startswith("12 of the 160 test rows are exact copies of train rows")


@pytest.mark.parametrize(("gone", "words"), [(1.0, "none"), (0.75, "only 25 %")])
def test_rows_of_the_champion_that_may_only_look_otherwise_now_are_told(gone: float, words: str) -> None:
    (sentence,) = said(champion="people 3", gone=gone)
    assert sentence.startswith(f"{words} of the rows that people 3 learned from are in the data as they were: well")
    assert not said(champion="people 3", gone=0.5)
    assert not said(gone=gone)


def test_a_column_that_groups_the_rows_is_no_input() -> None:
    (sentence,) = said(input_group="patient")
    assert sentence.startswith("the column 'patient' groups the rows and is an input")


@pytest.mark.parametrize(("before", "warned"), [(0.27, True), (0.37, False), (None, False)])
def test_probabilities_that_compression_made_worse_are_named(before: float | None, warned: bool) -> None:
    """Of an interval from 0.36 up."""
    released = evaluation("accuracy", Interval(0.9, 0.88, 0.92))
    figures = {**released.figures, "log_loss": Interval(0.44, 0.36, 0.52)}
    found = said(released=replace(released, figures=figures), log_loss=before)
    assert [one.startswith("its probabilities are worse") for one in found] == [True] * warned
    assert not warned or "log_loss 0.44 (0.36 to 0.52), where that has 0.27;" in found[0]
