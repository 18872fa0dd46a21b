"""What may be said of hardly any rows."""

import numpy as np
import pytest

from components.evaluation.config import EvaluateConfig
from components.evaluation.few import FEWEST, of_few, wilson
from components.evaluation.metrics import evaluate, lead
from components.task import METRICS


@pytest.mark.parametrize("rows", [1, 2, FEWEST - 1])
def test_no_interval_of_few_rows_is_without_a_width(rows):
    target = np.arange(rows) % 2
    seen = evaluate(
        EvaluateConfig(), task="classification", target=target, output=np.eye(2)[target], classes=("a", "b"), seed=0
    )
    assert seen.figures["accuracy"].low == wilson(1.0, rows, confidence=0.95)[0]
    made = evaluate(EvaluateConfig(), task="regression", target=target * 1.0, output=target + 0.5, classes=(), seed=0)
    for metric, one in (seen.figures | made.figures).items():
        assert one.low <= one.value <= one.high, metric
        assert one.high - one.low > 0.29, metric
    assert any("Fewer than 10 independent rows" in note for note in seen.notes)


def test_from_ten_rows_on_they_are_resampled():
    target = np.arange(10) % 2
    output = np.eye(2)[np.where(np.arange(10) < 3, 1 - target, target)]
    made = [
        evaluate(
            EvaluateConfig(),
            task="classification",
            target=target,
            output=output,
            classes=("a", "b"),
            seed=0,
            groups=np.minimum(np.arange(10), most),
        ).figures["f1_macro"]
        for most in (9, 8)
    ]
    assert made[0].low > 0
    assert (made[1].low, made[1].high) == (0, 1), "two of the ten are copies: nine are left"


def test_few_rows_have_no_lead():
    def ahead(rows, groups=None):
        target = np.zeros(rows, dtype=int)
        said = {"metric": "accuracy", "task": "classification", "target": target, "classes": 2, "seed": 0}
        right, wrong = np.eye(2)[target], np.eye(2)[1 - target]
        return lead(EvaluateConfig(), output=right, other=wrong, groups=groups, **said)

    assert ahead(1) is None
    assert ahead(9) is None
    assert ahead(100, groups=np.arange(100) % 9) is None
    assert ahead(10).value == 1


@pytest.mark.parametrize("rows", [1, 4, 9])
@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_the_interval_of_few_normal_errors_holds_the_truth_as_often_as_it_says(metric, rows):
    errors = np.random.default_rng(0).normal(size=(4000, rows))
    seen = np.sqrt((errors**2).mean(axis=1)) if metric == "rmse" else np.abs(errors).mean(axis=1)
    truth = 1 if metric == "rmse" else np.sqrt(2 / np.pi)
    ends = np.array([of_few(metric, float(one), rows, confidence=0.9) for one in seen])
    covered = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    assert covered == pytest.approx(0.9, abs=0.02 if metric == "rmse" else 0.06)


@pytest.mark.parametrize("rows", [3, 9])
def test_the_interval_of_r2_of_few_rows_holds_the_truth_nearly_as_often_as_it_says(rows):
    """Targets vary by 1, errors by 0.5: in the long run R2 is 0.75. The two ratios aren't quite independent."""
    random = np.random.default_rng(0)
    target, errors = random.normal(size=(4000, rows)), random.normal(size=(4000, rows)) / 2
    left = (errors**2).sum(axis=1) / ((target - target.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    ends = np.array([of_few("r2", float(1 - one), rows, confidence=0.9) for one in left])
    assert np.mean((ends[:, 0] <= 0.75) & (ends[:, 1] >= 0.75)) > 0.85


@pytest.mark.parametrize("metric", METRICS["classification"])
def test_of_what_nothing_is_known_the_interval_is_all_that_it_can_be(metric):
    low, high = of_few(metric, 0.5, 3, confidence=0.95)
    if metric == "accuracy":
        assert 0 < low < 0.5 < high < 1
    else:
        assert low == 0
        assert high == (pytest.approx(15.94, abs=0.01) if metric == "log_loss" else 1)
