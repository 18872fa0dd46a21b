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
    leads: Mapping[str, Interval],
    worst: float,
    selected_on: int,
) -> tuple[str, ...]:
    """Return a sentence for each thing that a reader of the released model's figures would want to be told.

    All values are of the metric on the same test rows. `worst` is what selection would have allowed there;
    `selected_on` counts the validation rows by which it chose; `simple` holds the simple models' values,
    `leads` by how much the released one is better than each.
    """
    value = released.of(metric)
    sentences = [*_lost(metric, value.value, uncompressed, worst=worst, selected_on=selected_on)]
    for name, other in simple.items():
        told_apart = name in leads and not leads[name].low <= 0 <= leads[name].high
        sentences += _beside(
            metric, value.value, other, words=WORDS.get(name, name), told_apart=told_apart, rows=released.rows
        )
    return (*sentences, *_hardly_found(released.classes))


def _lost(metric: Metric, released: float, uncompressed: float, *, worst: float, selected_on: int) -> Iterator[str]:
    """Compression that lost more on test than was allowed."""
    if _sign(metric) * released < _sign(metric) * worst:
        yield (
            f"on test the uncompressed model has {metric} {figure(uncompressed)}, this one {figure(released)}: more is "
            f"lost than select.max_loss allows, which {selected_on:,} validation rows didn't show"
        )


def _beside(
    metric: Metric, released: float, simple: float, *, words: str, told_apart: bool, rows: int
) -> Iterator[str]:
    """A simple model that does as well, or of which so few rows can't tell that it doesn't."""
    values = f"{metric} {figure(simple)}, this one {figure(released)}"
    if simple == released:
        yield f"{words} does as well: {metric} {figure(simple)}"
    elif _sign(metric) * simple > _sign(metric) * released:
        yield (
            f"{words} is better: it has {values}"
            if told_apart
            else (f"{words} may be better: it has {values}, which {rows:,} rows can't tell apart")
        )
    elif words == WORDS["constant"] and not told_apart:
        yield f"{words} may do as well: it has {values}, which {rows:,} rows can't tell apart"


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
