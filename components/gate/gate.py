"""The gate: may this model take the place of the one that is in use?

It says yes, no, or not enough evidence, and shows every figure that it used. The first release needs only the floor.
A later one must be shown to be not worse than the champion by more than the margin, on the same test rows: accuracy
by an exact paired test (`proportions`), other figures by a paired interval (`paired`). Exact copies, and the rows of a
group, are one observation each, not many (`bunched`, for accuracy): what is said of rows needed and of power is of such
independent bunches then, and fewer than ten of them show nothing.

No: it is shown to be worse by more than the margin, or a floor or a limit is broken, the floor also where the two can't
be compared.
Not enough evidence: neither is shown, and the number of rows that would be needed is given; or they can't be compared.

Past looks at the same test rows are counted and reported, not corrected for. The confidence is a promise about each
decision by itself. A correction would end routine retraining (after 20 releases the gate would ask for 99.75 %),
and wouldn't help against what repeated looks really do, which is to let choices drift towards the test rows.

What no test row shows, no test can show: where a figure without bounds (RMSE, log loss) is lost in one row of 500 by a
blunder, 200 rows mostly hold none of them, and the gate says yes (docs/log.md has figures). Recall of each class and
accuracy are bounded, and hold their promise there too.

The power of accuracy's test is computed from the rows on which the two are seen to differ, at least one: on 60 rows of
which 0.5 % differ it says 0.63 on average where it is 0.86 (margin 0.05), and 0.06 where it is 0.01 (margin 0.02;
benchmarks/results/gate.json).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from components.errors import refuse
from components.evaluation.answers import Answers, Labels, answers
from components.evaluation.bunches import Bunches, bunches, independent, rows_in_words
from components.evaluation.few import FEWEST
from components.evaluation.interval import Interval
from components.evaluation.weighted import weighted
from components.figure import figure
from components.gate import proportions
from components.gate.bunched import gain_of_accuracy
from components.gate.checks import class_changes, floor_check, ratio_check, recall_check
from components.gate.config import GateConfig
from components.gate.judgement import Check, ClassChange, Comparison, Judgement, Status
from components.gate.paired import Gain, gain, scale_of
from components.task import JUDGED_BY, Metric, Task

QUALITY: Final = "quality"
WANTED: Final = 0.8  # power that `rows_needed` is about
BY_CLASS: Final = frozenset({"balanced_accuracy", "precision_macro", "recall_macro", "f1_macro", "roc_auc"})
SCARCE: Final = 0.5  # of the rows that a class would have if all had as many
WORN: Final = 20  # looks from which on the reason says that new test rows are due


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A model as it stands before the gate. The champion's `output` is made anew, on the challenger's test rows."""

    name: str  # of the model version: "digits 3"
    task: Task
    target: str  # column that is predicted
    classes: tuple[str, ...]  # () for a regression
    output: npt.NDArray[np.floating]  # probabilities [N, K] in the order of `classes`, or values [N] or [N, 1]
    slowdown: Interval | None  # of the challenger: latency of one row, as a ratio of the champion's
    size_bytes: int | None
    obstacle: str = ""  # why it has no answer to the rows: a sentence without its full stop


def judge(
    config: GateConfig,
    *,
    metric: Metric,
    task: Task,
    target: npt.ArrayLike,
    challenger: Standing,
    champion: Standing | None,
    seed: int,
    looks: int = 0,
    groups: npt.ArrayLike | None = None,
    tested: float | None = None,
) -> Judgement:
    """Decide whether the challenger may be promoted.

    Args:
        config: The rule.
        metric: What is compared, one of JUDGED_BY.
        task: What the recipe's model does.
        target: The truth on the test rows: class indexes in the challenger's order, or values, [N]. The rows are
            those that neither model was trained on.
        challenger: The new model.
        champion: The model in use, answering the same rows; None where there is none.
        seed: Of the resamples.
        looks: How many decisions were made on these test rows before.
        groups: What rows that aren't independent share, [N]: a split's `group`. None: each row is by itself.
        tested: The challenger's figure on all of its test rows, which the floor is about. None: there are no others.

    Raises:
        Refusal: An output doesn't fit the target, or holds NaN. The task's models aren't judged by the metric.
    """
    if metric not in JUDGED_BY[task]:
        what = f"models of {task} can't be judged by {metric}"
        raise refuse(what, where="metric", allowed=", ".join(JUDGED_BY[task]), do="judge by one of these")
    truth, bunched = np.asarray(target), bunches(groups)
    blank = Judgement(
        decision="no",
        reason="",
        task=task,
        metric=metric,
        challenger=challenger.name,
        champion=None if champion is None else champion.name,
        margin=config.margin,
        confidence=config.confidence,
        rows=len(truth),
        bunches=None if bunched is None else bunched.count,
        looks=looks,
    )
    obstacle = _obstacle(challenger, champion, rows=len(truth), task=task)
    new = None
    if challenger.task == task and len(truth):
        new = answers(task, target=truth, output=challenger.output, classes=len(challenger.classes))
    value = None if new is None else _value(metric, new)
    floor = floor_check(metric, value=value, floor=config.floor, tested=tested)
    judged = replace(blank, value=value, checks=(floor,))
    if obstacle or new is None:
        return _uncompared(judged, floor, obstacle)
    if champion is None:
        return decide(config, judged)
    output = _in_order(champion, challenger.classes)
    old = answers(task, target=truth, output=output, classes=len(challenger.classes))
    classes: tuple[ClassChange, ...] = ()
    if isinstance(new, Labels) and isinstance(old, Labels) and config.class_margin is not None:
        classes = class_changes(new, old, classes=challenger.classes, margin=config.class_margin, bunched=bunched)
    judged = replace(
        judged,
        champion_value=_value(metric, old),
        comparison=compare(config, metric=metric, task=task, challenger=new, champion=old, seed=seed, bunched=bunched),
        classes=classes,
        checks=(*judged.checks, *_other_checks(config, challenger, champion, classes)),
    )
    decided = decide(config, judged)
    return replace(decided, checks=(floor, quality_check(decided), *decided.checks[1:]))


