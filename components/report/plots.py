"""The charts of the report: what each draws, from the page's plain data, at each width."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Literal

from components.report import wording
from components.report.marks import (
    FONT,
    Chart,
    Drawing,
    Mark,
    Path,
    Scale,
    Text,
    line,
    linear,
    polyline,
    rect,
    shape,
    width_of,
)
from components.report.page import Comparison, Curve, Residuals, Training
from components.task import LOWER_IS_BETTER, Metric

Fits = Literal["narrow", "middle", "wide"]
WIDTHS: Final[dict[Fits, int]] = {"narrow": 328, "middle": 560, "wide": 1040}
HALF: Final[tuple[Fits, ...]] = ("narrow", "middle")
FULL: Final[tuple[Fits, ...]] = ("narrow", "middle", "wide")
POINTS = 400  # of a scatter plot; more are thinned evenly


def drawn(widths: Sequence[Fits], draw: Callable[[int], tuple[int, list[Mark]]]) -> tuple[Drawing, ...]:
    """Return the chart at each width; `draw` gives height and marks."""
    made = [(fits, WIDTHS[fits], *draw(WIDTHS[fits])) for fits in widths]
    return tuple(Drawing(width=w, height=h, marks=tuple(marks), fits=fits) for fits, w, h, marks in made)


def axes(x: Scale, y: Scale, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> list[Mark]:
    """Return the grid and the ticks of both axes."""
    marks: list[Mark] = []
    for value, words in y_ticks:
        marks.append(line(x.start, y(value), x.end, y(value), "grid"))
        marks.append(Text(x=x.start - 6, y=y(value) + 4, text=words, anchor="end"))
    for value, words in x_ticks:
        marks.append(line(x(value), y.start, x(value), y.start + 4, "axis"))
        marks.append(Text(x=x(value), y=y.start + 17, text=words, anchor="middle"))
    return [*marks, line(x.start, y.start, x.end, y.start, "axis")]


def quality_ticks(scale: Scale, metric: Metric, wanted: int) -> list[tuple[float, str]]:
    """Return round values of the metric and how they are written."""
    ticks = scale.ticks(wanted)
    if metric not in wording.SHARES:
        return [(value, wording.tick(value)) for value in ticks]
    digits = 0 if all(abs(100 * v - round(100 * v)) < 1e-6 for v in ticks) else 1
    return [(value, wording.percent(value, digits)) for value in ticks if value <= 1 + 1e-9]


# Training ------------------------------------------------------------------------------------------------------------


def curves_chart(training: Training, *, what: Literal["loss", "metric"]) -> Chart:
    """Draw curves over epochs, the one whose weights were kept marked."""
    curves = training.loss if what == "loss" else training.metric
    name = "loss" if what == "loss" else wording.NAMES[training.metric_name]
    metric = training.metric_name if what == "metric" else None
    return Chart(
        title=f"{name[0].upper()}{name[1:]}",
        caption=f"By epoch; {_kept(training, metric)}.{_beyond(curves, metric)}",
        drawings=drawn(HALF, lambda width: _curves(curves, training.best_epoch, metric, width)),
    )


def _kept(training: Training, metric: Metric | None) -> str:
    """Say whose weights were kept, and why, where another epoch has the better metric."""
    kept = f"the weights of epoch {training.best_epoch} were kept"
    judged = [curve.values for curve in training.metric if curve.name == "validation"]
    if metric is None or metric in LOWER_IS_BETTER or not judged:
        return kept
    better = [value for value in judged[0] if value > judged[0][training.best_epoch - 1]]
    name = wording.NAMES[metric]
    why = f"its {name} is within one standard error of the best, and its validation loss is lower"
    return f"{kept}: {why}" if better else kept


def _curves(curves: Sequence[Curve], best: int, metric: Metric | None, width: int) -> tuple[int, list[Mark]]:
    height = 230 if width < 500 else 270
    epochs = max(len(curve.values) for curve in curves)
    room = max(width_of(curve.name) for curve in curves) + 10
    x = Scale(low=1, high=max(epochs, 2), start=48, end=width - room)
    y = _curve_scale(curves, start=height - 36.0, end=26.0)
    ticks = [v for v in x.ticks(5 if width < 500 else 8) if v == int(v) and v > 0]
    heights = quality_ticks(y, metric, 4) if metric else [(v, wording.tick(v)) for v in y.ticks(4)]
    marks = axes(x, y, [(v, str(int(v))) for v in ticks], heights)
    marks.append(line(x(best), y.start, x(best), y.end, "limit best"))
    marks.append(_best_words(x(best), y.end - 6, f"kept: epoch {best}", width))
    ends: list[tuple[float, Text]] = []
    for index, curve in enumerate(curves):
        points = [(x(epoch), y(v)) for epoch, v in enumerate(curve.values, start=1)]
        marks.append(polyline(within(points, top=y.end, bottom=y.start), f"curve c{index + 1}"))
        if best <= len(points) and math.isfinite(points[best - 1][1]):
            marks.append(shape("circle", *points[best - 1], 3.5, f"mark c{index + 1}"))
        finite = [point for point in points if math.isfinite(point[1])]
        if finite:
            end = finite[-1]
            ends.append((end[1], Text(x=end[0] + 6, y=0, text=curve.name, kind=f"label c{index + 1}")))
    return height, [*marks, *spread(ends), Text(x=x.end, y=height - 2, text="epoch", kind="axis-name", anchor="end")]


def _curve_scale(curves: Sequence[Curve], *, start: float = 0.0, end: float = 1.0) -> Scale:
    """Return a scale on which one bad epoch doesn't press all others flat."""
    known = sorted(v for curve in curves for v in curve.values if math.isfinite(v)) or [0.0, 1.0]
    low, high = known[0], known[-1]
    last = sorted(v for curve in curves for v in curve.values[len(curve.values) // 4 :] if math.isfinite(v)) or known
    span = last[-1] - last[0]
    if span:
        cut = max(low, last[0] - 2 * span), min(high, last[-1] + 2 * span)
        low, high = cut if high - low > 2 * (cut[1] - cut[0]) else (low, high)  # what gains little isn't cut
    return linear([low, high], start=start, end=end)


def _beyond(curves: Sequence[Curve], metric: Metric | None) -> str:
    """Say which epochs the frame leaves out, and how far the farthest lies; nothing where it holds all."""
    frame = _curve_scale(curves)
    points = [(epoch, v) for curve in curves for epoch, v in enumerate(curve.values, start=1) if math.isfinite(v)]
    out = [(epoch, v) for epoch, v in points if not frame.low <= v <= frame.high]
    if not out:
        return ""
    _, far = max(out, key=lambda point: max(point[1] - frame.high, frame.low - point[1]))
    epochs = sorted({epoch for epoch, _ in out})
    written = wording.quality(far, metric) if metric else wording.significant(far)
    if len(epochs) == 1:
        return f" Epoch {epochs[0]} lies outside the frame, at {written}."
    return f" {len(epochs)} epochs lie outside the frame, from epoch {epochs[0]} on; the farthest at {written}."


def within(points: Sequence[tuple[float, float]], *, top: float, bottom: float) -> list[tuple[float, float]]:
    """Return the line through the points, cut where it leaves the chart above or below."""
    result = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = [(edge - y0) / (y1 - y0) for edge in (top, bottom) if y1 != y0]
        result += [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in sorted(steps) if 0 < t < 1]
        result.append((x1, y1))
    return [(x, y if top - 0.01 <= y <= bottom + 0.01 else math.nan) for x, y in result]


def _best_words(x: float, y: float, words: str, width: int) -> Text:
    wide = width_of(words, font=11)
    if x + wide / 2 > width - 4:
        return Text(x=min(x, width - 4), y=y, text=words, kind="limit-name", anchor="end")
    if x - wide / 2 < 0:
        return Text(x=max(x, 4), y=y, text=words, kind="limit-name")
    return Text(x=x, y=y, text=words, kind="limit-name", anchor="middle")


def spread(ends: Sequence[tuple[float, Text]]) -> list[Text]:
    """Return the texts at their heights, moved apart where they would touch."""
    result: list[Text] = []
    floor = -math.inf
    for y, text in sorted(ends, key=lambda end: end[0]):
        at = max(y + 4, floor + FONT + 2)
        floor = at
        result.append(Text(x=text.x, y=at, text=text.text, kind=text.kind, anchor=text.anchor))
    return result


# Errors --------------------------------------------------------------------------------------------------------------


def residual_charts(residuals: Residuals, *, rows: int) -> tuple[Chart, Chart]:
    """Draw predicted against true values, and how the differences are distributed, of a sample of so many rows."""
    step = max(1, math.ceil(len(residuals.true) / POINTS))
    pairs = list(zip(residuals.true, residuals.predicted, strict=True))
    shown = (
        f" {wording.count(len(pairs[::step]))} of {wording.count(rows)} rows are shown."
        if len(pairs[::step]) < rows
        else ""
    )
    differences = [predicted - true for true, predicted in pairs]
    counted = f"{wording.count(len(pairs))} of {wording.count(rows)}" if len(pairs) < rows else wording.count(rows)
    mean = sum(differences) / (len(differences) or 1)
    return (
        Chart(
            title=f"Predicted against true {residuals.target}",
            caption=f"Predicted against true {residuals.target} on test; on the line they are equal.{shown}",
            drawings=drawn(HALF, lambda width: _scatter(pairs[::step], width)),
        ),
        Chart(
            title="Residuals",
            caption=f"Predicted minus true {residuals.target}, {counted} test rows; "
            f"their mean is {wording.significant(mean)}.",
            drawings=drawn(HALF, lambda width: _histogram(differences, mean, width)),
        ),
    )


def _scatter(pairs: Sequence[tuple[float, float]], width: int) -> tuple[int, list[Mark]]:
    height = 300 if width < 500 else 360
    values = [value for pair in pairs for value in pair]
    x = linear(values, start=56, end=width - 12)
    y = linear(values, start=height - 36.0, end=22)
    ticks = [(v, wording.tick(v)) for v in x.ticks(4)]
    marks = [*axes(x, y, ticks, ticks), line(x(x.low), y(x.low), x(x.high), y(x.high), "limit")]
    marks += [shape("circle", x(true), y(predicted), 2.8, "mark dot") for true, predicted in pairs]
    return height, [
        *marks,
        Text(x=x.end, y=height - 2, text="true", kind="axis-name", anchor="end"),
        Text(x=x.start, y=12, text="predicted", kind="axis-name"),
    ]


def _histogram(values: Sequence[float], mean: float, width: int) -> tuple[int, list[Mark]]:
    height = 300 if width < 500 else 360
    edge = max(abs(v) for v in values) or 1.0
    step = round_bins(edge, 24 if width < 500 else 36)
    half = math.ceil(edge / step)
    counts = [0] * (2 * half)
    for value in values:
        counts[min(int((value + half * step) / step), 2 * half - 1)] += 1
    x = Scale(low=-half * step, high=half * step, start=46, end=width - 12)
    y = Scale(low=0, high=max(counts) * 1.05, start=height - 36.0, end=22)
    marks = axes(
        x,
        y,
        [(v, wording.tick(v)) for v in x.ticks(4)],
        [(v, wording.count(int(v))) for v in y.ticks(4) if v == int(v)],
    )
    bar = (x.end - x.start) / len(counts)
    marks += [
        rect(
            x.start + bar * index + 0.5,
            y(number),
            bar - 1,
            y.start - y(number),
            "bar",
            tip=f"{wording.plural(number, 'row')}",
        )
        for index, number in enumerate(counts)
        if number
    ]
    marks.append(line(x(0), y.start, x(0), y.end, "limit"))
    return height, [
        *marks,
        shape("triangle", x(mean), y.start - 5, 4, "mark c2", tip="mean"),
        Text(x=x.end, y=height - 2, text="predicted − true", kind="axis-name", anchor="end"),  # noqa: RUF001
        Text(x=x.start, y=12, text="rows", kind="axis-name"),
    ]


def round_bins(edge: float, wanted: int) -> float:
    """Return a round width of about so many bins from -edge to edge."""
    from components.report.marks import round_step

    return round_step(2 * edge / wanted)


# The decision --------------------------------------------------------------------------------------------------------


def beam_chart(comparison: Comparison, *, metric: Metric) -> Chart:
    """Draw the difference and its interval on a beam, whose fulcrum is what is allowed."""
    return Chart(
        title="What was weighed",
        caption=wording.comparison(comparison, metric),
        drawings=drawn(FULL, lambda width: _beam(comparison, metric, width)),
    )


def _beam(comparison: Comparison, metric: Metric, width: int) -> tuple[int, list[Mark]]:
    height, beam = 114, 46.0
    floor = comparison.against == "floor"
    # Against a floor the values of a metric where lower is better are turned over, so that better is right.
    turned = floor and metric in LOWER_IS_BETTER
    known = [comparison.gain.low, comparison.gain.high, comparison.limit] + ([] if floor else [0.0])
    x = linear(known, start=10, end=width - 10, pad=0.22)
    if turned:
        x = Scale(low=x.high, high=x.low, start=x.start, end=x.end)
    left, right = sorted((x(comparison.gain.low), x(comparison.gain.high)))
    at, limit = x(comparison.gain.value), x(comparison.limit)
    write = wording.quality if floor else wording.gain
    marks: list[Mark] = [
        rect(x.start, beam - 3, limit - x.start, 6, "beam bad"),
        rect(limit, beam - 3, x.end - limit, 6, "beam good"),
        Path(d=f"M{limit:.1f} {beam + 4:.1f}l13 22h-26z", kind="fulcrum"),
        rect(left, beam - 7, right - left, 14, "interval"),
        shape("circle", at, beam, 8, "weight"),
        _inside(at, beam - 17, write(comparison.gain.value, metric), "label strong", width),
        _inside(limit, beam + 44, f"{'floor' if floor else 'limit'} {write(comparison.limit, metric)}", "tick", width),
    ]
    for end in (comparison.gain.low, comparison.gain.high):
        if abs(x(end) - at) > 90:
            marks.append(_inside(x(end), beam - 13, write(end, metric), "tick", width))
    if not floor and x(0) - limit > 70:
        marks += [line(x(0), beam - 3, x(0), beam + 12, "axis"), _inside(x(0), beam + 26, "equal", "tick", width)]
    marks.append(Text(x=x.end, y=height - 2, text="better →", kind="axis-name", anchor="end"))
    return height, [*marks, Text(x=x.start, y=height - 2, text="← worse", kind="axis-name")]


def _inside(x: float, y: float, words: str, kind: str, width: int) -> Text:
    half = width_of(words, font=14 if "strong" in kind else FONT) / 2 + 2
    return Text(x=min(max(x, half), width - half), y=y, text=words, kind=kind, anchor="middle")
