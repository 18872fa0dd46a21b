"""What a reader must beware of in a release, though the gate let it pass: one wording, for terminal and report."""

from collections.abc import Mapping
from typing import Final

from components.figure import figure
from components.task import LOWER_IS_BETTER, Metric

WORDS: Final = {"linear": "a linear model", "gradient_boosting": "gradient boosting", "constant": "a constant answer"}


def cautions(
    metric: Metric,
    *,
    released: float,
    uncompressed: float,
    simple: Mapping[str, float],
    worst: float,
    selected_on: int,
) -> tuple[str, ...]:
    """Return a sentence for each: compression that lost more on test than was allowed, simple models that do as well.

    All values are of the metric on the same test rows. `worst` is what selection would have allowed there;
    `selected_on` counts the validation rows by which it chose.
    """
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    found = []
    if sign * released < sign * worst:
        found.append(
            f"on test the uncompressed model has {metric} {figure(uncompressed)}, this one {figure(released)}: more is "
            f"lost than select.max_loss allows, which {selected_on:,} validation rows didn't show"
        )
    for name, value in simple.items():
        words = WORDS.get(name, name)
        if value == released:
            found.append(f"{words} does as well: {figure(value)}")
        elif sign * value > sign * released:
            found.append(f"{words} is better: {figure(value)} against {figure(released)}")
    return tuple(found)
