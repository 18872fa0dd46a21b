"""Intervals of the figures of labels, ranks and calibration: they hold what so few rows can't rule out.

Resamples of rows that are all right are all right too, so that they would leave an interval without a width.

N rows, K classes, B weightings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from components.evaluation.answers import Floats, Integers, Labels
from components.evaluation.bootstrap import BLOCK, tails
from components.evaluation.bunches import Bunches, independent, repeats
from components.evaluation.few import wilson
from components.evaluation.small_classes import Drawn, drawn, ends, seen, seen_counts
from components.evaluation.weighted import area_under_roc, calibration_gaps, counts
from components.task import Metric

BY_CLASS: Final[tuple[Metric, ...]] = (
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "roc_auc",
)


def of_accuracy(given: Labels, bunched: Bunches | None, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval of the share of right rows.

    Of bunches it is that of as many independent rows as would vary as much as the bunches do, fewer as far as the
    bunches' spread is known less well. Its lower end is never better than if all rows were right, nor its upper one
    worse than if all were wrong. Source: Korn and Graubard 1998, Survey Methodology 24 (of Clopper and Pearson's ends);
    Franco et al. 2019, Journal of Survey Statistics and Methodology 7 (of Wilson's).
    """
    right, rows = float(given.correct.mean()), len(given.target)
    if bunched is None:
        return wilson(right, rows, confidence=confidence)
    least, most = (wilson(end, bunched.effective, confidence=confidence) for end in (1.0, 0.0))
    known = bunched.effective if right in (0.0, 1.0) else _worth(given, bunched, right, confidence=confidence)
    low, high = wilson(right, known, confidence=confidence)
    return min(low, least[0]), max(high, most[1])


def _worth(given: Labels, bunched: Bunches, right: float, *, confidence: float) -> float:
    """Return the number of independent rows, 1 to N, whose share would be as uncertain as that of the bunches."""
    from scipy.special import stdtrit

    rows, count, upper = len(given.target), bunched.count, (1 + confidence) / 2
    variance = count / (count - 1) * float((bunched.sums(given.correct - right) ** 2).sum()) / rows**2
    alike = right * (1 - right) / variance if variance > 0 else float(rows)
    spread = float(stdtrit(rows - 1, upper) / stdtrit(max(bunched.effective, 2.0) - 1, upper)) ** 2
    return min(max(alike * spread, 1.0), float(rows))


def by_class(
    given: Labels,
    metrics: Sequence[Metric],
    resamples: int,
    *,
    confidence: float,
    seed: int,
    bunched: Bunches | None,
) -> dict[Metric, tuple[float, float]]:
    """Return two-sided intervals of the macro figures and of ROC AUC.

    Rows are weighted by the Bayesian bootstrap (Rubin 1981, Annals of Statistics 9), whole bunches alike. Beside them
    there is one unseen row, or bunch: at the lower end it is wrong, and ranked as wrongly as can be, at the upper one
    right. It is shared out to the classes, most to those whose figure it moves most, which are the smallest. Of a
    single class that makes the ends of a share Clopper and Pearson's 1934, as Beta distributions (Fay, Proschan and
    Brittain 2015, Biometrics 71), and of n right rows the rule of three's. Among many small classes one row says too
    little: the macro figures' ends are `small_classes`'.
    """
    macros = {metric: seen(metric, given, bunched) for metric in metrics if metric != "roc_auc"}
    draws: dict[Metric, list[Drawn]] = {metric: [] for metric in macros}
    areas: list[tuple[Floats, Floats]] = []
    split = _split(given, bunched)
    for weights, unseen in _weights(len(given.target), resamples, seed=seed, bunched=bunched):
        summed = counts(given, weights)
        for metric, known in macros.items():
            draws[metric].append(drawn(known, summed, *(part[:, None] * unseen for part in split[metric])))
        if "roc_auc" in metrics:
            areas.append(_areas(given, weights, split["roc_auc"][0][:, None] * unseen))
    quantiles = tails(confidence, bunched)
    found = {metric: ends(known, draws[metric], quantiles) for metric, known in macros.items()}
    return found | ({"roc_auc": _ends(areas, *quantiles)} if areas else {})


def _ends(draws: Sequence[tuple[Floats, Floats]], low: float, high: float) -> tuple[float, float]:
    worse, better = (np.concatenate(side) for side in zip(*draws, strict=True))
    return float(np.nanquantile(worse, low)), float(np.nanquantile(better, high))


def _areas(given: Labels, weights: Floats, unseen: Floats) -> tuple[Floats, Floats]:
    """Return ROC AUC, [B], with unseen rows of each class, [K, B], ranked last, and ranked first.

    What ranks otherwise only among those seen keeps its share of the pairs.
    """
    worse, better = [], []
    for k in [1] if given.classes == 2 else np.unique(given.target):
        of_class = given.target == k
        inside, outside = of_class @ weights, ~of_class @ weights
        area = area_under_roc(of_class, given.probabilities[:, k], weights)
        other = unseen[0] if given.classes == 2 else unseen[k]
        kept = inside / (inside + unseen[k]) * outside / (outside + other)
        worse.append(kept * area)
        better.append(1 - kept * (1 - area))
    return np.mean(worse, axis=0), np.mean(better, axis=0)


