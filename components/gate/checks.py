"""The gate's conditions beside the comparison itself: the floor, the limits, and the recall of each class.

N rows, K classes.
"""

from collections.abc import Sequence

import numpy as np

from components.evaluation.answers import Labels
from components.evaluation.bunches import Bunches
from components.evaluation.interval import Interval
from components.figure import figure
from components.gate import bunched as of_bunches
from components.gate.judgement import Check, ClassChange, Status
from components.gate.proportions import shown_worse
from components.task import LOWER_IS_BETTER, Metric


def floor_check(metric: Metric, *, value: float | None, floor: float | None, tested: float | None = None) -> Check:
    """Compare the challenger's own figure with the recipe's floor (a ceiling, where lower is better).

    `tested` is that on all test rows, where `value` may be on those alone that the champion never learned from.
    """
    where = "" if tested in (None, value) else " on all test rows"
    value = value if tested is None else tested
    side = "at most" if metric in LOWER_IS_BETTER else "at least"
    if floor is None:
        text = "No floor was set: any value passes."
        return Check(name="floor", status="passed", value=value, limit=None, text=text)
    if value is None:
        return Check(name="floor", status="unclear", value=None, limit=floor, text=f"{metric} isn't defined here.")
    held = value <= floor if metric in LOWER_IS_BETTER else value >= floor
    text = f"{metric} is {figure(value)}{where}; {side} {figure(floor)} is wanted."
    return Check(name="floor", status="passed" if held else "failed", value=value, limit=floor, text=text)


def ratio_check(name: str, ratio: Interval | None, *, limit: float | None, key: str) -> Check:
    """Compare a cost, as a ratio of the champion's, with its limit, which is set by the recipe's `key`.

    It fails only where the whole interval is beyond the limit: no other measurement would make up for it.
    """
    if limit is None:
        value = None if ratio is None else ratio.value
        return Check(name=name, status="passed", value=value, limit=None, text="No limit was set.")
    if ratio is None:
        text = f"The {name} of both models isn't known."
        return Check(name=name, status="unclear", value=None, limit=limit, text=text)
    status: Status = "passed" if ratio.value <= limit else "failed" if ratio.low > limit else "unclear"
    known = "" if ratio.low == ratio.high else f" ({ratio.low:.3g} to {ratio.high:.3g})"
    text = f"The {name} is {ratio.value:.3g} times the champion's{known}; up to {limit:g} times ({key}) is allowed."
    if status == "unclear":
        text += " That is measured too roughly to tell: `run --force gate` measures again."
    return Check(name=name, status=status, value=ratio.value, limit=limit, text=text)


def class_changes(
    challenger: Labels, champion: Labels, *, classes: Sequence[str], margin: float, bunched: Bunches | None = None
) -> tuple[ClassChange, ...]:
    """Compare the recall of each class that has rows."""
    changes = []
    for place, name in enumerate(classes):
        rows = challenger.target == place
        new, old, count = challenger.correct[rows], champion.correct[rows], int(rows.sum())
        if count:
            lost, won = int((old & ~new).sum()), int((new & ~old).sum())
            here = None if bunched is None else bunched.among(rows)
            p = (
                shown_worse(won, lost, count, margin=margin)
                if here is None
                else of_bunches.shown_worse(new.astype(np.float64) - old, here, margin=margin)
            )
            changes.append((name, count, float(old.mean()), float(new.mean()), lost, won, p))
    corrected = holm([change[-1] for change in changes])
    return tuple(
        ClassChange(name=name, rows=count, champion=old, challenger=new, lost=lost, won=won, p_value=p)
        for (name, count, old, new, lost, won, _), p in zip(changes, corrected, strict=True)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number. Source: Holm 1979."""
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(p_values) else steps
    return [float(p) for p in corrected]


def recall_check(changes: Sequence[ClassChange], *, margin: float, confidence: float) -> Check:
    """Fail where a class is shown to have lost more recall than the margin allows."""
    broken = [change for change in changes if change.p_value <= 1 - confidence]
    falls = [change.champion - change.challenger for change in broken or changes]
    worst = max(falls, default=0.0)
    if broken:
        names = ", ".join(f"'{change.name}'" for change in broken)
        text = f"Recall is shown to have fallen by more than {100 * margin:g} points (gate.class_margin) in {names}."
        return Check(name="recall per class", status="failed", value=worst, limit=margin, text=text)
    text = f"No class is shown to have lost more than {100 * margin:g} points of recall."
    return Check(name="recall per class", status="passed", value=worst, limit=margin, text=text)
