"""A simple model beside the released one, on the same rows: one finding, for all who put it into words."""

from typing import Literal

from components.evaluation.interval import Interval
from components.task import LOWER_IS_BETTER, Metric

Finding = Literal["better", "perhaps better", "as good", "perhaps as good", "worse"]  # of the simple model


def beside(metric: Metric, *, simple: float, released: float, lead: Interval | None) -> Finding:
    """Say what is known of the simple model. `lead` is how much better the released one is, compared row by row.

    The two are told apart only where that interval leaves 0 out; without it, they aren't.
    """
    if simple == released:
        return "as good"
    told_apart = lead is not None and not lead.low <= 0 <= lead.high
    if simple < released if metric in LOWER_IS_BETTER else simple > released:
        return "better" if told_apart else "perhaps better"
    return "worse" if told_apart else "perhaps as good"
