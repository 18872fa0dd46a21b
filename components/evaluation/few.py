"""Intervals where resampling has nothing to say: of answers that are all right, and of hardly any rows.

Resamples of one row are that row again, and those of a handful repeat what the handful happened to show.

N independent rows; of bunches of them, how many of equal sizes say as much, which needn't be a whole number.
"""

from typing import Final

import numpy as np

from components.evaluation.weighted import CLIP
from components.task import Metric

FEWEST: Final = 10  # independent rows or bunches from which on they are resampled


def of_few(metric: Metric, value: float, rows: float, *, confidence: float) -> tuple[float, float]:
    """Return a two-sided interval of a figure of fewer than FEWEST independent rows.

    Accuracy has Wilson's. The errors of a regression are taken for normal: then N rmse² / sigma² has a chi-squared
    distribution of N degrees of freedom, mae is about as uncertain, and 1 - r2 is a ratio of two such. Nothing is known
    of the other figures, so that theirs is all that they can be.
    """
    from scipy.special import chdtri, fdtri

    low, high = (1 - confidence) / 2, (1 + confidence) / 2
    match metric:
        case "accuracy":
            return wilson(value, rows, confidence=confidence)
        case "rmse" | "mae":
            narrow, wide = (value * float(np.sqrt(rows / chdtri(rows, tail))) for tail in (low, high))
            return narrow, wide
        case "r2":
            most, least = ((1 - value) / float(fdtri(rows, max(rows - 1, 1), tail)) for tail in (low, high))
            return 1 - most, 1 - least
        case "log_loss":
            return 0.0, float(-np.log(CLIP))
        case _:
            return 0.0, 1.0


def wilson(share: float, rows: float, *, confidence: float) -> tuple[float, float]:
    """Return the two-sided score interval of a share. Source: Wilson 1927."""
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * float(np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)))
    return max(0.0, middle - half), min(1.0, middle + half)
