"""Whether the probabilities mean what they say: how often the model was right against how sure it was."""

import math
from collections.abc import Sequence

from components.evaluation.few import FEWEST, wilson
from components.report import wording
from components.report.marks import Chart, Mark, Scale, Text, line, shape
from components.report.page import Bin, Calibration
from components.report.plots import HALF, axes, drawn


def calibration_chart(calibration: Calibration, *, confidence: float, independent: float = 1.0) -> Chart:
    """Draw a dot for each range of certainty, with an interval of this confidence.

    `independent` is the share of the rows that aren't copies of others, or of their group.
    """
    dots = joined(calibration.bins)
    few = f" Ranges of fewer than {FEWEST} rows are one dot with the next." if len(dots) < _known(calibration) else ""
    return Chart(
        title="Calibration",
        caption="How often the model was right against how sure it was; on the line, 80 % sure is right 80 % of the "
        f"time. The area of a dot is its rows, its whisker a {wording.confidence(confidence)} interval.{few} Expected "
        f"calibration error {wording.percent(calibration.error)}.",
        drawings=drawn(HALF, lambda width: _calibration(dots, width, confidence=confidence, independent=independent)),
    )


def _known(calibration: Calibration) -> int:
    return sum(one.rows > 0 for one in calibration.bins)


def joined(bins: Sequence[Bin]) -> list[Bin]:
    """Return bins of at least FEWEST rows, of neighbours; a rest that is smaller goes to the last."""
    groups: list[list[Bin]] = []
    for one in bins:
        if groups and sum(b.rows for b in groups[-1]) < FEWEST:
            groups[-1].append(one)
        elif one.rows:
            groups.append([one])
    if len(groups) > 1 and sum(b.rows for b in groups[-1]) < FEWEST:
        last = groups.pop()
        groups[-1] += last
    return [_one(group) for group in groups]


def _one(group: Sequence[Bin]) -> Bin:
    rows = sum(b.rows for b in group)
    return Bin(
        confidence=sum(b.confidence * b.rows for b in group) / rows,
        accuracy=min(sum(b.accuracy * b.rows for b in group) / rows, 1.0),
        rows=rows,
    )


def _calibration(dots: Sequence[Bin], width: int, *, confidence: float, independent: float) -> tuple[int, list[Mark]]:
    height = 308 if width < 500 else 368
    ranges = [wilson(b.accuracy, b.rows * independent, confidence=confidence) for b in dots]
    low = min([b.confidence for b in dots] + [least for least, _ in ranges] + [0.9])
    low = max(math.floor(low * 10 - 0.3) / 10, 0.0)
    x = Scale(low=low, high=1, start=52, end=width - 20)
    y = Scale(low=low, high=1, start=height - 36.0, end=32)  # the axis' name is above: no dot touches it
    ticks = [(v, wording.percent(v, 0)) for v in x.ticks(5)]
    marks = [*axes(x, y, ticks, ticks), line(x(low), y(low), x(1), y(1), "limit")]
    most = max(b.rows for b in dots)
    for dot, (least, greatest) in zip(dots, ranges, strict=True):
        marks += _dot(dot, x, y, radius=max(13 * math.sqrt(dot.rows / most), 3), least=least, greatest=greatest)
    return height, [
        *marks,
        Text(x=x.end, y=height - 2, text="how sure", kind="axis-name", anchor="end"),
        Text(x=x.start, y=12, text="how often right", kind="axis-name"),
    ]


def _dot(dot: Bin, x: Scale, y: Scale, *, radius: float, least: float, greatest: float) -> list[Mark]:
    at = x(dot.confidence)
    sure, right = wording.percent(dot.confidence), wording.percent(dot.accuracy)
    between = f"{100 * least:.1f}{wording.DASH}{wording.percent(greatest)}"
    tip = f"{sure} sure, right {right} ({between}): {wording.plural(dot.rows, 'row')}"
    return [
        line(at, y(least), at, y(greatest), "whisker c1"),
        shape("circle", at, y(dot.accuracy), radius, "mark c1", tip=tip),
    ]