def _split(given: Labels, bunched: Bunches | None) -> dict[Metric, tuple[Floats, Floats]]:
    """Return which part of an unseen row each class has, [K], where it is wrong, and where it is right.

    It is in proportion to the square of what the row costs, or gains, the class: nearly all where that is most. It is
    in rows that weigh as much as the class's bunches do.
    """
    hits, true, said = seen_counts(given)
    truly = _parts(given.target, bunched, hits, true, true)
    called = _parts(given.predicted, bunched, hits, said, true)
    ranked = _parts(given.target, bunched, true, true, true)[0]
    return dict.fromkeys(BY_CLASS, truly) | {"precision_macro": called, "roc_auc": (ranked, ranked)}


def _parts(of: Integers, bunched: Bunches | None, hits: Floats, rows: Floats, true: Floats) -> tuple[Floats, Floats]:
    """Return the parts of one split, [K] each: a right row gains all where a class with `true` rows is never named."""
    sizes = _sizes(of, bunched, rows)
    known = np.maximum(rows / sizes, 1)
    costs, gains = ((part / np.maximum(rows, 1) / known) ** 2 for part in (hits, rows - hits))
    gains = np.where((rows == 0) & (true > 0), 1, gains)
    wrong, right = (sizes * moved / max(float(moved.sum()), np.finfo(np.float64).tiny) for moved in (costs, gains))
    return wrong, right


def _sizes(of: Integers, bunched: Bunches | None, rows: Floats) -> Floats:
    """Return how many rows an unseen bunch may have in each class, [K]: all of it, where bunches are of several."""
    if bunched is None:
        return np.ones(len(rows))
    usual = len(of) / bunched.effective
    return np.clip(np.maximum(repeats(of, len(rows), bunched), usual), 1, np.maximum(rows, 1))


def _weights(rows: int, resamples: int, *, seed: int, bunched: Bunches | None) -> Iterator[tuple[Floats, Floats]]:
    """Yield blocks of weights of the rows, [N, b], and of the unseen one, [b]."""
    random, width = np.random.default_rng(seed), max(1, BLOCK // rows)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        weights = random.standard_exponential((independent(rows, bunched), columns))
        yield weights if bunched is None else weights[bunched.of], random.standard_exponential(columns)


def of_calibration(
    given: Labels, resamples: int, *, confidence: float, seed: int, bunched: Bunches | None
) -> tuple[float, float]:
    """Return a two-sided interval of the calibration error: what is seen, plus and minus what chance may make of it.

    The error is the sum of the bins' absolute gaps, and chance gives a calibrated model gaps too: what is seen is
    too large on average (Roelofs et al. 2022, AISTATS), most where the truth is 0, and resamples are larger still. But
    it is never further from the truth than all gaps together are from theirs (triangle inequality), whatever the truth.
    So the interval reaches as far as the distance that resampled gaps keep to those seen, of which the share
    `confidence` is smaller (a region of several parameters: Davison and Hinkley 1997, section 5.8). The weights are
    `by_class`'s; the unseen row, or bunch, is fully wrong. Where gaps are large the interval is wider than need be.
    """
    seen, distances = calibration_gaps(given, np.ones((len(given.target), 1))), []
    size = 1.0 if bunched is None else len(given.target) / bunched.effective
    for weights, drawn_unseen in _weights(len(given.target), resamples, seed=seed, bunched=bunched):
        share = size * drawn_unseen / (weights.sum(axis=0) + size * drawn_unseen)
        gaps = (1 - share) * calibration_gaps(given, weights)
        distances.append(np.abs(gaps - seen).sum(axis=0) + share)
    low, high = tails(confidence, bunched)
    value, reach = float(np.abs(seen).sum()), float(np.quantile(np.concatenate(distances), high - low))
    return max(0.0, value - reach), min(1.0, value + reach)


def intervals(
    given: Labels,
    values: Mapping[Metric, float],
    resamples: int,
    *,
    confidence: float,
    seed: int,
    bunched: Bunches | None,
) -> dict[Metric, tuple[float, float]]:
    """Return the intervals of accuracy, of the calibration error and of BY_CLASS, as far as these are defined."""
    metrics = [metric for metric in BY_CLASS if metric in values]
    found = by_class(given, metrics, resamples, confidence=confidence, seed=seed, bunched=bunched)
    found["calibration_error"] = of_calibration(given, resamples, confidence=confidence, seed=seed, bunched=bunched)
    return {"accuracy": of_accuracy(given, bunched, confidence=confidence), **found}
