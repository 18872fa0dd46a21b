"""What the gate says, as plain data: light to import, so that a plan can read it back."""

from dataclasses import dataclass
from typing import Literal

from components.evaluation.interval import Interval
from components.task import Metric, Task

Decision = Literal["yes", "no", "not enough evidence"]
Status = Literal["passed", "failed", "unclear"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One condition: the value, its limit (None where there is none), and what came of it."""

    name: str
    status: Status
    value: float | None
    limit: float | None
    text: str  # one sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChange:
    """What the new model does to the recall of one class.

    `p_value` is that of `worse than the class margin allows`, by the exact paired test, or by that of bunches. It is
    corrected by Holm's method for the number of classes.
    """

    name: str
    rows: int
    champion: float
    challenger: float
    lost: int  # rows of the class that only the champion gets right
    won: int  # rows of the class that only the challenger gets right
    p_value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """How the challenger compares with the champion by the metric."""

    difference: Interval | None  # above 0: the challenger is better. None: not defined on these rows
    shown: bool = False  # to be not worse by more than the margin
    worse: bool = False  # shown to be worse by more than the margin
    power: float | None = None  # chance that it is shown, on so many rows, were both equally good
    rows_needed: int | None = None  # for that chance to be 80 %; bunches, where rows come in them; None: > 10 million
    lost: int | None = None  # rows that only the champion gets right; None for figures that aren't of labels
    won: int | None = None  # rows that only the challenger gets right


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The decision, why, and all that it rests on: plain values only."""

    decision: Decision
    reason: str  # one sentence, for a person who doesn't know the figures
    task: Task
    metric: Metric
    challenger: str
    champion: str | None
    value: float | None = None  # of the challenger
    champion_value: float | None = None
    margin: float  # in the metric's unit; for a regression a share of the champion's value, as is the difference
    confidence: float
    rows: int  # that both answered
    bunches: int | None = None  # independent ones that they come in; None where none is a copy or of a group
    looks: int  # earlier decisions on these test rows
    checks: tuple[Check, ...] = ()
    comparison: Comparison | None = None
    classes: tuple[ClassChange, ...] = ()
