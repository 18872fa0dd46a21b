"""Is a classifier not worse than another by more than a margin, where the test rows come in bunches?

The exact test of `proportions` takes each row for a draw of its own. Of exact copies, or of rows of one group, ten that
are won or lost together are one draw: with 150 rows ten times each it said yes to a loss as large as the margin 30
times in 100. Here the difference in accuracy is a ratio of two sums over bunches, rows won less rows lost and rows;
its error is that of the jackknife that leaves out one bunch at a time, in Student's t of G - 1 degrees of freedom
(fewer, where bunches differ in size), and bunches that weren't seen to differ are added as in `paired`.

Source: Obuchowski 1998, Statistics in Medicine 17 (paired proportions in clusters); Cameron and Miller 2015, Journal of
Human Resources 50, sections II and VI (the error of few clusters, and its degrees of freedom).

N rows in G bunches; `gained`, [N], is 1 of a row that only the new model gets right, -1 of one that only the old does.
"""

import math

import numpy as np
from scipy.special import stdtr

from components.evaluation.answers import Floats
from components.evaluation.bunches import Bunches
from components.gate.paired import Gain, errors_within, of_jumps


def gain_of_accuracy(gained: Floats, bunched: Bunches, *, confidence: float) -> Gain:
    """Return how many more rows the new model gets right, as a share of the rows."""
    seen, pseudo, worst = _by_bunch(gained, bunched)
    return of_jumps(seen, pseudo, worst=worst, reach=errors_within(confidence, bunched))


def shown_worse(gained: Floats, bunched: Bunches, *, margin: float) -> float:
    """Return the p-value of `it is worse by more than the margin`.

    It is the chance at which the upper limit of the gain meets -margin: there z errors, and z² / 2 bunches that are
    newly right, make up for what the loss seen has beyond the margin, which is a quadratic equation for z².
    """
    seen, pseudo, worst = _by_bunch(gained, bunched)
    beyond = -seen - margin
    if beyond <= 0 or len(pseudo) < 2:
        return 1.0
    half = float(pseudo.var(ddof=1)) / len(pseudo) + beyond * worst
    errors = math.sqrt(2) * beyond / math.sqrt(half + math.sqrt(half**2 + (beyond * worst) ** 2))
    return float(stdtr(max(bunched.effective - 1, 1.0), -errors))


def _by_bunch(gained: Floats, bunched: Bunches) -> tuple[float, Floats, float]:
    """Return the gain, the jackknife's value of each bunch, [G], and what one bunch that is newly wrong would take.

    The last is a bunch's share of the rows, on average over the rows: large bunches hold most of them.
    """
    gains, sizes = bunched.sums(gained), bunched.sums(np.ones(len(gained)))
    seen, worst = float(gained.mean()), 1 / bunched.effective
    if bunched.count < 2:
        return seen, np.empty(0), worst
    left_out = (gains.sum() - gains) / (len(gained) - sizes)
    return seen, bunched.count * seen - (bunched.count - 1) * left_out, worst
