"""How much better is one model than another by any figure, on the same rows: an interval, and its power.

Two ways, since figures are of two kinds. Both start from the jackknife: the rows are dealt into at most UNITS units,
and how far the gain moves when a unit is left out says how much each contributes.

Figures of labels and ranks (F1, balanced accuracy, ROC AUC ...) move in jumps, and where few rows differ the rows seen
say nothing of those unseen. So z²/2 rows that the new model newly gets wrong are added to those seen, each of the
kind that hurts most; for counts this is about the exact Poisson limit. Smooth figures (log loss, RMSE ...) have
skewed errors: a bootstrap-t of the jackknife's pseudo-values (Efron and Tibshirani 1993, chapters 11 and 12.5), with
the worst unit seen counted once more, never below Student's t, and wider by 2/sqrt(U): without, it said yes 7 times
in 100 where it may 5 times, on 150 rows (benchmarks/gate.py).

Rows that aren't independent, copies and rows of one group, are dealt as the bunches that they come in, the errors are
measured by Student's t of their number (Cameron and Miller 2015, Journal of Human Resources 50, section VI), as many
as say as much where they are of one size, and what is added to those seen is whole bunches that are newly wrong, as
large as the one that a row lies in is on average.

N rows in G bunches, U units, B resamples, K classes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from components.evaluation.answers import Answers, Floats, Integers, Labels
from components.evaluation.bootstrap import BLOCK, resample
from components.evaluation.bunches import Bunches, effective, independent
from components.evaluation.interval import Interval
from components.evaluation.weighted import weighted
from components.task import LOWER_IS_BETTER, Metric, Task

UNITS: Final = 1000  # of the jackknife; a row each where there are fewer rows
WORK: Final = 1e8  # values that the jackknife may touch: above it there are fewer and larger units, at least 100
RESAMPLES: Final = 2000
UNKNOWN: Final = 1e6  # standard errors: where a handful of rows can't bound the gain
JUMPS: Final[frozenset[Metric]] = frozenset(
    {"accuracy", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro", "roc_auc"}
)
Scale = Literal["difference", "ratio", "share"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """The challenger's gain over the champion, above 0 where it is better.

    In the figure's unit, or as a share of the champion's value. Each end of the interval holds at the confidence
    asked for, one-sided. `power(margin, times)` is the chance that models of equal quality, on so many times the
    rows (or bunches of them), are shown to be not worse by more than the margin.
    """

    interval: Interval
    power: Callable[[float, float], float]


def scale_of(metric: Metric, task: Task) -> Scale:
    """Return how a gain is expressed: in points for a classifier, as a share of the champion's for a regression."""
    if task == "classification":
        return "difference"
    return "share" if metric == "r2" else "ratio"


def gain(
    metric: Metric,
    *,
    challenger: Answers,
    champion: Answers,
    scale: Scale,
    margin: float,
    confidence: float,
    seed: int,
    bunched: Bunches | None = None,
) -> Gain | None:
    """Compare two models on the same rows; None where the figure isn't defined on them.

    `margin` is what the interval is to be compared with: a share of the champion's value is itself uncertain, and
    the interval is made such that its ends are right where they meet the margin (Fieller's argument).
    """
    rows = len(challenger.target)
    ones = np.ones((rows, 1))
    seen = _gain(metric, challenger, champion, ones, scale=scale, margin=margin)
    if not np.isfinite(seen).all():
        return None
    unit_of = _units(challenger, seed=seed, bunched=bunched)
    left_out = [
        _gain(metric, challenger, champion, block, scale=scale, margin=margin) for block in _leaving_out(unit_of)
    ]
    pseudo = _pseudo_values(float(seen[0]), np.concatenate(left_out) if left_out else np.empty(0))
    if isinstance(challenger, Labels) and isinstance(champion, Labels) and metric in JUMPS:
        worst, reach = _worst(metric, challenger, champion, bunched), errors_within(confidence, bunched)
        if metric == "roc_auc":
            worst = _worst_area(pseudo, challenger, champion, most=worst)
            reach *= 1.0 if bunched is None else _wider(bunched.effective)
        return of_jumps(float(seen[0]), pseudo, worst=worst, reach=reach)
    known = min(effective(rows, bunched), len(pseudo))
    made = _of_smooth(float(seen[0]), pseudo, known=known, confidence=confidence, seed=seed)
    if scale == "share":
        whole = max(float(np.abs(weighted(metric, champion, ones)[0])), 1e-12)
        return _of_share(made, whole, margin)
    return _of_ratio(made) if scale == "ratio" else made


