"""Figures in words: one way to write each kind of number, and the sentences that are made of them."""

import math
import re
from collections.abc import Sequence
from typing import Final

from components.evaluation.beside import beside
from components.evaluation.interval import Interval
from components.figure import decimals
from components.report.page import Baseline, Comparison, Decision, Front
from components.task import LOWER_IS_BETTER, Metric

NAMES: Final[dict[Metric, str]] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision_macro": "precision (macro)",
    "recall_macro": "recall (macro)",
    "f1_macro": "F1 (macro)",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
}
SHARES: Final[frozenset[Metric]] = frozenset(
    {"accuracy", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"}
)
OF_TARGET: Final[frozenset[Metric]] = frozenset({"rmse", "mae"})
RELATIVE: Final[frozenset[Metric]] = frozenset({"rmse", "mae", "r2"})  # compared as shares of the champion's value
NBSP = "\N{NO-BREAK SPACE}"
JOINER = "\N{WORD JOINER}"  # so that a range isn't broken at its dash
MINUS, DASH, NARROW = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{NARROW NO-BREAK SPACE}"
THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(\D|$))", re.ASCII)
NEGATIVE: Final = re.compile(r"(?<![^\s(])-(?=\d)")  # not the hyphen of a name or a date
TIMES = "\N{MULTIPLICATION SIGN}"


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, thousands apart, without an exponent where it can be read."""
    if not math.isfinite(value):
        return DASH
    places = decimals(value, digits)
    written = f"{value:.{digits - 1}e}" if places is None else f"{value:,.{places}f}"
    return written.replace(",", NARROW).replace("-", MINUS)


def typeset(sentence: str) -> str:
    """Return a sentence of another room with the page's thousands and minus, and no break before a per cent sign."""
    return NEGATIVE.sub(MINUS, THOUSANDS.sub(NARROW, sentence)).replace(" %", f"{NBSP}%")


def count(value: int) -> str:
    """Write a whole number, thousands apart."""
    return f"{value:,}".replace(",", NARROW)


def plural(value: int, one: str, many: str = "") -> str:
    """Write so many of a thing."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def percent(value: float, digits: int = 1) -> str:
    """Write a share as per cent."""
    return f"{100 * value:.{digits}f}{NARROW}%".replace("-", MINUS) if math.isfinite(value) else DASH


def quality(value: float, metric: Metric) -> str:
    """Write a value of the metric."""
    return percent(value) if metric in SHARES else _plain(value, metric)


def _plain(value: float, metric: Metric) -> str:
    if abs(value) >= 10:
        return significant(value, 4)
    tiny = metric in OF_TARGET and abs(value) < 0.1  # its unit is the target's, whatever that is
    return significant(value) if tiny else f"{value:.3f}".replace("-", MINUS)


def quality_range(interval: Interval, metric: Metric) -> str:
    """Write an interval of the metric, the unit once."""
    if metric in SHARES:
        return f"{100 * interval.low:.1f}{DASH}{JOINER}{percent(interval.high)}".replace("-", MINUS)
    return f"{_plain(interval.low, metric)}{DASH}{JOINER}{_plain(interval.high, metric)}"


def gain(value: float, metric: Metric) -> str:
    """Write a difference of the metric with its sign: shares in points, a regression's in per cent of the other's."""
    size = significant(abs(value))
    if metric in SHARES:
        size = f"{abs(100 * value):.1f}{NBSP}points"
    elif metric in RELATIVE:
        size = percent(abs(value))
    zero = not any(digit in size for digit in "123456789")
    return size if zero else f"{MINUS if value < 0 else '+'}{size}"


def size(value: float) -> str:
    """Write bytes in the decimal unit that suits them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{significant(value / factor)}{NBSP}{unit}"
    return f"{value:.0f}{NBSP}B"


def latency(value: float) -> str:
    """Write milliseconds in the unit that suits them."""
    unit, factor = unit_of(value)
    return f"{significant(value * factor)}{NBSP}{unit}"


def latency_range(interval: Interval) -> str:
    """Write an interval of milliseconds, the unit once."""
    unit, factor = unit_of(interval.value)
    return f"{significant(interval.low * factor)}{DASH}{JOINER}{significant(interval.high * factor)}{NBSP}{unit}"


def unit_of(milliseconds: float) -> tuple[str, float]:
    """Return the unit that suits a time, and how many of it a millisecond has."""
    if milliseconds < 1:
        return "µs", 1000.0
    return ("ms", 1.0) if milliseconds < 10_000 else ("s", 0.001)


def latency_tick(value: float, largest: float) -> str:
    """Write a round time of an axis, in the unit that suits the axis."""
    unit, factor = unit_of(largest)
    return f"{value * factor:g}{NBSP}{unit}"


def tick(value: float) -> str:
    """Write a round value of an axis."""
    return f"{value:,.10g}".replace(",", NARROW).replace("-", MINUS)


