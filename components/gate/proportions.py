"""Is a classifier not worse than another by more than a margin? An exact paired test, its power, and its interval.

Of n rows, `lost` are those that only the old model gets right, `won` those that only the new one does. The rows on
which both are right or both wrong say nothing but n. The difference in accuracy is d = (won - lost) / n; the
hypothesis to be refuted is d <= -margin.

Rows are ordered by Tango's score statistic, whose normal approximation isn't trusted: its critical value is raised
until the chance of a wrong yes, summed over the trinomial distribution of (won, lost) and at its largest over all
discordances that have a true loss equal to the margin, is at most alpha. So the test holds its size at every n, and
its power is a sum too, not an approximation.

Source: Tango 1998, Statistics in Medicine 17, equations 9 to 12 (the statistic); Hsueh, Liu and Chen 2001,
Biometrics 57 (unconditional exact tests for paired non-inferiority).
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from components.evaluation.interval import Interval

Floats = npt.NDArray[np.float64]

NUISANCE: Final = 96  # values of the unknown discordance at which the size is computed
MANY: Final = 20_000  # rows above which the size is computed at a quarter of them, where counts are smallest:
# elsewhere the normal approximation is right within 0.0005 by then (benchmarks/gate.py)
TAIL: Final = 1e-9  # probability that a sum over the distribution may leave out on each side
LEAST: Final = 1e-14  # probability of a count below which it is left out: all of them together are within the tails'
HIGHEST: Final = 8.0  # critical value that is looked for
STEPS: Final = 10  # narrowings of the critical value, which end within 5e-4
SEARCHED: Final = 2_000  # rows up to which `rows_needed` searches with the exact power
LARGEST: Final = 10_000_000  # rows beyond which `rows_needed` gives no number


def score(won: npt.ArrayLike, lost: npt.ArrayLike, rows: int, *, margin: npt.ArrayLike) -> Floats:
    """Return how many standard errors the difference lies above -margin; -1 < margin < 1, and arrays broadcast.

    The standard error is that of the most likely model whose difference is -margin.
    """
    won, lost, margin = (np.asarray(x, dtype=np.float64) for x in (won, lost, margin))
    linear = lost * (1 + margin) + won * (1 - margin) - 2 * rows * margin
    constant = won * margin * (1 - margin)
    # Of the two forms of the root, the one that doesn't cancel.
    root = np.sqrt(np.maximum(linear**2 + 8 * rows * constant, 0))
    other = 2 * constant / np.where(root - linear == 0, np.inf, root - linear)
    q_won = np.clip(np.where(linear > 0, (linear + root) / (4 * rows), other), np.maximum(0, -margin), 1)
    spread = np.sqrt(np.maximum(rows * (2 * q_won + margin - margin**2), 0))
    above = won - lost + rows * margin
    certain = np.where(above == 0, 0.0, np.copysign(np.inf, above))  # no spread: the margin is seen, or impossible
    return np.where(spread > 0, above / np.where(spread > 0, spread, 1), certain)


def most_lost(won: Floats, rows: int, *, margin: float, critical: float) -> Floats:
    """Return, for each count won, the largest count lost whose score is at least `critical` (-1: there is none)."""
    low, high = np.full(won.shape, -1.0), rows - won  # the answer lies in low ... high
    while np.any(low < high):
        middle = np.ceil((low + high) / 2)
        enough = score(won, middle, rows, margin=margin) >= critical
        low, high = np.where(enough, middle, low), np.where(enough, high, middle - 1)
    return low


def chances(rows: int, *, p_won: npt.ArrayLike, p_lost: npt.ArrayLike, limits: tuple[Floats, Floats]) -> Floats:
    """Return the probability [S] that (won, lost) lies in the region of yes, lost <= limit(won), at each of S models.

    `limits` are counts won, rising by 1 from 0, and the limit of each; counts beyond them are taken as beyond reach.
    """
    from scipy.special import bdtr, gammaln, xlog1py, xlogy

    p_won, p_lost = np.atleast_1d(np.asarray(p_won, np.float64)), np.atleast_1d(np.asarray(p_lost, np.float64))
    won, limit = limits
    ways = gammaln(rows + 1) - gammaln(won + 1) - gammaln(rows - won + 1)
    first = np.clip(np.ceil(_counts(rows, p_won, TAIL)), 0, len(won)).astype(np.int64)
    last = np.clip(np.floor(_counts(rows, p_won, 1 - TAIL)) + 1, first - 1, len(won) - 1).astype(np.int64)
    # The counts in reach of each model, one after the other: `model` says whose, `place` which.
    lengths = last - first + 1
    model = np.repeat(np.arange(len(p_won)), lengths)
    place = np.arange(len(model)) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)
    density = np.exp(ways[place] + xlogy(won[place], p_won[model]) + xlog1py(rows - won[place], -p_won[model]))
    counts = (limit[place] >= 0) & (density > LEAST)
    model, place, density = model[counts], place[counts], density[counts]
    share = np.minimum(1.0, p_lost / np.maximum(1 - p_won, np.finfo(np.float64).tiny))[model]
    below = bdtr(limit[place], (rows - won[place]).astype(np.int64), share)
    below = np.where(limit[place] >= rows - won[place], 1.0, below)
    return np.bincount(model, density * below, minlength=len(p_won)).astype(np.float64)


def _counts(rows: int, shares: Floats, probability: float) -> Floats:
    """Return counts that binomial variables stay below with at least this probability (above, where it is small)."""
    from scipy.special import ndtri

    # Bernstein's inequality in place of the quantile: wider, and certain.
    reach = abs(float(ndtri(probability))) * 1.2
    half = reach * np.sqrt(rows * shares * (1 - shares)) + reach**2
    return rows * shares + (half if probability > 0.5 else -half)


@lru_cache(maxsize=256)
def critical_value(rows: int, *, margin: float, alpha: float) -> float:
    """Return the score from which on the answer is yes: the least that holds alpha where the margin is lost.

    It is infinite where so few rows can't show it.
    """
    from scipy.special import ndtri

    low, high = float(-ndtri(alpha)), HIGHEST
    if size(rows, margin=margin, critical=low) <= alpha:
        return low
    for _ in range(STEPS):
        middle = (low + high) / 2 if high - low < 1 else low + 0.25
        if size(rows, margin=margin, critical=middle) <= alpha:
            high = middle
        else:
            low = middle
    return high if high < HIGHEST or size(rows, margin=margin, critical=high) <= alpha else math.inf


def size(rows: int, *, margin: float, critical: float) -> float:
    """Return the largest chance of a yes at a true loss equal to the margin, over all discordances."""
    shares = _nuisances(rows, margin)
    limits = _limits(rows, float(shares[-1]), margin=margin, critical=critical)
    return float(chances(rows, p_won=shares, p_lost=shares + margin, limits=limits).max())


def _nuisances(rows: int, margin: float) -> Floats:
    """Return chances of a row to be won at which the size is computed, dense where counts are small."""
    top = (1 - margin) / 2
    if rows <= MANY:
        return top * np.linspace(0, 1, NUISANCE) ** 2
    return min(top, MANY / 2 / rows + 2 * margin) * np.linspace(0, 1, NUISANCE // 4) ** 2


def power(rows: int, *, discordance: float, margin: float, alpha: float) -> float:
    """Return the chance of a yes where both models are equally good and differ on this share of the rows."""
    if rows == 0:
        return 0.0
    critical = critical_value(rows, margin=margin, alpha=alpha)
    limits = _limits(rows, discordance / 2, margin=margin, critical=critical)
    return min(1.0, chances(rows, p_won=discordance / 2, p_lost=discordance / 2, limits=limits).item())


@lru_cache(maxsize=256)
def rows_needed(*, discordance: float, margin: float, alpha: float, wanted: float = 0.8) -> int | None:
    """Return the rows at which the power reaches `wanted`, to about 1 %; None where they are beyond LARGEST."""
    from scipy.special import ndtri

    # The normal approximation: a start, and exact enough by itself where rows are many.
    linear = discordance - 2 * margin
    q_won = (linear + math.sqrt(linear**2 + 4 * discordance * margin * (1 - margin))) / 4
    at_margin = float(-ndtri(alpha)) * math.sqrt(2 * q_won + margin - margin**2)
    known = ((at_margin + float(ndtri(wanted)) * math.sqrt(discordance)) / margin) ** 2
    if known > SEARCHED:
        return math.ceil(known) if known <= LARGEST else None
    high = max(1, int(known))
    while power(high, discordance=discordance, margin=margin, alpha=alpha) < wanted:
        high = int(high * 1.25) + 1
    low = 0 if high <= known else int(high / 1.25) - 1
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if power(middle, discordance=discordance, margin=margin, alpha=alpha) < wanted:
            low = middle
        else:
            high = middle
    return high


def _limits(rows: int, p_won: float, *, margin: float, critical: float) -> tuple[Floats, Floats]:
    won = np.arange(0.0, min(rows, int(_counts(rows, np.array(p_won), 1 - TAIL)) + 2) + 1)
    return won, most_lost(won, rows, margin=margin, critical=critical)


def interval(won: int, lost: int, rows: int, *, critical: float) -> Interval:
    """Return the difference in accuracy with the differences that its score doesn't reject on either side."""
    return Interval(
        (won - lost) / rows,
        _edge(won, lost, rows, target=critical, low=-1.0, high=(won - lost) / rows),
        _edge(won, lost, rows, target=-critical, low=(won - lost) / rows, high=1.0),
    )


def _edge(won: int, lost: int, rows: int, *, target: float, low: float, high: float) -> float:
    """Return the difference at which the score has the target value, between two that hold it; the score falls."""
    for _ in range(60):
        middle = (low + high) / 2
        if float(score(won, lost, rows, margin=-middle)) >= target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def shown_worse(won: int, lost: int, rows: int, *, margin: float) -> float:
    """Return the p-value of `it is worse by more than the margin`, exact and at its largest over all discordances."""
    seen = float(score(won, lost, rows, margin=margin))
    if seen >= 0:
        return 1.0
    # Seen from the old model: won and lost change places, and it is to be better by more than the margin.
    shares = margin + _nuisances(rows, margin)
    # The mirrored score may differ in its last digit: what was seen is no less extreme than itself.
    limits = _limits(rows, float(shares[-1]), margin=-margin, critical=-seen * (1 - 1e-9))
    return min(1.0, float(chances(rows, p_won=shares, p_lost=shares - margin, limits=limits).max()))
