"""What simple models would answer on the same rows: a constant, a linear model; on tables boosting, and one column.

A net that doesn't beat them isn't worth its keep. They see what the net sees: the same train rows, encoded by the same
preparation, with the same weights of classes; and they are fitted for what is judged: where that is the mean absolute
error, the best constant is the median. On large data they are bounded, and say so.

N rows, K classes.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.preprocessing import RobustScaler

from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import encode_target
from components.data.rows import Rows
from components.evaluation.baseline_features import SIDE, Features, boosted_features, is_reduced, linear_features, width
from components.evaluation.one_column import OneColumn
from components.task import Metric, Task

Floats = npt.NDArray[np.float64]
Target = npt.NDArray[np.int64] | Floats

LINEAR_WORK: Final = 2e8  # rows x features x classes that the linear model is fitted on: 10 seconds of one core
LINEAR_STEPS: Final = 300
BOOSTED_WORK: Final = 4e7  # the same for boosting
TREES: Final = 100
ALL_TREES: Final = 2000  # of all classes together
SMALL: Final = f"linear saw the images averaged down to {SIDE} pixels."
CHUNK: Final = 10_000  # rows that are answered at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Baselines:
    """Outputs by name, probabilities [N, K] or values [N], and what was cut short. `column` is that of "one_column"."""

    outputs: dict[str, Floats]
    column: str = ""
    notes: tuple[str, ...] = ()


class Learner(Protocol):
    """A model of scikit-learn's, or with the methods of one."""

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """The classes of the rows that it learned from, in their order."""

    def fit(self, features: Floats, target: Target, /) -> object:
        """Learn from rows, [N, F] and [N]."""

    def predict(self, features: Floats, /) -> Target:
        """Answer with values, [N]."""

    def predict_proba(self, features: Floats, /) -> Floats:
        """Answer with probabilities of the classes."""


def baselines(
    task: Task,
    *,
    train: Rows,
    part: Rows,
    preparation: Preparation,
    metric: Metric,
    seed: int,
    balanced: bool = False,
) -> Baselines:
    """Fit the simple models on train rows, and answer for the rows of another part.

    `balanced` weighs each class by the inverse of its share of the train rows, as the loss of that name does. For the
    metric mae, absolute errors are made small, for others of a regression squared ones.
    """
    absolute = metric == "mae"
    target = encode_target(preparation, train)
    classes = len(preparation.target.classes) if task == "classification" else 0
    outputs = {"constant": constant(target, rows=len(part), classes=classes, absolute=absolute)}
    if len(np.unique(target)) < 2:
        note = "All train rows have one value of the target: no other baseline than the constant."
        return Baselines(outputs=outputs, notes=(note,))
    ways: list[tuple[float, Callable[[Preparation, Rows], Features], dict[str, Learner]]] = [
        (LINEAR_WORK, linear_features, {"linear": _linear(classes, balanced=balanced, absolute=absolute)}),
    ]
    names = [column.name for column in preparation.numbers] + [column.name for column in preparation.categories]
    alone = OneColumn(classes, balanced=balanced, absolute=absolute, seed=seed)
    if preparation.image is None:
        boosting = _boosted(classes, preparation, seed=seed, balanced=balanced, absolute=absolute)
        boosted: dict[str, Learner] = {"gradient_boosting": boosting}
        ways.append((BOOSTED_WORK, boosted_features, boosted | ({"one_column": alone} if len(names) > 1 else {})))
    notes = [SMALL] if is_reduced(preparation) else []
    for work, features_of, learners in ways:
        most = max(1000, int(work / (width(preparation) * max(classes, 1))))
        index = _some(len(train), most, seed=seed)
        seen = train.take(index)
        features = features_of(preparation, seen)
        learned = features(seen)
        for name, learner in learners.items():
            if len(index) < len(train):
                notes.append(f"{name} was fitted on {len(index):,} of {len(train):,} train rows.")
            if not _fit(learner, learned, target[index]):
                notes.append(f"{name} was stopped after {LINEAR_STEPS} steps, before it had converged.")
            outputs[name] = _answer(learner, features, part, classes=classes)
    return Baselines(outputs=outputs, notes=tuple(notes), column=names[alone.place] if "one_column" in outputs else "")


def constant(target: Target, *, rows: int, classes: int, absolute: bool = False) -> Floats:
    """Answer every row with the shares of the classes, [N, K], or with the mean or the median, [N]."""
    if not classes:
        return np.full(rows, float(np.median(target) if absolute else np.mean(target)))
    shares = np.bincount(target.astype(np.int64), minlength=classes) / len(target)
    return np.tile(shares, (rows, 1))


def _linear(classes: int, *, balanced: bool, absolute: bool) -> Learner:
    model: Learner
    if classes:
        model = LogisticRegression(max_iter=LINEAR_STEPS, class_weight="balanced" if balanced else None)
    elif absolute:  # Huber's loss is the absolute error but for the smallest ones, and quickly fitted
        huber = HuberRegressor(epsilon=1.0, max_iter=LINEAR_STEPS)
        model = TransformedTargetRegressor(huber, transformer=RobustScaler())
    else:
        model = Ridge()
    return model


def _boosted(classes: int, preparation: Preparation, *, seed: int, balanced: bool, absolute: bool) -> Learner:
    trees = max(10, min(TREES, ALL_TREES // max(classes, 1)))
    categorical = [False] * len(preparation.numbers) + [True] * len(preparation.categories)
    # Early stopping would hold out rows by class, and fail where a class has a single one.
    how = {"max_iter": trees, "early_stopping": False, "categorical_features": categorical, "random_state": seed}
    model: Learner
    if classes:
        model = HistGradientBoostingClassifier(**how, class_weight="balanced" if balanced else None)
    else:
        model = HistGradientBoostingRegressor(**how, loss="absolute_error" if absolute else "squared_error")
    return model


def _some(rows: int, most: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Return at most so many of the rows, at random, in their order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, size=most, replace=False))


def _fit(learner: Learner, features: Floats, target: Target) -> bool:
    """Fit, and say whether it converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learner.fit(features, target)
    return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _answer(learner: Learner, features: Features, part: Rows, *, classes: int) -> Floats:
    """Return the outputs, [N, K] with 0 for a class that no train row had, or [N]."""
    outputs = np.zeros((len(part), classes) if classes else len(part))
    for start in range(0, len(part), CHUNK):
        piece = slice(start, start + CHUNK)
        given = features(part.take(piece))
        if classes:
            outputs[piece, learner.classes_] = learner.predict_proba(given)
        else:
            outputs[piece] = learner.predict(given)
    return outputs
