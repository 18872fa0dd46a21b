"""Bootstrap resamples of rows, as weights: how often each row was drawn.

N rows in G bunches, B resamples.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from components.evaluation.answers import Answers, Floats, Labels
from components.evaluation.bunches import Bunches, independent

LEAST: Final = 100  # resamples, whatever the size of the data
WORK: Final = 1e8  # values to be touched, 3 seconds of one core: above it there are fewer resamples
BLOCK: Final = 4_000_000  # values of one block of weights, 32 MB


def affordable(resamples: int, given: Answers) -> int:
    """Return how many of the wanted resamples are made: fewer, though at least LEAST, on very many rows or classes."""
    values = len(given.target) * (10 + (given.classes if isinstance(given, Labels) else 0))
    return max(LEAST, min(resamples, int(WORK / values)))


def resample(rows: int, resamples: int, *, seed: int, bunched: Bunches | None = None) -> Iterator[Floats]:
    """Yield blocks of weights, [N, b], which together are `resamples` draws of N rows with replacement.

    Where rows come in bunches, G whole bunches are drawn, and the rows may be more or fewer than N. Source: Davison
    and Hinkley 1997, section 3.8.
    """
    random, drawable = np.random.default_rng(seed), independent(rows, bunched)
    width = max(1, BLOCK // rows)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn = random.integers(drawable, size=(drawable, columns)) * columns + np.arange(columns)
        counts = np.bincount(drawn.ravel(), minlength=drawable * columns)
        weights = counts.reshape(drawable, columns).astype(np.float64)
        yield weights if bunched is None else weights[bunched.of]


def tails(confidence: float, bunched: Bunches | None) -> tuple[float, float]:
    """Return the quantiles of the resamples that are the ends of a two-sided interval.

    Of bunches, which may be few, they lie further out, as far as Student's t does, and as the resamples' spread is too
    small. Source: Hesterberg 2015, The American Statistician 69 (expanded percentiles).
    """
    low, high = (1 - confidence) / 2, (1 + confidence) / 2
    if bunched is None:
        return low, high
    from scipy.special import ndtr, stdtrit

    known = max(bunched.effective, 2.0)
    reach = math.sqrt(known / (known - 1)) * float(stdtrit(known - 1, high))
    return float(ndtr(-reach)), float(ndtr(reach))
