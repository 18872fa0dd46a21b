"""What a reader must beware of in a release, though the gate let it pass: one wording, for terminal and report."""

from collections.abc import Iterator, Mapping
from typing import Final

from components.evaluation.interval import Interval
from components.evaluation.metrics import ClassFigures, Evaluation
from components.figure import figure
from components.task import LOWER_IS_BETTER, Metric

WORDS: Final = {"linear": "a linear model", "gradient_boosting": "gradient boosting", "constant": "a constant answer"}
LEAST_FOUND: Final = 0.5  # share of a class's rows


def cautions(
    metric: Metric,
    *,
    released: Evaluation,
    uncompressed: float,
    simple: Mapping[str, float],
    worst: float,
    selected_on: int,
) -> tuple[str, ...]:
    """Return a sentence for each thing that a reader of the released model's figures would want to be told.

    All values are of the metric on the same test rows. `worst` is what selection would have allowed there;
    `selected_on` counts the validation rows by which it chose; `simple` holds the simple models' values.
    """
    value = released.of(metric)
    sentences = [*_lost(metric, value.value, uncompressed, worst=worst, selected_on=selected_on)]
    for name, other in simple.items():
        sentences += _beside(metric, value, other, words=WORDS.get(name, name), rows=released.rows)
    return (*sentences, *_hardly_found(released.classes))


def _lost(metric: Metric, released: float, uncompressed: float, *, worst: float, selected_on: int) -> Iterator[str]:
    """Compression that lost more on test than was allowed."""
    if _sign(metric) * released < _sign(metric) * worst:
        yield (
            f"on test the uncompressed model has {metric} {figure(uncompressed)}, this one {figure(released)}: more is "
            f"lost than select.max_loss allows, which {selected_on:,} validation rows didn't show"
        )


def _beside(metric: Metric, released: Interval, simple: float, *, words: str, rows: int) -> Iterator[str]:
    """A simple model that does as well, or of which so few rows can't tell that it doesn't."""
    values = f"{metric} {figure(simple)} against {figure(released.value)}"
    within = f"{values} ({figure(released.low)} to {figure(released.high)} on {rows:,} rows)"
    told_apart = not released.low <= simple <= released.high
    if simple == released.value:
        yield f"{words} does as well: {metric} {figure(simple)}"
    elif _sign(metric) * simple > _sign(metric) * released.value:
        yield f"{words} is better: {values}" if told_apart else f"{words} may be better: {within}"
    elif words == WORDS["constant"] and not told_apart:
        yield f"it isn't shown to be better than a constant answer: {within}"


def _hardly_found(classes: tuple[ClassFigures, ...]) -> Iterator[str]:
    """Classes most of whose rows are taken for another's."""
    missed = sorted((one for one in classes if one.support and one.recall < LEAST_FOUND), key=lambda one: one.recall)
    if missed:
        worst, others = missed[0], len(missed) - 1
        found = round(worst.recall * worst.support)
        more = f", and fewer than half of those of {others} other {'class' if others == 1 else 'classes'}"
        rows = "row" if worst.support == 1 else "rows"
        yield f"of {worst.support:,} {rows} of '{worst.name}' {found:,} are found{more if others else ''}"


def _sign(metric: Metric) -> float:
    return -1.0 if metric in LOWER_IS_BETTER else 1.0