def _gain(
    metric: Metric, challenger: Answers, champion: Answers, weights: Floats, *, scale: Scale, margin: float
) -> Floats:
    """Return the gain under each weighting, [B], in the scale whose errors are most nearly normal."""
    new, old = weighted(metric, challenger, weights), weighted(metric, champion, weights)
    if scale == "ratio":  # of errors, where lower is better
        tiny = np.finfo(np.float64).tiny
        return np.log(np.maximum(old, tiny)) - np.log(np.maximum(new, tiny))
    points = old - new if metric in LOWER_IS_BETTER else new - old
    return points + margin * np.abs(old) if scale == "share" else points


def _of_ratio(made: Gain) -> Gain:
    """Return a gain in the logarithm of a ratio as a share of the champion's value."""
    ends = (made.interval.value, made.interval.low, made.interval.high)
    shares = [-math.expm1(min(-end, 700.0)) for end in ends]
    return Gain(interval=Interval(*shares), power=lambda margin, times: made.power(math.log1p(margin), times))


def _of_share(made: Gain, whole: float, margin: float) -> Gain:
    """Return a gain that had the margin added to it, in points, as a share of the champion's value."""
    ends = (made.interval.value, made.interval.low, made.interval.high)
    shares = [end / whole - margin for end in ends]
    return Gain(interval=Interval(*shares), power=lambda allowed, times: made.power(allowed * whole, times))


def _units(given: Answers, *, seed: int, bunched: Bunches | None) -> Integers:
    """Return the unit of each row, dealt at random and evenly, a bunch of rows into the same one."""
    rows = len(given.target)
    values = rows * (10 + (given.classes if isinstance(given, Labels) else 0))
    dealt = independent(rows, bunched)
    units = min(dealt, UNITS, max(100, int(WORK / values)))
    unit_of = np.random.default_rng(seed).permutation(np.arange(dealt) % units)
    return unit_of if bunched is None else unit_of[bunched.of]


