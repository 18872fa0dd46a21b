"""The answers of one model on rows whose truth is known, checked once, in the form that every figure reads.

N rows, K classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import Problem, Refusal
from components.task import Task

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SUM_TOLERANCE = 1e-2  # what the probabilities of a row may differ from a sum of 1, before they are scaled to it


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Answers of a classifier. Every row of `probabilities` sums to 1; `predicted` is the most probable class."""

    target: Integers  # [N]
    probabilities: Floats  # [N, K]
    predicted: Integers  # [N]

    @property
    def classes(self) -> int:
        """Number of classes that the model knows, K."""
        return int(self.probabilities.shape[1])

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Which rows are right, [N]."""
        return np.equal(self.predicted, self.target)


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """Answers of a regression."""

    target: Floats  # [N]
    predicted: Floats  # [N]


Answers = Labels | Values


def answers(task: Task, *, target: npt.ArrayLike, output: npt.ArrayLike, classes: int) -> Answers:
    """Check a model's output against the truth.

    Args:
        task: What the model does.
        target: Class indexes [N] (integers), or values [N].
        output: Probabilities [N, K], or values [N] or [N, 1].
        classes: K; of no effect for regression.

    Raises:
        Refusal: No rows, shapes that don't fit, NaN or infinite values, or rows that aren't probabilities.
    """
    truth, given = np.asarray(target), np.asarray(output, dtype=np.float64)
    width = (classes,) if task == "classification" else ()
    if task == "regression" and given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    problems = _problems(truth, given, width)
    if problems:
        raise Refusal(problems)
    if task == "regression":
        return Values(target=truth.astype(np.float64), predicted=given)
    labels = truth.astype(np.int64)
    positive = np.clip(given, 0, None)
    scaled = positive / positive.sum(axis=1, keepdims=True)
    return Labels(target=labels, probabilities=scaled, predicted=given.argmax(axis=1).astype(np.int64))


def _problems(truth: npt.NDArray[np.generic], given: Floats, width: tuple[int, ...]) -> list[Problem]:
    """Return what is wrong with a model's output; `width` is (K,) for a classifier, () for a regression."""
    if truth.ndim != 1 or len(truth) == 0:
        return [Problem(what=f"the target has the shape {truth.shape}", allowed="one value for each of at least 1 row")]
    if given.shape != (len(truth), *width):
        return [Problem(what=f"the model's output has the shape {given.shape}", allowed=f"{(len(truth), *width)}")]
    bad = np.flatnonzero(~np.isfinite(given.reshape(len(given), -1)).all(axis=1))
    if len(bad):
        what = f"the model's output is NaN or infinite on {len(bad)} of {len(given)} rows, first on row {bad[0]}"
        return [Problem(what=what, do="train again with a lower learning rate, or with clipping")]
    if not width:
        finite = np.isfinite(truth.astype(np.float64)).all()
        return [] if finite else [Problem(what="the target holds NaN or infinite values")]
    return _problems_of_labels(truth, given)


def _problems_of_labels(truth: npt.NDArray[np.generic], given: Floats) -> list[Problem]:
    """Return what is wrong with class indexes and probabilities of the right shapes."""
    problems = []
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= given.shape[1]:
        problems.append(Problem(what="the target isn't a class index", allowed=f"integers 0 to {given.shape[1] - 1}"))
    off = np.abs(given.sum(axis=1) - 1)
    if given.min() < -SUM_TOLERANCE or off.max() > SUM_TOLERANCE:
        worst = int(off.argmax())
        what = f"the model's output isn't made of probabilities: row {worst} sums to {given[worst].sum():.4g}"
        problems.append(Problem(what=what, allowed="values of 0 to 1 whose sum is 1"))
    return problems
