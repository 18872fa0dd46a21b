"""Figures of quality: quickly, each epoch, and thoroughly, with intervals, for the report and the gate.

A figure that isn't defined on the given rows (ROC AUC of a single class, R2 of a constant target) is left out.

N rows, K classes, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from components.errors import refuse
from components.evaluation.answers import Answers, Floats, Labels, Values, answers
from components.evaluation.bootstrap import affordable, resample, tails
from components.evaluation.bunches import Bunches, bunches, effective
from components.evaluation.config import EvaluateConfig
from components.evaluation.few import FEWEST, of_few
from components.evaluation.interval import Interval
from components.evaluation.unseen import intervals as of_labels
from components.evaluation.weighted import CALIBRATION_BINS, area_under_roc, confidence_bins, per_class, weighted
from components.task import LOWER_IS_BETTER, METRICS, Metric, Task

QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # of the residuals
SHOWN: Final = 500  # rows of a regression that the report draws
FULL_CONFUSION: Final = 60  # classes up to which the whole matrix is kept
PAIRS: Final = 20  # most confused pairs of classes that are kept


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFigures:
    """One class against the others. `roc_auc` is None where the class has no row, or all of them."""

    name: str
    precision: float
    recall: float
    f1: float
    roc_auc: float | None
    support: int  # rows that truly are of this class
    predicted: int  # rows that were said to be


@dataclass(frozen=True, kw_only=True, slots=True)
class Confused:
    """Rows of one class that were said to be of another."""

    true: str
    predicted: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationBin:
    """The rows whose top probability lies in one bin: how sure the model was, and how often right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Residuals:
    """Predicted minus true values, in the target's unit."""

    quantiles: dict[str, float]  # "0.05" -> value
    true: tuple[float, ...]  # a sample of rows, at most SHOWN, drawn evenly by rank of the true value
    predicted: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """All figures of one model on one part of the data: plain values only."""

    task: Task
    rows: int
    bunches: int | None = None  # independent ones that the rows come in; None where none is a copy or of a group
    effective: float | None = None  # bunches of equal sizes that say as much
    confidence: float
    resamples: int
    figures: dict[Metric, Interval]
    classes: tuple[ClassFigures, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()  # rows by true class, then by predicted one; () above FULL_CONFUSION
    confused: tuple[Confused, ...] = ()  # the most frequent errors first
    calibration: tuple[CalibrationBin, ...] = ()  # bins without rows are left out
    residuals: Residuals | None = None
    notes: tuple[str, ...] = ()

    def of(self, metric: Metric) -> Interval:
        """Return the figure that a recipe judges by. Raises Refusal where it isn't defined on the rows."""
        if metric not in self.figures:
            what = f"{metric} isn't defined on {self.rows:,} rows, which all have the same target"
            raise refuse(what, where="metric", do="give that part of the split more rows, or judge by another metric")
        return self.figures[metric]


def check_areas(metric: Metric, classes: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse to judge by ROC AUC on a part all of whose rows are of one class; `classes` counts them, by part."""
    alike = [part for part, counts in classes.items() if sum(1 for rows in counts.values() if rows) < 2]
    if metric == "roc_auc" and alike:
        what = f"roc_auc isn't defined on {' and '.join(alike)}: all rows there are of one class"
        raise refuse(
            what, where="split", do="set method: stratified, give it a larger share, or judge by another metric"
        )


def figures(task: Task, *, target: npt.ArrayLike, output: npt.ArrayLike, classes: int) -> dict[Metric, float]:
    """Return every figure of the task, by scikit-learn's names and with its values.

    They are computed by `weighted` and not by scikit-learn, which takes 7 times as long (11 ms on 400 rows of 10
    classes): they are wanted each epoch.

    Raises:
        Refusal: The output doesn't fit the target, or isn't finite.
    """
    return _figures(answers(task, target=target, output=output, classes=classes), METRICS[task])


def evaluate(
    config: EvaluateConfig,
    *,
    task: Task,
    target: npt.ArrayLike,
    output: npt.ArrayLike,
    classes: Sequence[str],
    seed: int,
    groups: npt.ArrayLike | None = None,
) -> Evaluation:
    """Measure a model thoroughly.

    Intervals are two-sided. Those of accuracy, of the figures of each class's labels and ranks and of the calibration
    error are `unseen`'s: they hold what so few rows can't rule out, also where none is wrong. The others are by the
    percentile bootstrap over rows. Rows that share one of the `groups`, [N], are drawn together. Where there are fewer
    than FEWEST rows, or bunches of them, intervals are `of_few`.

    Raises:
        Refusal: As `figures`.
    """
    given, bunched = answers(task, target=target, output=output, classes=len(classes)), bunches(groups)
    resamples = affordable(config.resamples, given)
    values = _figures(given, METRICS[task])
    intervals = _intervals(given, values, resamples=resamples, confidence=config.confidence, seed=seed, bunched=bunched)
    common = Evaluation(
        task=task,
        rows=len(given.target),
        bunches=None if bunched is None else bunched.count,
        effective=None if bunched is None else bunched.effective,
        confidence=config.confidence,
        resamples=resamples,
        figures=intervals,
        notes=_notes(given, values, wanted=config.resamples, made=resamples, bunched=bunched),
    )
    if isinstance(given, Values):
        return replace(common, residuals=_residuals(given))
    return replace(
        common,
        classes=_classes(given, classes),
        confusion=_confusion(given) if given.classes <= FULL_CONFUSION else (),
        confused=_confused(given, classes),
        calibration=_calibration(given),
    )


def lead(
    config: EvaluateConfig,
    *,
    metric: Metric,
    task: Task,
    target: npt.ArrayLike,
    output: npt.ArrayLike,
    other: npt.ArrayLike,
    classes: int,
    seed: int,
    groups: npt.ArrayLike | None = None,
) -> Interval | None:
    """Return by how much one output is better than another on the same rows.

    None where the metric isn't defined, or where rows, or bunches of them, are fewer than FEWEST: too few to tell.

    Both are figured on the same resamples: what makes a row hard for one makes it hard for the other, and two separate
    intervals would hide most differences.
    """
    ours, theirs = (answers(task, target=target, output=one, classes=classes) for one in (output, other))
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0

    def difference(weights: Floats) -> Floats:
        return np.asarray(sign * (weighted(metric, ours, weights) - weighted(metric, theirs, weights)))

    rows, bunched = len(ours.target), bunches(groups)
    value = float(difference(np.ones((rows, 1)))[0])
    if not np.isfinite(value) or effective(rows, bunched) < FEWEST:
        return None
    resamples = affordable(config.resamples, ours)
    drawn = [difference(weights) for weights in resample(rows, resamples, seed=seed, bunched=bunched)]
    low, high = np.nanquantile(np.concatenate(drawn), tails(config.confidence, bunched)).tolist()
    return Interval(value, min(low, value), max(high, value))


def _figures(given: Answers, metrics: Sequence[Metric]) -> dict[Metric, float]:
    ones = np.ones((len(given.target), 1))
    values = {metric: float(weighted(metric, given, ones)[0]) for metric in metrics}
    return {metric: value for metric, value in values.items() if np.isfinite(value)}


def _intervals(
    given: Answers,
    values: dict[Metric, float],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    bunched: Bunches | None,
) -> dict[Metric, Interval]:
    rows = len(given.target)
    known = effective(rows, bunched)
    if known < FEWEST:
        ends = {metric: of_few(metric, value, known, confidence=confidence) for metric, value in values.items()}
        return {metric: Interval(values[metric], low, high) for metric, (low, high) in ends.items()}
    ends = {}
    if isinstance(given, Labels):
        ends = of_labels(given, values, resamples, confidence=confidence, seed=seed, bunched=bunched)
    rest = [metric for metric in values if metric not in ends]
    blocks = [
        {metric: weighted(metric, given, weights) for metric in rest}
        for weights in resample(rows, resamples, seed=seed, bunched=bunched)
    ]
    for metric in rest:
        drawn = np.concatenate([block[metric] for block in blocks])
        low, high = np.nanquantile(drawn, tails(confidence, bunched)).tolist()
        ends[metric] = low, high
    return {
        metric: Interval(value, min(ends[metric][0], value), max(ends[metric][1], value))
        for metric, value in values.items()
    }


def _notes(
    given: Answers, values: dict[Metric, float], *, wanted: int, made: int, bunched: Bunches | None
) -> tuple[str, ...]:
    metrics = METRICS["classification" if isinstance(given, Labels) else "regression"]
    notes = [f"{metric} isn't defined on these rows." for metric in metrics if metric not in values]
    if bunched is not None:
        what = "exact copies, or rows of one group"
        notes.append(f"The {len(given.target):,} rows are {bunched.count:,} independent bunches ({what}).")
    if effective(len(given.target), bunched) < FEWEST:
        return (*notes, f"Fewer than {FEWEST} independent rows: intervals say what is possible, hardly what was seen.")
    if made < wanted:
        notes.append(f"{made} resamples instead of {wanted}, since there are many rows.")
    return tuple(notes)


def _confusion(given: Labels) -> tuple[tuple[int, ...], ...]:
    cells = np.bincount(given.target * given.classes + given.predicted, minlength=given.classes**2)
    return tuple(map(tuple, cells.reshape(given.classes, given.classes).tolist()))


def _classes(given: Labels, names: Sequence[str]) -> tuple[ClassFigures, ...]:
    ones = np.ones((len(given.target), 1))
    hits = per_class(given.target, given.correct[:, None].astype(np.float64), given.classes)[:, 0]
    support = per_class(given.target, ones, given.classes)[:, 0]
    predicted = per_class(given.predicted, ones, given.classes)[:, 0]
    areas = [float(area_under_roc(given.target == k, given.probabilities[:, k], ones)[0]) for k in range(given.classes)]
    return tuple(
        ClassFigures(
            name=name,
            precision=float(hits[k] / max(predicted[k], 1)),
            recall=float(hits[k] / max(support[k], 1)),
            f1=float(2 * hits[k] / max(support[k] + predicted[k], 1)),
            roc_auc=areas[k] if np.isfinite(areas[k]) else None,
            support=int(support[k]),
            predicted=int(predicted[k]),
        )
        for k, name in enumerate(names)
    )


def _confused(given: Labels, names: Sequence[str]) -> tuple[Confused, ...]:
    wrong = given.target != given.predicted
    cells, rows = np.unique((given.target * given.classes + given.predicted)[wrong], return_counts=True)
    order = np.argsort(-rows, kind="stable")[:PAIRS]
    pairs = [(*divmod(int(cells[place]), given.classes), int(rows[place])) for place in order]
    return tuple(Confused(true=names[true], predicted=names[said], rows=count) for true, said, count in pairs)


def _calibration(given: Labels) -> tuple[CalibrationBin, ...]:
    bins, top = confidence_bins(given), given.probabilities.max(axis=1)
    sums = per_class(bins, np.stack([np.ones_like(top), top, given.correct], axis=1), CALIBRATION_BINS)  # [bins, 3]
    return tuple(
        CalibrationBin(
            low=k / CALIBRATION_BINS,
            high=(k + 1) / CALIBRATION_BINS,
            rows=int(rows),
            confidence=float(confidence / rows),
            accuracy=float(right / rows),
        )
        for k, (rows, confidence, right) in enumerate(sums)
        if rows
    )


def _residuals(given: Values) -> Residuals:
    residuals: Floats = given.predicted - given.target
    order = np.argsort(given.target, kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, SHOWN).astype(np.intp))]
    return Residuals(
        quantiles={
            f"{q:g}": float(value) for q, value in zip(QUANTILES, np.quantile(residuals, QUANTILES), strict=True)
        },
        true=tuple(given.target[shown].tolist()),
        predicted=tuple(given.predicted[shown].tolist()),
    )
