"""Figures against scikit-learn, and what holds of every evaluation."""

import json
import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn import metrics

from components.errors import Refusal
from components.evaluation.answers import answers
from components.evaluation.bootstrap import resample
from components.evaluation.config import EvaluateConfig
from components.evaluation.few import wilson
from components.evaluation.metrics import Evaluation, check_areas, evaluate, figures, lead
from components.evaluation.weighted import weighted
from components.task import METRICS

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")


def drawn(rows, classes, *, seed, strength=1.5):
    random = np.random.default_rng(seed)
    target = random.integers(classes, size=rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), target] += strength
    powers = np.exp(logits)
    return target, powers / powers.sum(axis=1, keepdims=True)


def by_scikit_learn(target, output):
    said, classes = output.argmax(axis=1), output.shape[1]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(target, said, average="macro", zero_division=0)
    present = np.unique(target)
    areas = [metrics.roc_auc_score(target == k, output[:, k]) for k in present]
    return {
        "accuracy": metrics.accuracy_score(target, said),
        "balanced_accuracy": metrics.recall_score(target, said, average="macro", labels=present, zero_division=0),
        "precision_macro": precision,
        "recall_macro": recall,
        "f1_macro": f1,
        "roc_auc": metrics.roc_auc_score(target, output[:, 1]) if classes == 2 else np.mean(areas),
        "log_loss": metrics.log_loss(target, output, labels=range(classes)),
    }


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(30, 80), st.integers(2, 6))
def test_figures_of_classes_equal_scikit_learns(seed, rows, classes):
    target, output = drawn(rows, classes, seed=seed)
    if len(np.unique(target)) < 2:
        return
    got = figures("classification", target=target, output=output, classes=classes)
    for metric, value in by_scikit_learn(target, output).items():
        assert got[metric] == pytest.approx(value, abs=1e-12), metric


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 80))
def test_figures_of_values_equal_scikit_learns(seed, rows):
    random = np.random.default_rng(seed)
    target = random.normal(size=rows) * 50 + 1e4
    output = target + random.normal(size=rows)
    got = figures("regression", target=target, output=output[:, None], classes=0)
    assert got["rmse"] == pytest.approx(metrics.root_mean_squared_error(target, output), rel=1e-12)
    assert got["mae"] == pytest.approx(metrics.mean_absolute_error(target, output), rel=1e-12)
    assert got["r2"] == pytest.approx(metrics.r2_score(target, output), abs=1e-9)


def test_roc_auc_counts_ties_half_as_scikit_learn_does():
    random = np.random.default_rng(3)
    target = random.integers(2, size=200)
    score = random.integers(5, size=200) / 4
    got = figures("classification", target=target, output=np.stack([1 - score, score], axis=1), classes=2)
    assert got["roc_auc"] == pytest.approx(metrics.roc_auc_score(target, score), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_weighted_figure_is_the_figure_of_repeated_rows(classes):
    target, output = drawn(60, classes, seed=1)
    weights = next(resample(60, 5, seed=2))
    known = answers("classification", target=target, output=output, classes=classes)
    for column in weights.T:
        index = np.repeat(np.arange(60), column.astype(int))
        repeated = figures("classification", target=target[index], output=output[index], classes=classes)
        for metric in METRICS["classification"]:
            value = weighted(metric, known, column[:, None])[0]
            assert value == pytest.approx(repeated[metric], abs=1e-12), metric


def test_every_resample_draws_as_many_rows_as_there_are():
    blocks = list(resample(900_000, 5, seed=0))
    assert sum(block.shape[1] for block in blocks) == 5
    assert all((block.sum(axis=0) == 900_000).all() for block in blocks)


def test_calibration_error_by_hand():
    output = np.array([[0.9, 0.1]] * 10 + [[0.3, 0.7]] * 10)
    target = np.array([0] * 8 + [1] * 2 + [1] * 4 + [0] * 6)
    got = figures("classification", target=target, output=output, classes=2)
    assert got["calibration_error"] == pytest.approx((abs(0.8 - 0.9) + abs(0.4 - 0.7)) / 2)


def test_a_wrong_answer_that_is_certain_costs_no_more_than_a_float32_can_say():
    got = figures("classification", target=[1, 0], output=[[1.0, 0.0], [1.0, 0.0]], classes=2)
    assert got["log_loss"] == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)


