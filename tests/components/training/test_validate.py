"""Which epochs take the place of those before."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from components.training.validate import improvements, standard_error, telling_rows


def judged(accuracies: Sequence[float], losses: Sequence[float], *, rows: int) -> tuple[bool, ...]:
    history = [{"validation_accuracy": a, "validation_loss": b} for a, b in zip(accuracies, losses, strict=True)]
    return improvements(history, metric="accuracy", rows=rows)


def test_equal_metrics_are_told_apart_by_the_loss_then_by_the_earlier_epoch() -> None:
    assert judged([0.5, 0.5, 0.5, 0.6, 0.5], [1.0, 0.9, 0.9, 2.0, 0.1], rows=10_000) == (True, True, False, True, False)


def test_what_is_within_a_standard_error_of_the_best_is_told_apart_by_the_loss() -> None:
    accuracies, losses = [0.90, 0.94, 0.92, 0.93, 0.80], [0.40, 0.50, 0.30, 0.35, 0.10]
    assert judged(accuracies, losses, rows=48) == (True, False, True, False, False)  # 0.80 is seven rows from the best
    assert judged(accuracies, losses, rows=48_000) == (True, True, False, False, False)


def test_what_was_kept_gives_way_when_the_best_leaves_it_behind() -> None:
    assert judged([0.90, 0.91, 0.99], [0.30, 0.40, 0.50], rows=100) == (True, False, True)


def test_of_classes_unequal_in_size_a_mean_over_them_varies_as_fewer_rows_would() -> None:
    target, draw = torch.tensor([0] * 990 + [1] * 10), np.random.default_rng(0)
    assert telling_rows(target, metric="accuracy") == 1000
    assert telling_rows(torch.arange(30) % 3, metric="balanced_accuracy") == pytest.approx(30)
    assert telling_rows(torch.arange(30) % 3 * 2, metric="roc_auc") == pytest.approx(
        30
    )  # of two classes no row is here
    rows = telling_rows(target, metric="balanced_accuracy")
    recalls = (draw.binomial(990, 0.8, 4000) / 990 + draw.binomial(10, 0.8, 4000) / 10) / 2
    assert recalls.std() == pytest.approx((0.8 * 0.2 / rows) ** 0.5, rel=0.05)


def test_an_epoch_that_was_passed_over_is_not_come_back_to() -> None:
    assert judged([0.80, 0.84, 0.88], [0.1, 0.3, 0.5], rows=48) == (True, False, True)
    assert judged([0.80, 0.95, 0.95], [0.1, 0.5, 0.4], rows=48) == (True, True, True)  # compared with what is kept


def test_the_standard_error_is_that_of_statsmodels_and_is_some_without_a_single_mistake() -> None:
    for right, rows in ((240, 271), (500, 1000), (30, 48)):  # where neither end is cut at 0 or 1
        low, high = proportion_confint(right, rows, alpha=2 * stats.norm.sf(2), method="agresti_coull")
        assert standard_error(right / rows, rows=rows) == pytest.approx((high - low) / 4, rel=1e-6)
    assert 1 / 48 < standard_error(1.0, rows=48) < 2 / 48


def test_figures_that_are_no_shares_of_rows_are_taken_by_the_letter() -> None:
    for metric, values in (("rmse", (0.50, 0.49)), ("r2", (-0.5, -0.4)), ("log_loss", (0.50, 0.49))):
        history = [
            {f"validation_{metric}": value, "validation_loss": loss} for value, loss in zip(values, (3, 4), strict=True)
        ]
        assert improvements(history, metric=metric, rows=20) == (True, True)


def test_an_undefined_metric_leaves_the_choice_to_the_loss() -> None:
    history = [{"validation_loss": loss} for loss in (2.0, 1.0, 3.0)]
    assert improvements(history, metric="roc_auc", rows=20) == (True, True, False)