def scientific(value: float) -> str:
    """Write a small number by a power of ten."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(value) + 1e-9)
    digits = f"{value / 10.0**exponent:.1f}"
    return power(exponent) if digits == "1.0" else f"{digits}{NBSP}{TIMES}{NBSP}{power(exponent)}"


def power(exponent: int) -> str:
    """Write ten to the exponent."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def times(value: float) -> str:
    """Write a ratio."""
    return f"{significant(value, 3 if value < 10 else 2)}{TIMES}"


def times_range(interval: Interval) -> str:
    """Write an interval of ratios."""
    return f"{significant(interval.low)}{DASH}{JOINER}{significant(interval.high)}{TIMES}"


def per_batch(batch_size: int) -> str:
    """Say what a latency is of."""
    return "row" if batch_size == 1 else f"batch of {batch_size}"


def speed(interval: Interval) -> str:
    """Say how fast against the uncompressed model, and only as much as the interval shows."""
    if interval.low > 1:
        return f"{times(interval.value)} as fast as the uncompressed model ({times_range(interval)})"
    if interval.high < 1:
        return f"slower than the uncompressed model ({times_range(interval)} as fast)"
    return f"not measurably faster than the uncompressed model ({times_range(interval)})"


def confidence(value: float) -> str:
    """Write how sure an interval is."""
    return f"{100 * value:g}{NARROW}%"


def intervals(decision: Decision) -> str:
    """Say what the intervals of the page are."""
    quality_of, timing_of = confidence(decision.confidence), confidence(decision.timing_confidence)
    if quality_of == timing_of:
        return f"{quality_of} confidence intervals"
    return f"confidence intervals, {quality_of} for quality and {timing_of} for latency"


def headline(decision: Decision) -> str:
    """Say what the gate decided."""
    version = f" version {decision.version}" if decision.version else ""
    verb = {"passed": "passes", "held": "is held at", "refused": "is refused at"}[decision.outcome]
    return f"{decision.model}{version} {verb} the gate"


def figures(decision: Decision, front: Front | None) -> str:
    """Continue the headline with its figures."""
    untouched = front is not None and decision.selected == front.uncompressed
    how = "the uncompressed model itself" if untouched else speed(decision.speedup)
    return (
        f"{NAMES[decision.metric]} {quality(decision.quality.value, decision.metric)} "
        f"({quality_range(decision.quality, decision.metric)} at {confidence(decision.confidence)} confidence), "
        f"{size(decision.size_bytes)}, "
        f"{latency(decision.latency_ms.value)} per {per_batch(decision.batch_size)}, {how}."
    )


def comparison(given: Comparison, metric: Metric) -> str:
    """Say what the beam shows."""
    answer = {"yes": "met", "no": "not met"}.get(given.answer, given.answer)
    if given.against == "floor":
        return (
            f"{NAMES[metric].capitalize() if metric in SHARES else NAMES[metric]} "
            f"{quality(given.gain.value, metric)} against the floor of {quality(given.limit, metric)}: {answer}."
        )
    return (
        f"{gain(given.gain.value, metric)} against the {given.name} "
        f"({gain(given.gain.low, metric)} to {gain(given.gain.high, metric)}, each end at "
        f"{confidence(given.confidence)} confidence); down to {gain(given.limit, metric)} is allowed: {answer}."
    )


def members(number: int) -> str:
    """Say why a network of several members has so many outputs; nothing of a network that is one."""
    if number == 1:
        return ""
    return (
        f"It is {number} networks in one: they share these layers, and their answers are averaged. So its output layer "
        f"has {number} times the outputs of a single network."
    )


def against_baselines(decision: Decision, baselines: Sequence[Baseline]) -> str:
    """Say honestly whether the net is worth its trouble; the cautions have the same finding."""
    metric = decision.metric
    best = sorted(baselines, key=lambda b: b.quality.value, reverse=metric not in LOWER_IS_BETTER)[0]
    shown = f"{best.name} ({quality(best.quality.value, metric)})"
    choice = "on this data the simpler model is the better choice unless the net is needed for another reason"
    match beside(metric, simple=best.quality.value, released=decision.quality.value, lead=best.lead):
        case "better":
            return f"The best baseline, {shown}, is better than the net: {choice}."
        case "as good":
            return f"The best baseline, {shown}, does as well as the net: {choice}."
        case "perhaps better":
            rows = plural(decision.test_rows, "row")
            return (
                f"The best baseline, {shown}, may be better than the net, which {rows} can't tell apart. Of two models "
                "that can't be told apart, the simpler one is easier to keep."
            )
        case "perhaps as good":
            return f"The net is ahead of the best baseline, {shown}, but so few rows can't tell them apart for certain."
        case "worse":
            return f"The net beats the best baseline, {shown}, by more than the test rows leave in doubt."
