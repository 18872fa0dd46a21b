"""Intervals of the figures of labels and of ranks: they hold what so few rows can't rule out, also where none is wrong.

Resamples of rows that are all right are all right too, so that they would leave an interval without a width.

N rows, K classes, B weightings.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from components.evaluation.answers import Floats, Integers, Labels
from components.evaluation.bootstrap import BLOCK, tails
from components.evaluation.bunches import Bunches, effective, independent
from components.evaluation.few import wilson
from components.evaluation.weighted import area_under_roc, counts, macro, share
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
    seen, rows = float(given.correct.mean()), len(given.target)
    if bunched is None:
        return wilson(seen, rows, confidence=confidence)
    least, most = (wilson(end, bunched.effective, confidence=confidence) for end in (1.0, 0.0))
    known = bunched.effective if seen in (0.0, 1.0) else _worth(given, bunched, seen, confidence=confidence)
    low, high = wilson(seen, known, confidence=confidence)
    return min(low, least[0]), max(high, most[1])


def _worth(given: Labels, bunched: Bunches, seen: float, *, confidence: float) -> float:
    """Return the number of independent rows, 1 to N, whose share would be as uncertain as that of the bunches."""
    from scipy.special import stdtrit

    rows, count, upper = len(given.target), bunched.count, (1 + confidence) / 2
    variance = count / (count - 1) * float((bunched.sums(given.correct - seen) ** 2).sum()) / rows**2
    alike = seen * (1 - seen) / variance if variance > 0 else float(rows)
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
    Brittain 2015, Biometrics 71), and of n right rows the rule of three's.
    """
    sides: dict[Metric, list[tuple[Floats, Floats]]] = {metric: [] for metric in metrics}
    split = _split(given, bunched)
    for weights, unseen in _weights(len(given.target), resamples, seed=seed, bunched=bunched):
        summed = counts(given, weights)
        for metric, draws in sides.items():
            lower, upper = (part[:, None] * unseen for part in split[metric])
            if metric == "roc_auc":
                draws.append(_areas(given, weights, lower))
            else:
                draws.append((_shares(metric, *summed, lower, 0.0), _shares(metric, *summed, upper, 1.0)))
    low, high = tails(confidence, bunched)
    return {metric: _ends(draws, low, high) for metric, draws in sides.items()}


def _ends(draws: Sequence[tuple[Floats, Floats]], low: float, high: float) -> tuple[float, float]:
    worse, better = (np.concatenate(side) for side in zip(*draws, strict=True))
    return float(np.nanquantile(worse, low)), float(np.nanquantile(better, high))


def _shares(metric: Metric, hits: Floats, true: Floats, said: Floats, unseen: Floats, right: float) -> Floats:
    """Return a macro figure, [B], with unseen rows of each class, [K, B], a share of which is right."""
    counted = (true > 0) if metric == "balanced_accuracy" else (true + said > 0)
    match metric:
        case "precision_macro":
            whole = said
        case "f1_macro":
            whole = (true + said) / 2
        case _:
            whole = true
    return macro(share(hits + right * unseen, whole + unseen), counted)


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
    ones = np.ones((len(given.target), 1))
    hits, true, said = (part[:, 0] for part in counts(given, ones))
    truly, called = (_parts(of, bunched, hits, whole) for of, whole in ((given.target, true), (given.predicted, said)))
    ranked = _parts(given.target, bunched, true, true)[0]
    return dict.fromkeys(BY_CLASS, truly) | {"precision_macro": called, "roc_auc": (ranked, ranked)}


def _parts(of: Integers, bunched: Bunches | None, hits: Floats, rows: Floats) -> tuple[Floats, Floats]:
    sizes = _sizes(of, bunched, rows)
    known = np.maximum(rows / sizes, 1)
    moved = [(part / np.maximum(rows, 1) / known) ** 2 for part in (hits, rows - hits)]
    wrong, right = (sizes * costs / max(float(costs.sum()), np.finfo(np.float64).tiny) for costs in moved)
    return wrong, right


def _sizes(of: Integers, bunched: Bunches | None, rows: Floats) -> Floats:
    """Return how many rows an unseen bunch may have in each class, [K]: all of it, where bunches are of several."""
    sizes = np.ones(len(rows))
    if bunched is None:
        return sizes
    usual = len(of) / bunched.effective
    for k in np.flatnonzero(rows):
        own = rows[k] / effective(int(rows[k]), bunched.among(of == k))
        sizes[k] = min(max(own, usual), rows[k])
    return sizes


def _weights(rows: int, resamples: int, *, seed: int, bunched: Bunches | None) -> Iterator[tuple[Floats, Floats]]:
    """Yield blocks of weights of the rows, [N, b], and of the unseen one, [b]."""
    random, width = np.random.default_rng(seed), max(1, BLOCK // rows)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn = random.standard_exponential((independent(rows, bunched), columns))
        yield drawn if bunched is None else drawn[bunched.of], random.standard_exponential(columns)


def intervals(
    given: Labels,
    values: Mapping[Metric, float],
    resamples: int,
    *,
    confidence: float,
    seed: int,
    bunched: Bunches | None,
) -> dict[Metric, tuple[float, float]]:
    """Return the intervals of accuracy and of BY_CLASS, as far as the figures are defined."""
    metrics = [metric for metric in BY_CLASS if metric in values]
    found = by_class(given, metrics, resamples, confidence=confidence, seed=seed, bunched=bunched)
    return {"accuracy": of_accuracy(given, bunched, confidence=confidence), **found}