def same_file(judged: Judgement, *, champion: str) -> Judgement:
    """Return what was found of a file by itself as the judgement on it against the champion, which holds it too.

    Only the code that answers differs, and that is tried when it is registered and when it rises.
    """
    reason = f"{judged.challenger} is the file of {champion}, answered by other code. {judged.checks[0].text}"
    return replace(judged, champion=champion, reason=reason)


def compare(
    config: GateConfig,
    *,
    metric: Metric,
    task: Task,
    challenger: Answers,
    champion: Answers,
    seed: int,
    bunched: Bunches | None = None,
) -> Comparison:
    """Compare two models' answers to the same rows by the metric."""
    if isinstance(challenger, Labels) and isinstance(champion, Labels) and metric == "accuracy":
        if bunched is None:
            return _compare_accuracy(config, challenger, champion)
        return _compare_bunched_accuracy(config, challenger, champion, bunched)
    seen = gain(
        metric,
        challenger=challenger,
        champion=champion,
        scale=scale_of(metric, task),
        margin=config.margin,
        confidence=config.confidence,
        seed=seed,
        bunched=bunched,
    )
    return Comparison(difference=None) if seen is None else _compared(config, seen, len(challenger.target), bunched)


def _compare_bunched_accuracy(config: GateConfig, challenger: Labels, champion: Labels, bunched: Bunches) -> Comparison:
    gained = challenger.correct.astype(np.float64) - champion.correct
    seen = gain_of_accuracy(gained, bunched, confidence=config.confidence)
    lost, won = _discordant(challenger, champion)
    return replace(_compared(config, seen, len(gained), bunched), lost=lost, won=won)


def _compared(config: GateConfig, seen: Gain, rows: int, bunched: Bunches | None) -> Comparison:
    """Return what a gain shows that was seen on so many rows. Fewer than FEWEST bunches of them show nothing."""
    known, few = independent(rows, bunched), bunched is not None and bunched.effective < FEWEST
    low, high = FEWEST if few else 1, proportions.LARGEST
    while low < high:  # the power rises with the rows
        middle = (low + high) // 2
        low, high = (low, middle) if seen.power(config.margin, middle / known) >= WANTED else (middle + 1, high)
    return Comparison(
        difference=seen.interval,
        shown=seen.interval.low > -config.margin and not few,
        worse=seen.interval.high < -config.margin and not few,
        power=0.0 if few else seen.power(config.margin, 1.0),
        rows_needed=low if low < proportions.LARGEST else None,
    )


def _discordant(challenger: Labels, champion: Labels) -> tuple[int, int]:
    """Return how many rows only the champion gets right, and how many only the challenger."""
    return int((champion.correct & ~challenger.correct).sum()), int((challenger.correct & ~champion.correct).sum())