def test_a_class_without_rows_changes_what_scikit_learn_says_it_changes():
    target, output = drawn(80, 4, seed=5, strength=4)
    target = np.where(target == 3, 0, target)
    got = figures("classification", target=target, output=output, classes=4)
    for metric, value in by_scikit_learn(target, output).items():
        assert got[metric] == pytest.approx(value, abs=1e-12), metric


def test_figures_that_are_not_defined_are_left_out_and_noted():
    target, output = drawn(20, 2, seed=0)
    assert "roc_auc" not in figures("classification", target=target * 0, output=output, classes=2)
    assert "r2" not in figures("regression", target=np.full(20, 0.1), output=output[:, 0], classes=0)
    seen = evaluate(
        EvaluateConfig(), task="classification", target=target * 0, output=output, classes=NAMES[:2], seed=0
    )
    assert "roc_auc isn't defined on these rows." in seen.notes
    assert seen.classes[0].roc_auc is None


@pytest.mark.parametrize(
    ("target", "output", "says"),
    [
        ([0, 1], [[0.5, 0.5], [np.nan, 1.0]], "NaN or infinite on 1 of 2 rows, first on row 1"),
        ([0, 1], [[0.5, 0.5], [0.5, 1.0]], "row 1 sums to 1.5"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "class index"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "class index"),
        ([0, 1], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], "shape"),
        ([], np.zeros((0, 2)), "at least 1 row"),
    ],
)
def test_an_output_that_does_not_fit_is_refused(target, output, says):
    with pytest.raises(Refusal, match=says.replace("(", ".")):
        figures("classification", target=target, output=output, classes=2)


def test_nan_in_the_truth_of_a_regression_is_refused():
    with pytest.raises(Refusal, match="target holds NaN"):
        figures("regression", target=[0.0, np.nan], output=[0.0, 1.0], classes=0)


def evaluated(rows=400, classes=10, *, seed=0, **config):
    target, output = drawn(rows, classes, seed=seed, strength=2.5)
    return evaluate(
        EvaluateConfig(**config), task="classification", target=target, output=output, classes=NAMES[:classes], seed=1
    )


def test_an_evaluation_survives_json_unchanged():
    for seen in (
        evaluated(60, 3),
        evaluate(
            EvaluateConfig(), task="regression", target=np.arange(9.0), output=np.arange(9.0) + 0.1, classes=(), seed=0
        ),
    ):
        text = json.dumps(asdict(seen), allow_nan=False)
        assert TypeAdapter(Evaluation).validate_json(text) == seen


