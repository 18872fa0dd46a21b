"""Ends of the macro figures, with what draws of few rows of each class don't show: their spread is too small.

N rows, K classes, B draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluation.answers import Floats, Labels
from components.evaluation.bunches import Bunches, repeats
from components.evaluation.weighted import counts, macro, share
from components.task import Metric

Counts = tuple[Floats, Floats, Floats]  # hits, true rows and predicted rows of each class, each [K, B] or [K]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A macro figure on the rows as they are: the mean of the shares of the classes that count."""

    metric: Metric
    shares: Floats  # [K]
    counted: npt.NDArray[np.bool_]  # [K]
    rows: Floats  # [K], independent ones that each share is of
    bias: Floats  # [K], of each share, in its variances

    @property
    def value(self) -> float:
        """The figure."""
        return float(self.shares[self.counted].mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Draws of a macro figure, [B]: as seen, with an unseen row that is wrong, and with one that is right."""

    values: Floats
    worse: Floats
    better: Floats
    squares: Floats  # [K], summed over the draws: how far the class's share is from the one seen


def seen(metric: Metric, given: Labels, bunched: Bunches | None) -> Seen:
    """Return a macro figure on the rows as they are.

    Where a split is stratified, a class of which more is found is named more often: the bias of its precision is the
    variance times the recall. Source: Cochran 1977, Sampling Techniques, chapter 6 (ratios). F1 = 2 J / (1 + J) of the
    share J that is right of the rows that are of the class or named so: that is concave, so that F1 is too small by its
    variance / (2 - F1), half the second derivative times the variance of J.
    """
    hits, true, said = summed = seen_counts(given)
    shares = share(hits, _whole(metric, summed))
    of, rows, bias = given.target, true, np.zeros_like(true)
    match metric:
        case "precision_macro":
            of, rows, bias = given.predicted, said, share(hits, true)
        case "f1_macro":
            rows, bias = true + said - hits, -1 / (2 - shares)
    return Seen(
        metric=metric,
        shares=shares,
        counted=(true > 0) if metric == "balanced_accuracy" else (true + said > 0),
        rows=rows / repeats(of, given.classes, bunched),
        bias=bias,
    )


def seen_counts(given: Labels) -> Counts:
    """Return hits, true rows and predicted rows of each class on the rows as they are, each [K]."""
    hits, true, said = (part[:, 0] for part in counts(given, np.ones((len(given.target), 1))))
    return hits, true, said


def drawn(known: Seen, summed: Counts, lower: Floats, upper: Floats) -> Drawn:
    """Return draws of a macro figure, with unseen rows of each class, [K, B], that are wrong, or right."""
    hits, whole, counted = summed[0], _whole(known.metric, summed), known.counted[:, None]
    shares = share(hits, whole)
    return Drawn(
        values=macro(shares, counted),
        worse=macro(share(hits, whole + lower), counted),
        better=macro(share(hits + upper, whole + upper), counted),
        squares=((shares - known.shares[:, None]) ** 2).sum(axis=1),
    )


def ends(known: Seen, draws: Sequence[Drawn], quantiles: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a macro figure's interval: those with the unseen row, or of the widened draws if further.

    The draws, which may have the value's bias once more, are put about the value, and on the side where the truth then
    is the interval is longer by that bias.
    """
    values = np.concatenate([one.values for one in draws])
    worse, better = np.concatenate([one.worse for one in draws]), np.concatenate([one.better for one in draws])
    spread = np.sum([one.squares for one in draws], axis=0) / len(values)
    times, value, off = _times(known, spread), known.value, float(values.mean()) - known.value
    low, high = float(np.quantile(worse, quantiles[0])) - off, float(np.quantile(better, quantiles[1])) - off
    least, most = (value + (np.quantile(values, quantiles) - off - value) * np.sqrt(times)).tolist()
    bias = times * float((spread * known.bias)[known.counted].mean())
    return max(min(low, least) - max(bias, 0.0), 0.0), min(max(high, most) - min(bias, 0.0), 1.0)


def _times(known: Seen, spread: Floats) -> float:
    """Return how many times the variance of the draws, of each class's share [K], the figure's variance is.

    Draws of the share of n rows have (n - 1) / (n + 1) of its variance, and of a single row none: that of m such
    classes is as if all classes were alike (collapsed strata: Cochran 1977, section 5A.12), but for one, for which the
    unseen row stands. Source: Hesterberg 2015, The American Statistician 69 (narrowness bias).
    """
    rows, shown = known.rows[known.counted], spread[known.counted]
    if not shown.any():
        return 1.0
    true = shown * (rows + 1) / np.maximum(rows - 1, 1)
    alone = max(int((rows == 1).sum()) - 1, 0) * known.value * (1 - known.value)
    return float((true.sum() + alone) / shown.sum())


def _whole(metric: Metric, summed: Counts) -> Floats:
    """Return what the hits of each class are a share of."""
    _, true, said = summed
    match metric:
        case "precision_macro":
            return said
        case "f1_macro":
            return (true + said) / 2
        case _:
            return true
