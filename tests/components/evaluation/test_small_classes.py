"""Macro figures of many classes of few rows each: what draws of them don't show."""

import numpy as np
import pytest

from components.evaluation.bunches import bunches
from components.evaluation.unseen import by_class
from tests.components.evaluation.test_unseen import labels

MACRO = ("balanced_accuracy", "precision_macro", "recall_macro", "f1_macro")


def cycled(classes=60, *, rows=4):
    """Classes of which one row each is said to be of the next class."""
    target = np.repeat(np.arange(classes), rows)
    return labels(target, (target + (np.arange(len(target)) % rows == 0)) % classes)


def lengths(given, metric, *, value, confidence=0.95, bunched=None):
    """Return how far an interval reaches below and above its value."""
    low, high = by_class(given, [metric], 2000, confidence=confidence, seed=0, bunched=bunched)[metric]
    return value - low, high - value


@pytest.mark.parametrize(("confidence", "errors"), [(0.8, 1.2816), (0.95, 1.96)])
def test_the_mean_recall_of_many_classes_is_as_unsure_as_its_variance_says(confidence, errors):
    """The variance of a share p of n rows is p (1 - p) / (n - 1), unbiased; weights of the rows give n + 1."""
    below, above = lengths(cycled(), "balanced_accuracy", value=0.75, confidence=confidence)
    assert below + above == pytest.approx(2 * errors * (0.75 * 0.25 / 3 / 60) ** 0.5, rel=0.06)


def test_precision_is_less_where_classes_of_which_more_is_found_are_named_more_often():
    variance = 0.75 * 0.25 / 3
    below, above = lengths(cycled(), "precision_macro", value=0.75)
    assert above == pytest.approx(1.96 * (variance / 60) ** 0.5, rel=0.06)
    assert below - above == pytest.approx(0.75 * variance, rel=0.15)


def test_precision_is_as_unsure_as_the_rows_that_are_said_to_be_of_each_class_are_few():
    """Of 30 classes of 20 rows each is named 4 times, 3 of them rightly: the other rows are said to be of one more."""
    target, nth = np.repeat(np.arange(30), 20), np.arange(600) % 20
    said = np.where(nth < 3, target, np.where(nth == 3, (target + 1) % 30, 30))
    below, above = lengths(labels(target, said), "precision_macro", value=0.75 * 30 / 31)
    variance, recall = 0.75 * 0.25 / 3, 3 / 20
    assert below + above == pytest.approx(2 * 1.96 * (30 * variance) ** 0.5 / 31 + recall * variance, rel=0.06)


def test_f1_is_more_since_it_is_a_concave_share_of_the_rows_that_are_of_a_class_or_said_to_be():
    """F1 = 2 J / (1 + J) of J = 3 of 5 rows: the bias is half the second derivative times J (1 - J) / (n - 1)."""
    below, above = lengths(cycled(), "f1_macro", value=0.75)
    assert above - below == pytest.approx(2 / 1.6**3 * 0.6 * 0.4 / 4, rel=0.25)


def test_draws_of_f1_that_are_too_small_once_more_make_its_lower_end_no_lower():
    """Of 60 classes of 3 rows in 10 a row is said to be of the next class."""
    target = np.repeat(np.arange(60), 3)
    given = labels(target, target + (np.arange(180) % 3 == 0) * (np.arange(180) < 30))
    value = (4 / 5 + 9 * 4 / 6 + 6 / 7 + 49) / 60
    below, above = lengths(given, "f1_macro", value=value)
    assert below < 0.042
    assert above > 0.042


@pytest.mark.parametrize("right", [True, False])
def test_ends_are_shares(right):
    """Of 60 classes of 3 rows three have a row that is wrong, or right."""
    target, few = np.repeat(np.arange(60), 3), np.isin(np.arange(180), (0, 30, 60))
    given = labels(target, np.where(few == right, (target + 1) % 60, target))
    for metric, (low, high) in by_class(given, MACRO, 200, confidence=0.95, seed=0, bunched=None).items():
        assert 0 <= low < high <= 1, metric


def test_classes_of_one_row_are_as_unsure_as_if_they_were_alike():
    target = np.append(np.arange(300), np.full(20, 300))
    given = labels(target, np.where(np.arange(320) % 2 == 0, target, 301))
    below, above = lengths(given, "balanced_accuracy", value=0.5)
    assert below + above == pytest.approx(2 * 1.96 * (0.25 * 299) ** 0.5 / 301, rel=0.06)


def test_a_single_class_of_one_row_is_the_unseen_rows_and_makes_the_others_no_less_sure():
    """Two classes of 200 rows beside it, nine tenths of which are right."""
    target = np.append(np.repeat([0, 1], 200), 2)
    given = labels(target, np.where((np.arange(401) % 10 == 0) & (target < 2), 1 - target, target))
    _, above = lengths(given, "balanced_accuracy", value=2.8 / 3)
    assert above == pytest.approx(1.96 * (2 * 0.09 / 200) ** 0.5 / 3, rel=0.2)


@pytest.mark.parametrize("metric", MACRO)
def test_copies_make_many_small_classes_no_surer(metric):
    given, copies = cycled(20), np.tile(np.arange(80), 5)
    copied = labels(np.tile(given.target, 5), np.tile(given.predicted, 5))
    apart = lengths(given, metric, value=0.75)
    assert lengths(copied, metric, value=0.75, bunched=bunches(copies)) == pytest.approx(apart, rel=0.1)


def test_each_figure_has_the_interval_of_its_own_shares():
    random, target = np.random.default_rng(0), np.repeat([0, 1], [3000, 500])
    wrong = random.random(3500) < np.array([0.1, 0.3])[target]
    given = labels(target, np.where(wrong, 1 - target, target))
    hits = [float((~wrong & (target == k)).sum()) for k in (0, 1)]
    said = [float((given.predicted == k).sum()) for k in (0, 1)]
    recall = np.mean([hits[0] / 3000, hits[1] / 500])
    precision = np.mean([hits[0] / said[0], hits[1] / said[1]])
    f1 = np.mean([2 * hits[0] / (3000 + said[0]), 2 * hits[1] / (500 + said[1])])
    found = by_class(given, MACRO, 500, confidence=0.95, seed=0, bunched=None)
    for metric, value in zip(MACRO, (recall, precision, recall, f1), strict=True):
        low, high = found[metric]
        assert (low + high) / 2 == pytest.approx(value, abs=0.004), metric
        assert high - low < 0.06, metric


@pytest.mark.parametrize("stratified", [True, False])
def test_intervals_of_60_classes_of_4_rows_hold_the_truth_as_often_as_they_say(stratified):
    """Of every class 0.8 of the rows are right, and the others are said to be of any other."""
    random, held, every = np.random.default_rng(0), dict.fromkeys(MACRO, 0), np.repeat(np.arange(60), 4)
    for _ in range(50):
        target = every if stratified else random.integers(60, size=240)
        wrong = random.random(240) < 0.2
        given = labels(target, np.where(wrong, (target + random.integers(1, 60, size=240)) % 60, target))
        for metric, (low, high) in by_class(given, MACRO, 100, confidence=0.95, seed=0, bunched=None).items():
            held[metric] += low <= 0.8 <= high
    assert min(held.values()) >= 44, held