def test_intervals_hold_their_value_and_narrow_with_more_rows():
    few, many = evaluated(100, 3), evaluated(1600, 3)
    for metric, seen in few.figures.items():
        assert seen.low <= seen.value <= seen.high, metric
    for metric in ("accuracy", "f1_macro", "log_loss"):
        wide, narrow = few.figures[metric], many.figures[metric]
        assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_the_interval_of_accuracy_covers_the_truth_as_often_as_it_says():
    # A share of 0.85 on 200 rows, 150 times: 95 % within 4 standard errors of the simulation.
    random, covered = np.random.default_rng(0), 0
    for _ in range(150):
        target = np.zeros(200, dtype=np.int64)
        right = random.random(200) < 0.85
        output = np.where(right[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
        seen = evaluate(
            EvaluateConfig(resamples=100),
            task="classification",
            target=target,
            output=output,
            classes=("a", "b"),
            seed=0,
        )
        covered += seen.figures["accuracy"].low <= 0.85 <= seen.figures["accuracy"].high
    assert 0.88 <= covered / 150 <= 0.99


@pytest.mark.parametrize(("confidence", "errors"), [(0.8, 1.2816), (0.95, 1.96)])
def test_an_interval_reaches_as_far_as_its_confidence_says(confidence, errors):
    """Of a share of many rows that is a known number of standard errors, and so is that of a difference of two."""
    random = np.random.default_rng(0)
    target, right = np.zeros(2000, dtype=np.int64), random.random((2, 2000, 1)) < [[[0.7]], [[0.6]]]
    ours, theirs = np.where(right, [0.8, 0.2], [0.2, 0.8])
    config = EvaluateConfig(confidence=confidence, resamples=2000)
    seen = evaluate(config, task="classification", target=target, output=ours, classes=("a", "b"), seed=0)
    share = seen.figures["accuracy"]
    error = (share.value * (1 - share.value) / 2000) ** 0.5
    assert share.high - share.low == pytest.approx(2 * errors * error, rel=0.08)
    said = {"metric": "accuracy", "task": "classification", "target": target, "classes": 2, "seed": 0}
    ahead = lead(config, output=ours, other=theirs, **said)
    error = (right[0].astype(float) - right[1]).std() / 2000**0.5
    assert ahead.high - ahead.low == pytest.approx(2 * errors * error, rel=0.08)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_perfect_answers_do_not_claim_certainty(confidence):
    target, config = np.arange(100) % 2, EvaluateConfig(confidence=confidence)
    seen = evaluate(config, task="classification", target=target, output=np.eye(2)[target], classes=("a", "b"), seed=0)
    assert seen.figures["accuracy"].low == pytest.approx(wilson(1.0, 100, confidence=confidence)[0])
    assert seen.figures["accuracy"].low < 0.99
    assert not seen.notes


def test_wilsons_interval_is_statsmodels_one():
    from statsmodels.stats.proportion import proportion_confint

    for right, rows in ((0, 9), (7, 9), (100, 100), (43, 170)):
        expected = proportion_confint(right, rows, alpha=0.1, method="wilson")
        assert wilson(right / rows, rows, confidence=0.9) == pytest.approx(expected, abs=1e-12)


def test_details_agree_with_scikit_learn():
    target, output = drawn(300, 4, seed=7)
    seen = evaluate(EvaluateConfig(), task="classification", target=target, output=output, classes=NAMES[:4], seed=0)
    said = output.argmax(axis=1)
    assert np.array_equal(seen.confusion, metrics.confusion_matrix(target, said))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(target, said, zero_division=0)
    assert [c.precision for c in seen.classes] == pytest.approx(list(precision))
    assert [c.recall for c in seen.classes] == pytest.approx(list(recall))
    assert [c.f1 for c in seen.classes] == pytest.approx(list(f1))
    assert [c.support for c in seen.classes] == list(support)
    areas = [metrics.roc_auc_score(target == k, output[:, k]) for k in range(4)]
    assert [c.roc_auc for c in seen.classes] == pytest.approx(areas)
    assert sum(b.rows for b in seen.calibration) == 300
    error = sum(b.rows * abs(b.accuracy - b.confidence) for b in seen.calibration) / 300
    assert error == pytest.approx(seen.figures["calibration_error"].value)
    assert seen.confused[0].rows == max(seen.confusion[i][j] for i in range(4) for j in range(4) if i != j)


def test_the_pairs_of_very_many_classes_need_no_matrix_of_them():
    classes, rows = 6000, 40
    target, output = drawn(rows, classes, seed=3)
    names = tuple(map(str, range(classes)))
    tracemalloc.start()
    seen = evaluate(
        EvaluateConfig(resamples=100), task="classification", target=target, output=output, classes=names, seed=0
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * classes**2 / 2  # bytes
    wrong = [
        (names[true], names[said]) for true, said in zip(target, output.argmax(axis=1), strict=True) if true != said
    ]
    assert {(one.true, one.predicted) for one in seen.confused} <= set(wrong)
    assert len(seen.confused) == min(20, len(set(wrong)))


def test_residuals_are_in_the_targets_unit():
    target = np.arange(2000.0)
    seen = evaluate(EvaluateConfig(), task="regression", target=target, output=target + 3, classes=(), seed=0)
    assert seen.residuals is not None
    assert seen.residuals.quantiles["0.5"] == pytest.approx(3)
    assert len(seen.residuals.true) == len(seen.residuals.predicted) <= 500
    assert (min(seen.residuals.true), max(seen.residuals.true)) == (0, 1999)


def test_the_number_of_resamples_confidence_and_seed_are_obeyed():
    assert evaluated(100, resamples=150).resamples == 150
    narrow, wide = (
        evaluated(100, confidence=0.6).figures["f1_macro"],
        evaluated(100, confidence=0.99).figures["f1_macro"],
    )
    assert narrow.high - narrow.low < wide.high - wide.low
    assert evaluated(100) == evaluated(100)


def test_very_many_rows_take_fewer_resamples_and_say_so():
    seen = evaluated(60_000, 2, resamples=150)
    assert seen.resamples < 150
    assert any("resamples instead of 150" in note for note in seen.notes)


def test_a_thousand_resamples_of_400_rows_are_one_block_of_numbers():
    assert [block.shape for block in resample(400, 1000, seed=0)] == [(400, 1000)]


def test_a_figure_that_is_not_defined_is_refused_where_it_is_to_judge():
    target, output = np.zeros(30, dtype=int), drawn(30, 2, seed=0)[1]
    alike = evaluate(EvaluateConfig(), task="classification", target=target, output=output, classes=NAMES[:2], seed=0)
    assert alike.of("accuracy") == alike.figures["accuracy"]
    with pytest.raises(Refusal, match="roc_auc isn't defined on 30 rows"):
        alike.of("roc_auc")


def test_parts_of_one_class_are_known_before_anything_is_trained():
    classes = {"train": {"a": 9, "b": 2}, "validation": {"a": 3, "b": 1}, "test": {"a": 3, "b": 0}}
    check_areas("accuracy", classes)
    check_areas("roc_auc", {})
    with pytest.raises(Refusal, match="roc_auc isn't defined on test"):
        check_areas("roc_auc", classes)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_lead_over_another_output_is_of_pairs(task):
    """Two outputs of rows that are as hard for both: their own intervals overlap, the one of the difference is sure."""
    random = np.random.default_rng(0)
    if task == "classification":
        target, output = drawn(400, 2, seed=0, strength=0.5)
        other = output.copy()
        worse = np.flatnonzero(output.argmax(1) == target)[:20]
        other[worse] = other[worse][:, ::-1]
        metric, classes, difference = "accuracy", 2, 0.05
    else:
        target = random.normal(size=400)
        error = random.normal(size=400)
        output, other, metric, classes, difference = target + error, target + 1.05 * error, "rmse", 0, None
    said = {"metric": metric, "task": task, "target": target, "classes": classes, "seed": 0}
    ahead = lead(EvaluateConfig(), output=output, other=other, **said)
    behind = lead(EvaluateConfig(), output=other, other=output, **said)
    assert 0 < ahead.low < ahead.value < ahead.high
    assert behind.value == pytest.approx(-ahead.value)
    assert behind.high < 0
    if difference is not None:
        assert ahead.value == pytest.approx(difference)
    single = [
        evaluate(EvaluateConfig(), task=task, target=target, output=one, classes=NAMES[:classes], seed=0)
        for one in (output, other)
    ]
    assert single[0].of(metric).overlaps(single[1].of(metric))


def test_a_lead_by_what_is_not_defined_is_none():
    output = drawn(30, 2, seed=0)[1]
    said = {"metric": "roc_auc", "task": "classification", "target": np.zeros(30, dtype=int), "classes": 2, "seed": 0}
    assert lead(EvaluateConfig(), output=output, other=output, **said) is None