def _leaving_out(unit_of: Integers) -> Iterator[Floats]:
    """Yield blocks of weights [N, b] that together leave out each unit once."""
    units = int(unit_of.max()) + 1
    if units < 2:
        return
    width = max(1, BLOCK // len(unit_of))
    for start in range(0, units, width):
        yield (unit_of[:, None] != np.arange(start, min(start + width, units))).astype(np.float64)


def _pseudo_values(seen: float, left_out: Floats) -> Floats:
    """Return what each unit contributes: their mean is the gain without its bias, their spread its error."""
    left_out = left_out[np.isfinite(left_out)]
    return len(left_out) * seen - (len(left_out) - 1) * left_out


def _worst(metric: Metric, challenger: Labels, champion: Labels, bunched: Bunches | None) -> float:
    """Return how much the figure can fall by one more wrong row, or bunch of rows."""
    if bunched is None:
        return _worst_row(metric, challenger, champion)
    support = np.bincount(champion.target, minlength=champion.classes)
    if metric == "precision_macro":
        alarms = len(bunched.of) / bunched.effective  # rows of a bunch, on average over the rows
        named = min(_least_named(challenger), _least_named(champion))
        return alarms / (named + alarms) / int((support > 0).sum())
    share = 1 / support[champion.target]  # that each row is of its class's rows, [N]
    falls = bunched.sums(share)[bunched.of]  # by the bunch of each row, summed over the classes, [N]
    worst = np.bincount(champion.target, weights=share * falls)  # mean over the rows of a class, [K]
    return float(worst.max()) / _counted(metric, champion)


def _worst_row(metric: Metric, challenger: Labels, champion: Labels) -> float:
    """Return how much the figure can fall by one more wrong row: one of the rarest class.

    It takes 1 / rows from that class's recall, or about as much from an F1 or an area, and the figure is the mean over
    the classes. From a precision it takes as much as one false alarm does of the class that is named most seldom.
    """
    support = np.bincount(champion.target, minlength=champion.classes)
    if metric == "precision_macro":
        return 1 / (min(_least_named(challenger), _least_named(champion)) + 1) / int((support > 0).sum())
    return 1 / float(support[support > 0].min()) / _counted(metric, champion)


def _counted(metric: Metric, given: Labels) -> int:
    """Return over how many classes the figure is a mean."""
    return 1 if metric == "roc_auc" and given.classes == 2 else len(np.unique(given.target))


def _least_named(given: Labels) -> int:
    """Return how many rows are said to be of the class, of those that have rows, of which the fewest are."""
    named = np.bincount(given.predicted, minlength=given.classes)
    return int(named[np.bincount(given.target, minlength=given.classes) > 0].min())


def _worst_area(pseudo: Floats, challenger: Labels, champion: Labels, *, most: float) -> float:
    """Return what one more misplaced row takes from the area: twice the largest contribution seen.

    Once isn't enough: near an area of 1, on 600 rows, it said yes 9 % of the time where it may 5 %. Of different
    models that show no contribution, as where both separate the classes perfectly, it is all that a row can take.
    """
    if np.array_equal(challenger.probabilities, champion.probabilities):
        return 0.0
    seen = 2 * float(np.abs(pseudo - pseudo.mean()).max()) / len(pseudo) if len(pseudo) else most
    return min(seen, most) if seen > 1e-12 else most


def errors_within(confidence: float, bunched: Bunches | None) -> float:
    """Return how many standard errors are exceeded with a chance of 1 - confidence on one side.

    By the normal distribution, and by Student's t of the effective number of bunches where rows come in them.
    """
    if bunched is None:
        return float(ndtri(confidence))
    return float(stdtrit(max(bunched.effective - 1, 1.0), confidence))


def of_jumps(seen: float, pseudo: Floats, *, worst: float, reach: float) -> Gain:
    """Return the gain of a figure that moves in jumps, the `worst` of them of a row or bunch that wasn't seen.

    `pseudo` are the jackknife's values, [U]; `reach` is `errors_within` the confidence asked for.
    """
    z = reach
    error = float(pseudo.std(ddof=1) / np.sqrt(len(pseudo))) if len(pseudo) > 1 else 0.0
    more = z * z / 2  # rows, newly wrong (below) or newly right (above)

    def within(times: float) -> float:
        return more * worst / times + z * math.sqrt(error**2 / times + more * (worst / times) ** 2)

    def power(margin: float, times: float) -> float:
        spare = margin - within(times)
        return float(ndtr(spare * math.sqrt(times) / error)) if error > 0 else float(spare > 0)

    return Gain(interval=Interval(seen, seen - within(1), seen + within(1)), power=power)


def _of_smooth(seen: float, pseudo: Floats, *, known: float, confidence: float, seed: int) -> Gain:
    error = float(pseudo.std(ddof=1) / np.sqrt(len(pseudo))) if len(pseudo) > 1 else 1.0
    below, above = _reaches(pseudo, known=known, confidence=confidence, seed=seed)

    def power(margin: float, times: float) -> float:
        return float(ndtr(margin * math.sqrt(times) / error - below)) if error > 0 else 1.0

    return Gain(interval=Interval(seen, seen - below * error, seen + above * error), power=power)


def _reaches(pseudo: Floats, *, known: float, confidence: float, seed: int) -> tuple[float, float]:
    """Return how many standard errors below and above the gain its one-sided limits lie.

    `known` is the number of units, or less where a few of them weigh most.
    """
    if len(pseudo) < 2:
        return UNKNOWN, UNKNOWN
    again = np.array([[pseudo.min()], [pseudo.max()]])
    low, high = _studentised(np.concatenate([np.tile(pseudo, (2, 1)), again], axis=1), seed=seed)
    below = float(np.quantile(low, confidence, method="inverted_cdf"))
    above = -float(np.quantile(high, 1 - confidence, method="inverted_cdf"))
    least, wider = float(stdtrit(max(known - 1, 1), confidence)), _wider(known)
    return min(max(below, least) * wider, UNKNOWN), min(max(above, least) * wider, UNKNOWN)


def _wider(known: float) -> float:
    """Return by how much limits are moved out that come from the spread of few units, some of which weigh most."""
    return 1 + 2 / math.sqrt(known)


def _studentised(values: Floats, *, seed: int) -> Floats:
    """Return, of each resample, how many of its own standard errors its mean lies above that of the values.

    Of several sets of values at once, [sets, U] to [sets, B].
    """
    units, centred = values.shape[1], values - values.mean(axis=1, keepdims=True)
    blocks = []
    for weights in resample(units, RESAMPLES, seed=seed):
        shift = centred @ weights / units
        error = np.sqrt(np.maximum((centred**2 @ weights / units - shift**2) / (units - 1), 0))
        certain = np.copysign(np.inf, shift)
        blocks.append(np.where(error > 0, shift / np.where(error > 0, error, 1), certain))
    return np.concatenate(blocks, axis=1)
