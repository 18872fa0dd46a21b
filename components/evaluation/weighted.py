"""Every figure of quality for many weightings of the same rows at once: what a bootstrap resample is.

The figures have scikit-learn's meaning, and equal it for rows repeated as often as their weight (tested). Here
they are sums over rows, so that a thousand resamples are a few matrix products.

N rows, K classes, B weightings; weights are float64 [N, B], and a figure is float64 [B], NaN where it isn't defined.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from components.evaluation.answers import Answers, Floats, Integers, Labels, Values
from components.task import Metric

CALIBRATION_BINS: Final = 15
CLIP: Final = float(np.finfo(np.float32).eps)  # least probability whose logarithm is taken: float32 rounds to 0 below


def weighted(metric: Metric, given: Answers, weights: Floats) -> Floats:
    """Return one figure under each of B weightings of the rows, [B]."""
    if isinstance(given, Labels):
        return _OF_LABELS[metric](given, weights)
    return _OF_VALUES[metric](given, weights)


def per_class(of: Integers, weights: Floats, classes: int, *, among: npt.NDArray[np.bool_] | None = None) -> Floats:
    """Return the sum of the weights of each class's rows, [K, B], or of those `among` them, [N]."""
    from scipy.sparse import csr_array

    rows = np.arange(len(of)) if among is None else np.flatnonzero(among)
    indicator = csr_array((np.ones(len(rows)), (of[rows], rows)), shape=(classes, len(of)))
    return np.asarray(indicator @ weights)


def confidence_bins(given: Labels) -> Integers:
    """Return which of the CALIBRATION_BINS equally wide bins holds each row's top probability, [N]."""
    top = given.probabilities.max(axis=1)
    bins: Integers = np.minimum(top * CALIBRATION_BINS, CALIBRATION_BINS - 1).astype(np.int64)
    return bins


def _accuracy(given: Labels, weights: Floats) -> Floats:
    return np.asarray(given.correct @ weights / weights.sum(axis=0))


def counts(given: Labels, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return hits, true rows and predicted rows of each class, each [K, B]."""
    hits = per_class(given.target, weights, given.classes, among=given.correct)
    true = per_class(given.target, weights, given.classes)
    return hits, true, per_class(given.predicted, weights, given.classes)


def share(part: Floats, whole: Floats, *, empty: float = 0.0) -> Floats:
    """Return part / whole, and `empty` where the whole is 0 (scikit-learn's zero_division)."""
    shares: Floats = np.divide(part, whole, out=np.full_like(part, empty), where=whole > 0)
    return shares


def macro(values: Floats, counted: npt.NDArray[np.bool_]) -> Floats:
    """Return the mean over the classes that count, [K, B] to [B]."""
    return np.asarray((values * counted).sum(axis=0) / counted.sum(axis=0))


def _balanced_accuracy(given: Labels, weights: Floats) -> Floats:
    hits, true, _ = counts(given, weights)
    return macro(share(hits, true), true > 0)


def _recall(given: Labels, weights: Floats) -> Floats:
    hits, true, predicted = counts(given, weights)
    return macro(share(hits, true), true + predicted > 0)


def _precision(given: Labels, weights: Floats) -> Floats:
    hits, true, predicted = counts(given, weights)
    return macro(share(hits, predicted), true + predicted > 0)


def _f1(given: Labels, weights: Floats) -> Floats:
    hits, true, predicted = counts(given, weights)
    return macro(share(2 * hits, true + predicted), true + predicted > 0)


def area_under_roc(positive: npt.NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Return the area under the ROC curve, ties counted half, [B]; NaN where one side has no weight."""
    order = np.argsort(score, kind="stable")
    ranked, at = score[order], np.flatnonzero(positive[order])
    upto = np.cumsum(weights[order], axis=0)  # [N, B]
    first = np.searchsorted(ranked, ranked[at])  # of the rows of equal scores
    last = np.searchsorted(ranked, ranked[at], side="right") - 1
    below = np.where(first[:, None] > 0, upto[first - 1], 0)
    own = weights[order[at]]
    inside, outside = own.sum(axis=0), ~positive @ weights
    won = (own * (below + upto[last])).sum(axis=0) / 2 - inside**2 / 2  # over all rows, less those of its side
    return share(np.clip(won, 0, inside * outside), inside * outside, empty=np.nan)


def _roc_auc(given: Labels, weights: Floats) -> Floats:
    if given.classes == 2:
        return area_under_roc(given.target == 1, given.probabilities[:, 1], weights)
    present = np.unique(given.target)
    areas = np.stack([area_under_roc(given.target == k, given.probabilities[:, k], weights) for k in present])
    defined = np.isfinite(areas)
    return share(np.where(defined, areas, 0).sum(axis=0), defined.sum(axis=0), empty=np.nan)


def _log_loss(given: Labels, weights: Floats) -> Floats:
    chosen = given.probabilities[np.arange(len(given.target)), given.target]
    return np.asarray(-np.log(np.clip(chosen, CLIP, 1 - CLIP)) @ weights / weights.sum(axis=0))


def calibration_gaps(given: Labels, weights: Floats) -> Floats:
    """Return accuracy minus confidence of each bin times the bin's share of the rows, [CALIBRATION_BINS, B]."""
    gap = given.correct - given.probabilities.max(axis=1)
    per_bin = per_class(confidence_bins(given), weights * gap[:, None], CALIBRATION_BINS)
    return np.asarray(per_bin / weights.sum(axis=0))


def _calibration_error(given: Labels, weights: Floats) -> Floats:
    """Return the expected calibration error of the top class. Source: Guo et al. 2017, equation 3."""
    return np.asarray(np.abs(calibration_gaps(given, weights)).sum(axis=0))


def _rmse(given: Values, weights: Floats) -> Floats:
    return np.asarray(np.sqrt((given.predicted - given.target) ** 2 @ weights / weights.sum(axis=0)))


def _mae(given: Values, weights: Floats) -> Floats:
    return np.asarray(np.abs(given.predicted - given.target) @ weights / weights.sum(axis=0))


def _r2(given: Values, weights: Floats) -> Floats:
    rows = weights.sum(axis=0)
    left = np.asarray((given.predicted - given.target) ** 2 @ weights)
    centred = given.target - given.target.mean()
    spread = np.asarray(centred**2 @ weights - (centred @ weights) ** 2 / rows)
    noise = 1e-12 * rows * float(np.max(centred**2))  # what rounding leaves of a constant target's spread
    return 1 - share(left, np.where(spread > noise, spread, 0), empty=np.nan)


_OF_LABELS: Final[dict[Metric, Callable[[Labels, Floats], Floats]]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision_macro": _precision,
    "recall_macro": _recall,
    "f1_macro": _f1,
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "calibration_error": _calibration_error,
}
_OF_VALUES: Final[dict[Metric, Callable[[Values, Floats], Floats]]] = {"rmse": _rmse, "mae": _mae, "r2": _r2}
