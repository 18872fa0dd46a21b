"""Intervals that hold what few rows can't rule out."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom
from scipy.stats import t as student

from components.evaluation.answers import Labels
from components.evaluation.bootstrap import resample
from components.evaluation.bunches import bunches
from components.evaluation.config import EvaluateConfig
from components.evaluation.few import wilson
from components.evaluation.metrics import evaluate
from components.evaluation.unseen import BY_CLASS, by_class, of_accuracy
from components.evaluation.weighted import weighted


def labels(target, said):
    return Labels(target=target, probabilities=np.eye(max(target.max(), said.max(), 1) + 1)[said], predicted=said)


def evaluated(target, said, *, groups=None, classes=None):
    output = np.eye(classes or target.max() + 1)[said]
    names = tuple("abcdefgh"[: output.shape[1]])
    given = {"task": "classification", "target": target, "output": output, "classes": names, "seed": 0}
    return evaluate(EvaluateConfig(), **given, groups=groups).figures


def ends(given, metric, *, bunched=None):
    return by_class(given, [metric], 300, confidence=0.95, seed=0, bunched=bunched)[metric]


@pytest.mark.parametrize("rows", [35, 100])
def test_a_wrong_answer_more_never_makes_accuracy_look_better(rows):
    target = np.zeros(rows, dtype=np.int64)
    made = [
        evaluated(target, (np.arange(rows) < wrong).astype(np.int64), classes=2)["accuracy"] for wrong in range(rows)
    ]
    assert all(one.low < before.low and one.high < before.high + 1e-12 for before, one in pairwise(made))
    if rows == 35:
        assert (made[1].low, made[1].high) == pytest.approx((0.855, 0.995), abs=5e-4)


def test_the_interval_of_accuracy_holds_the_truth_as_often_as_it_says_near_1():
    right = np.arange(36)
    held = [low <= 0.97 <= high for low, high in (wilson(x / 35, 35, confidence=0.95) for x in right)]
    assert binom.pmf(right, 35, 0.97)[held].sum() > 0.93


@pytest.mark.parametrize("wrong", [(), (0,), (0, 1)])
def test_accuracy_of_groups_is_never_surer_than_if_all_were_right_or_all_wrong(wrong):
    target, groups = np.zeros(80, dtype=np.int64), np.repeat(np.arange(20), 4)
    said = np.isin(np.arange(80), wrong).astype(np.int64)
    low = evaluated(target, said, groups=groups, classes=2)["accuracy"].low
    assert low <= wilson(1.0, 20, confidence=0.95)[0]
    high = evaluated(target, 1 - said, groups=groups, classes=2)["accuracy"].high
    assert high >= wilson(0.0, 20, confidence=0.95)[1]


def test_accuracy_of_rows_that_are_unlike_their_group_is_nearly_as_sure_as_of_rows_alone():
    said = (np.random.default_rng(0).random(400) < 0.3).astype(np.int64)
    given, apart = evaluated(np.zeros(400, dtype=np.int64), said, classes=2)["accuracy"], np.arange(400) % 50
    made = evaluated(np.zeros(400, dtype=np.int64), said, groups=apart, classes=2)["accuracy"]
    assert 0.8 < (made.high - made.low) / (given.high - given.low) < 1.3


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_no_interval_of_labels_is_without_a_width_where_all_are_right(classes):
    target = np.arange(60) % classes
    made = evaluated(target, target, classes=max(classes, 2))
    for metric in ("accuracy", *BY_CLASS):
        if metric in made:
            assert 0.85 < made[metric].low < 0.97, metric
            assert made[metric].high == 1, metric


@pytest.mark.parametrize(
    ("metric", "value", "least"),
    [
        ("balanced_accuracy", 2 / 3, 0.75),
        ("recall_macro", 2 / 3, 0.75),
        ("precision_macro", 0.6, 0.9),
        ("f1_macro", 17 / 27, 0.75),
        ("roc_auc", 0.8, 0.87),
    ],
)
def test_nor_where_a_class_is_never_found(metric, value, least):
    """Of 5 rows of which none is found half may be, and of a class that is never named precision may be 1."""
    target = np.repeat([0, 1, 2], [20, 20, 5])
    made = evaluated(target, np.where(target == 2, 0, target))[metric]
    assert made.value == pytest.approx(value)
    assert made.low < value - 0.02
    assert made.high > least


def test_macro_precision_may_be_nearly_1_where_a_class_is_never_named():
    made = evaluated(np.repeat([0, 1], [100, 5]), np.zeros(105, dtype=np.int64), classes=2)["precision_macro"]
    assert made.value == pytest.approx(0.476, abs=5e-4)
    assert made.high > 0.97


def test_the_precision_of_a_class_that_is_seldom_named_is_known_by_the_rows_that_are_said_to_be_of_it():
    target = np.repeat([0, 1], 40)
    made = evaluated(target, ((target == 1) & (np.arange(80) >= 77)).astype(np.int64))["precision_macro"]
    assert made.value == pytest.approx((40 / 77 + 1) / 2)
    assert made.low < 0.55, "of 3 rows that are right, 3 in 10 may be"


def test_of_one_class_the_ends_are_clopper_and_pearsons():
    from statsmodels.stats.proportion import proportion_confint

    target, said = np.zeros(40, dtype=np.int64), (np.arange(40) < 3).astype(np.int64)
    found = by_class(labels(target, said), ["balanced_accuracy"], 20_000, confidence=0.95, seed=0, bunched=None)
    assert found["balanced_accuracy"] == pytest.approx(proportion_confint(37, 40, method="beta"), abs=0.006)


def test_the_area_of_a_class_of_one_row_says_next_to_nothing():
    target = (np.arange(40) == 0).astype(np.int64)
    area = evaluated(target, target)["roc_auc"]
    assert area.value == area.high == 1
    assert area.low < 0.05


def test_the_area_of_a_row_that_is_ranked_amid_the_others_may_be_anything():
    score = np.arange(41) / 40
    target = (np.arange(41) == 20).astype(np.int64)
    low, high = ends(
        Labels(target=target, probabilities=np.stack([1 - score, score], axis=1), predicted=target), "roc_auc"
    )
    assert low < 0.05
    assert high > 0.95


def test_the_area_is_as_unsure_whichever_of_two_classes_is_the_small_one():
    target = np.repeat([0, 1], [30, 5])
    one, other = (evaluated(of, of)["roc_auc"].low for of in (target, 1 - target))
    assert one == pytest.approx(other, abs=1e-9)
    assert one < 0.6


def test_groups_that_are_all_right_are_as_many_as_their_bunches():
    target, groups = np.arange(60) % 3, np.arange(60) // 3
    apart, together = evaluated(target, target), evaluated(target, target, groups=groups)
    for metric in BY_CLASS:
        assert together[metric].low < apart[metric].low - 0.03, metric


def by_percentiles(given, metric):
    drawn = np.concatenate([weighted(metric, given, block) for block in resample(len(given.target), 300, seed=0)])
    return np.nanquantile(drawn, [0.025, 0.975])


@pytest.mark.parametrize(
    ("rows", "right"), [((20, 20), (0.97, 0.97)), ((20, 10, 5), (0.97, 0.97, 0.85)), ((30, 5), (0.95, 0.9))]
)
def test_the_interval_of_balanced_accuracy_of_few_rows_holds_the_truth_as_often_as_it_says(rows, right):
    random, truth, held, before = np.random.default_rng(0), np.mean(right), 0, 0
    target = np.repeat(np.arange(len(rows)), rows)
    for _ in range(200):
        wrong = random.random(len(target)) >= np.array(right)[target]
        given = labels(target, np.where(wrong, (target + 1) % len(rows), target))
        low, high = ends(given, "balanced_accuracy")
        held += low <= truth <= high
        low, high = by_percentiles(given, "balanced_accuracy")
        before += low <= truth <= high
    assert held / 200 >= 0.93
    assert before / 200 < 0.9, "resamples of what is right are right"


@pytest.mark.parametrize("rows", [(30, 30), (40, 5)])
@pytest.mark.parametrize("apart", [1.0, 3.0])
def test_the_interval_of_the_area_of_few_rows_holds_the_truth_as_often_as_it_says(rows, apart):
    """Scores of the two classes are normal, so many standard deviations apart."""
    random, truth, held = np.random.default_rng(0), float(ndtr(apart / 2**0.5)), 0
    target = np.repeat([0, 1], rows)
    for _ in range(200):
        score = ndtr(random.normal(size=len(target)) + apart * target)
        given = Labels(target=target, probabilities=np.stack([1 - score, score], axis=1), predicted=target)
        low, high = ends(given, "roc_auc")
        held += low <= truth <= high
    assert held / 200 >= 0.93


def test_accuracy_of_few_bunches_is_less_sure_as_their_spread_is_hardly_known():
    """Nine of 12 bunches of 8 rows are right: 11 rows would vary as much. Source: Korn and Graubard 1998."""
    right = np.repeat(np.arange(12) < 9, 8)
    found = of_accuracy(labels(0 * right, 1 - right), bunches(np.repeat(np.arange(12), 8)), confidence=0.95)
    worth = 11 * (student.ppf(0.975, 95) / student.ppf(0.975, 11)) ** 2
    assert found == pytest.approx(wilson(0.75, worth, confidence=0.95))


def test_accuracy_of_a_single_bunch_is_hardly_known():
    given = labels(np.zeros(8, dtype=np.int64), np.zeros(8, dtype=np.int64))
    low, high = of_accuracy(given, bunches(np.zeros(8)), confidence=0.95)
    assert low < 0.25
    assert high == 1


def calibration(target, sure, *, resamples=100, confidence=0.95, groups=None):
    """The calibration error of two classes, of which the second has the probabilities `sure`."""
    config = EvaluateConfig(resamples=resamples, confidence=confidence)
    given = {"task": "classification", "target": target, "output": np.c_[1 - sure, sure], "classes": ("a", "b")}
    return evaluate(config, **given, seed=0, groups=groups).figures["calibration_error"]


@pytest.mark.parametrize(("rows", "error"), [(100, 0.0), (300, 0.0), (300, 0.1)])
def test_the_interval_of_the_calibration_error_holds_the_truth_as_often_as_it_says(rows, error):
    """Resamples that are shifted back to what was seen, which is too large, hold a truth of 0 hardly ever."""
    random, held = np.random.default_rng(0), 0
    for _ in range(40):
        chance = random.uniform(0.55, 0.85, rows)
        seen = calibration((random.random(rows) < chance).astype(np.int64), chance + error)
        held += seen.low <= error <= seen.high
    assert held >= binom.ppf(0.001, 40, 0.95)


def test_answers_that_are_all_right_may_be_calibrated_though_they_are_not_wholly_sure():
    """Of 100 answers at 99 % the one that is expected to be wrong is missing 37 times in 100."""
    seen = calibration(np.ones(100, dtype=np.int64), np.full(100, 0.99), resamples=1000)
    assert seen.value == pytest.approx(0.01)
    assert seen.low == 0
    assert seen.high == pytest.approx(0.01 + 3 / 100, abs=0.005)  # the rule of three


def test_a_model_that_is_far_from_calibrated_is_shown_to_be():
    target = (np.random.default_rng(0).random(1000) < 0.6).astype(np.int64)
    seen, surer = (calibration(target, np.full(1000, 0.9), confidence=share) for share in (0.95, 0.6))
    assert 0.2 < seen.low < surer.low < seen.value < surer.high < seen.high < 0.4


def test_copies_make_the_calibration_error_no_surer():
    random = np.random.default_rng(0)
    sure = random.uniform(0.55, 0.85, 100)
    target = (random.random(100) < sure).astype(np.int64)
    once = calibration(target, sure, resamples=1000)
    copied = calibration(np.repeat(target, 5), np.repeat(sure, 5), resamples=1000, groups=np.repeat(np.arange(100), 5))
    assert copied.value == pytest.approx(once.value)
    assert copied.high == pytest.approx(once.high, rel=0.05)