def _compare_accuracy(config: GateConfig, challenger: Labels, champion: Labels) -> Comparison:
    rows, margin, alpha = len(challenger.target), config.margin, 1 - config.confidence
    lost, won = _discordant(challenger, champion)
    # No discordant row was seen: that doesn't mean that there are none, so one is supposed.
    discordance = max(lost + won, 1) / rows
    critical = proportions.critical_value(rows, margin=margin, alpha=alpha)
    return Comparison(
        difference=proportions.interval(won, lost, rows, critical=critical),
        shown=float(proportions.score(won, lost, rows, margin=margin)) >= critical,
        worse=proportions.shown_worse(won, lost, rows, margin=margin) <= alpha,
        power=proportions.power(rows, discordance=discordance, margin=margin, alpha=alpha),
        rows_needed=proportions.rows_needed(discordance=discordance, margin=margin, alpha=alpha, wanted=WANTED),
        lost=lost,
        won=won,
    )


def decide(config: GateConfig, judged: Judgement) -> Judgement:
    """Return the judgement with its decision and its reason, from its checks and its comparison."""
    failed = [check for check in judged.checks if check.status == "failed"]
    unclear = [check for check in judged.checks if check.status == "unclear"]
    seen = judged.comparison
    if failed or (seen is not None and seen.worse):
        return replace(judged, decision="no", reason=_refusing(judged, failed))
    if seen is None and not unclear:
        return replace(judged, decision="yes", reason=_first(judged))
    if seen is not None and seen.shown and not unclear:
        return replace(judged, decision="yes", reason=_with_looks(judged, _approving(judged, seen)))
    doubt = unclear[0].text if unclear else _doubting(judged, seen)
    not_worse = seen is not None and seen.difference is not None and seen.difference.value >= 0
    if config.on_not_enough_evidence == "if_not_worse" and not_worse and not unclear:
        reason = f"{judged.challenger} isn't worse as far as was seen, which the recipe lets pass. {doubt}"
        return replace(judged, decision="yes", reason=_with_looks(judged, reason))
    return replace(judged, decision="not enough evidence", reason=_with_looks(judged, doubt))


def _uncompared(judged: Judgement, floor: Check, obstacle: str) -> Judgement:
    """Return the judgement where the two can't be compared: a person decides, unless the floor is broken anyway."""
    uncompared = f"{obstacle}: they can't be compared"
    if floor.status == "failed":
        return replace(judged, decision="no", reason=f"{_refusing(judged, [floor])} {uncompared}.")
    return replace(judged, decision="not enough evidence", reason=f"{uncompared}, a person decides.")


def quality_check(judged: Judgement) -> Check:
    """Say what the paired test found: the decision rests on it, and the other checks beside it."""
    seen = judged.comparison
    if seen is None or seen.difference is None:
        text = f"{judged.metric} isn't defined on these rows."
        return Check(name=QUALITY, status="unclear", value=None, limit=-judged.margin, text=text)
    amount, needed = _amount(judged, judged.margin), _needed(judged, seen)
    said = {
        "passed": f"a loss of more than {amount} is ruled out at {100 * judged.confidence:g} % confidence.",
        "failed": f"that is shown to be more than the {amount} allowed.",
        "unclear": f"a loss of more than {amount} isn't ruled out, {needed} would show it in 4 of 5 cases.",
    }
    status: Status = "passed" if seen.shown else "failed" if seen.worse else "unclear"
    text = f"Against {judged.champion} on {_rows(judged)} {_seen(judged, seen)}; {said[status]}"
    return Check(name=QUALITY, status=status, value=seen.difference.value, limit=-judged.margin, text=text)


def _obstacle(challenger: Standing, champion: Standing | None, *, rows: int, task: Task) -> str:
    """Return why the two can't be compared, or an empty string."""
    new, old = challenger, champion or challenger
    differing = sorted(set(old.classes) ^ set(new.classes))
    names = ", ".join(f"'{name}'" for name in differing[:5]) + (" ..." if len(differing) > 5 else "")
    obstacles = {
        old.obstacle: bool(old.obstacle),
        f"{new.name} does {new.task}, the recipe {task}": new.task != task,
        "There is no test row that neither model was trained on": rows == 0,
        f"{old.name} does {old.task}, {new.name} {new.task}": old.task != new.task,
        f"{old.name} predicts '{old.target}', {new.name} '{new.target}'": old.target != new.target,
        f"{old.name} and {new.name} know different classes ({names} only one of them)": bool(differing),
    }
    return next((text for text, stands in obstacles.items() if stands), "")


def _in_order(champion: Standing, classes: tuple[str, ...]) -> npt.NDArray[np.floating]:
    """Return the champion's output with its columns in the challenger's order of classes."""
    if champion.classes == classes:
        return champion.output
    return champion.output[:, [champion.classes.index(name) for name in classes]]


def _value(metric: Metric, given: Answers) -> float | None:
    value = float(weighted(metric, given, np.ones((len(given.target), 1)))[0])
    return value if np.isfinite(value) else None


