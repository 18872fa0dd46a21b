"""Bootstrap resamples of rows, as weights: how often each row was drawn.

N rows, B resamples.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from components.evaluation.answers import Answers, Floats, Labels

LEAST: Final = 100  # resamples, whatever the size of the data
WORK: Final = 1e8  # values to be touched, 3 seconds of one core: above it there are fewer resamples
BLOCK: Final = 4_000_000  # values of one block of weights, 32 MB


def affordable(resamples: int, given: Answers) -> int:
    """Return how many of the wanted resamples are made: fewer, though at least LEAST, on very many rows or classes."""
    values = len(given.target) * (10 + (given.classes if isinstance(given, Labels) else 0))
    return max(LEAST, min(resamples, int(WORK / values)))


def resample(rows: int, resamples: int, *, seed: int) -> Iterator[Floats]:
    """Yield blocks of weights, [N, b], which together are `resamples` draws of N rows with replacement."""
    random = np.random.default_rng(seed)
    width = max(1, BLOCK // rows)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn = random.integers(rows, size=(rows, columns)) * columns + np.arange(columns)
        counts = np.bincount(drawn.ravel(), minlength=rows * columns)
        yield counts.reshape(rows, columns).astype(np.float64)