def _other_checks(
    config: GateConfig, challenger: Standing, champion: Standing, classes: tuple[ClassChange, ...]
) -> tuple[Check, ...]:
    growth = _growth(challenger.size_bytes, champion.size_bytes)
    speed = ratio_check("latency", challenger.slowdown, limit=config.max_slowdown, key="gate.max_slowdown")
    size = ratio_check("size", growth, limit=config.max_growth, key="gate.max_growth")
    if config.class_margin is None or challenger.task == "regression":
        return (speed, size)
    return (recall_check(classes, margin=config.class_margin, confidence=config.confidence), speed, size)


def _growth(challenger: int | None, champion: int | None) -> Interval | None:
    if challenger is None or not champion:
        return None
    ratio = challenger / champion
    return Interval(ratio, ratio, ratio)


def _amount(judged: Judgement, amount: float) -> str:
    """Return an amount of the metric with its unit, without its sign; shares of rows in points of a hundred."""
    amount = abs(amount)
    if judged.task == "regression":
        return f"{100 * amount:.3g} %"
    if judged.metric in ("log_loss", "roc_auc"):
        return f"{amount:.3g}"
    return f"{100 * amount:.3g} {'point' if f'{100 * amount:.3g}' == '1' else 'points'}"


def _seen(judged: Judgement, seen: Comparison) -> str:
    """Return in words what was seen of the difference."""
    if seen.difference is None or seen.difference.value == 0:
        return f"no difference in {judged.metric} was seen"
    side = "better" if seen.difference.value > 0 else "worse"
    return f"{judged.metric} was seen to be {_amount(judged, seen.difference.value)} {side}"


def _first(judged: Judgement) -> str:
    floor, of = judged.checks[0], "" if judged.bunches is None else f" It was tested on {_rows(judged)}."
    if floor.limit is None:
        value = "undefined" if judged.value is None else figure(judged.value)
        return f"{judged.challenger} is the first release, with {judged.metric} {value}. {floor.text}{of}"
    return f"{judged.challenger} is the first release: {floor.text}{of}"


def _approving(judged: Judgement, seen: Comparison) -> str:
    return (
        f"{judged.challenger} can replace {judged.champion}: {_seen(judged, seen)} on {_rows(judged)}, and a loss "
        f"of more than {_amount(judged, judged.margin)} is ruled out at {100 * judged.confidence:g} % confidence."
    )


def _refusing(judged: Judgement, failed: list[Check]) -> str:
    if judged.comparison is not None and judged.comparison.worse:
        where = "" if judged.bunches is None else f" on {_rows(judged)}"
        return (
            f"{judged.challenger} is worse than {judged.champion}: {_seen(judged, judged.comparison)}{where}, which is "
            f"shown to be more than the {_amount(judged, judged.margin)} allowed."
        )
    return f"{judged.challenger} breaks a limit. " + " ".join(check.text for check in failed)


def _doubting(judged: Judgement, seen: Comparison | None) -> str:
    if seen is None or seen.difference is None:
        return f"{judged.metric} isn't defined on the {judged.rows:,} test rows, so nothing can be shown."
    return (
        f"It can't be told yet whether {judged.challenger} is as good as {judged.champion}: {_seen(judged, seen)} on "
        f"{_rows(judged)}, and a loss of more than {_amount(judged, judged.margin)} can't be ruled out; "
        f"with {_needed(judged, seen)} it could, in 4 of 5 cases of equal models.{_scarce(judged)}"
    )


def _scarce(judged: Judgement) -> str:
    """Say which class keeps a figure that weighs all classes alike from being known better."""
    fewest = min(judged.classes, key=lambda one: one.rows, default=None)
    if judged.metric not in BY_CLASS or fewest is None or fewest.rows * len(judged.classes) > judged.rows * SCARCE:
        return ""
    return f" '{fewest.name}' has only {fewest.rows:,} of these rows, and counts as much as any other class."


def _rows(judged: Judgement) -> str:
    """Say on how many rows the two were compared, and how many observations these are where they are fewer."""
    return rows_in_words(judged.rows, judged.bunches)


def _needed(judged: Judgement, seen: Comparison) -> str:
    """Say how many rows, or bunches of them, would be needed, to two digits: it is an estimate."""
    of = "rows" if judged.bunches is None else "independent bunches"
    if seen.rows_needed is None:
        return f"more than 10 million {of}"
    digits = max(len(str(seen.rows_needed)) - 2, 0)
    return f"about {round(seen.rows_needed, -digits):,} {of}"


def _with_looks(judged: Judgement, reason: str) -> str:
    if judged.looks < WORN:
        return reason
    return f"{reason} These test rows have decided {judged.looks} times before: new ones are due."
