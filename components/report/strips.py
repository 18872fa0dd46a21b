"""Charts of one strip per name: a label, a place on a common scale, and the value in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluation.interval import Interval
from components.report import wording
from components.report.marks import (
    Chart,
    Mark,
    Path,
    Scale,
    Shape,
    Text,
    line,
    linear,
    p,
    rect,
    shape,
    shortened,
    width_of,
)
from components.report.page import Baseline, Decision, LayerError, Parity, PerClass
from components.report.plots import FULL, HALF, axes, drawn, quality_ticks
from components.task import LOWER_IS_BETTER, Metric

STRIPS = 20  # most that one chart shows
GOOD_DB, FAIR_DB = 20.0, 10.0  # of signal to quantization noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where the parts of a chart of strips lie."""

    names: float  # width of the names' column
    values: float  # width of the values' column
    strip: float  # height of a strip
    top: float
    width: int

    def middle(self, index: int) -> float:
        """Return the height of a strip's middle."""
        return self.top + self.strip * (index + 0.5)

    def title(self, index: int, name: str, kind: str = "label") -> Text:
        """Return the name of a strip."""
        words = shortened(name, self.names - 8)
        return Text(x=self.names - 10, y=self.middle(index) + 4, text=words, kind=kind, anchor="end")

    def value(self, index: int, words: str, kind: str = "tick") -> Text:
        """Return the value of a strip in words."""
        return Text(x=self.width - 2, y=self.middle(index) + 4, text=words, kind=kind, anchor="end")


def frame(names: Sequence[str], values: Sequence[str], *, width: int, top: float = 6, strip: float = 30) -> Frame:
    """Return a frame for these names and values."""
    return Frame(
        names=min(max(map(width_of, names)) + 14, width * 0.45),
        values=max(map(width_of, values)) + 12,
        strip=strip,
        top=top,
        width=width,
    )


# Baselines -----------------------------------------------------------------------------------------------------------


def baseline_chart(decision: Decision, baselines: Sequence[Baseline]) -> Chart:
    """Draw the net beside simple models, best first."""
    metric = decision.metric
    net = [("this model", decision.quality), *((b.name, b.quality) for b in baselines)]
    rows = sorted(net, key=lambda row: row[1].value, reverse=metric not in LOWER_IS_BETTER)
    name = wording.NAMES[metric]
    return Chart(
        title="This model beside simple ones",
        caption=f"{name[0].upper()}{name[1:]} on the same test rows, with "
        f"{wording.confidence(decision.confidence)} confidence intervals.",
        drawings=drawn(FULL, lambda width: _baselines(rows, metric, width)),
    )


def _baselines(rows: Sequence[tuple[str, Interval]], metric: Metric, width: int) -> tuple[int, list[Mark]]:
    place = frame([n for n, _ in rows], [wording.quality(i.value, metric) for _, i in rows], width=width, strip=34)
    bottom = place.top + place.strip * len(rows)
    x = _near([i for _, i in rows], start=place.names, end=width - place.values)
    low = Scale(low=x.low, high=x.high, start=0, end=1)
    if metric in LOWER_IS_BETTER:
        x = Scale(low=x.high, high=x.low, start=x.start, end=x.end)
    y = Scale(low=0, high=1, start=bottom, end=place.top)
    marks = axes(x, y, quality_ticks(low, metric, 3 if width < 500 else 6), [])
    for index, (name, interval) in enumerate(rows):
        strong = " strong" if name == "this model" else ""
        marks += [
            line(place.names, place.middle(index), x.end, place.middle(index), "grid"),
            *_whisker(interval, x, place.middle(index), ours=bool(strong)),
            place.title(index, name, f"label{strong}"),
            place.value(index, wording.quality(interval.value, metric), f"label{strong}"),
        ]
    words = Text(x=x.end, y=bottom + 33, text="better →", kind="axis-name", anchor="end")
    return math.ceil(bottom + 36), [*marks, words]


def _near(intervals: Sequence[Interval], *, start: float, end: float) -> Scale:
    """Return a scale for the intervals, best first; a last one that is far off doesn't press the others together."""
    ends = [[v for i in some for v in (i.low, i.high)] for some in (intervals, intervals[:-1])]
    spans = [max(values) - min(values) for values in ends if values]
    return linear(ends[1] if len(spans) > 1 and spans[0] > 4 * spans[1] > 0 else ends[0], start=start, end=end)


def _whisker(interval: Interval, x: Scale, y: float, *, ours: bool) -> list[Mark]:
    inside = min(x.low, x.high) <= interval.value <= max(x.low, x.high)
    if not inside:  # an arrow at the worse edge
        return [Path(d=f"M{p(x.start + 2)} {p(y)}l9 -5v10z", kind="mark off", tip="off the scale")]
    left, right = (min(max(x(v), x.start), x.end) for v in (interval.low, interval.high))
    form: Shape = "circle" if ours else "square"
    radius, kind = (6.5, "selected") if ours else (5.0, "other")
    return [
        line(left, y, right, y, "span ours" if ours else "span"),
        shape(form, x(interval.value), y, radius, f"mark {kind}"),
    ]


# Classes -------------------------------------------------------------------------------------------------------------


def class_chart(per_class: PerClass) -> Chart:
    """Draw each class before and after; of many, those that changed most."""
    changes = sorted(per_class.changes, key=lambda c: (-abs(c.after - c.before), c.name))
    kept = {c.name for c in changes[:STRIPS]}
    rows = [c for c in per_class.changes if c.name in kept]
    some = f" The {len(rows)} of {len(changes)} classes that changed most." if len(rows) < len(changes) else ""
    return Chart(
        title="What changed for each class",
        caption=f"Share of each class's test rows that are right: hollow {per_class.before}, full this model.{some}",
        drawings=drawn(HALF, lambda width: _classes([(f"{c.name}", c.rows, c.before, c.after) for c in rows], width)),
    )


def _classes(rows: Sequence[tuple[str, int, float, float]], width: int) -> tuple[int, list[Mark]]:
    words = [wording.gain(round(after - before, 4), "recall_macro") for _, _, before, after in rows]
    place = frame([n for n, *_ in rows], words, width=width, strip=24)
    bottom = place.top + place.strip * len(rows)
    lowest = min(v for _, _, before, after in rows for v in (before, after))
    low = max(math.floor((lowest - 0.02) * 20) / 20, 0.0)
    x = Scale(low=low, high=1.0, start=place.names, end=width - place.values - 8)
    y = Scale(low=0, high=1, start=bottom, end=place.top)
    marks = axes(x, y, quality_ticks(x, "recall_macro", 3 if width < 500 else 5), [])
    for index, (name, count, before, after) in enumerate(rows):
        change = "same" if abs(after - before) < 5e-4 else "up" if after > before else "down"
        middle = place.middle(index)
        tip = f"{name}: {wording.percent(before)} → {wording.percent(after)} of {wording.plural(count, 'row')}"
        marks += [
            line(place.names, middle, x.end, middle, "grid"),
            line(x(before), middle, x(after), middle, f"span {change}"),
            shape("circle", x(before), middle, 5, "mark before"),
            shape("circle", x(after), middle, 5, f"mark {change}", tip=tip),
            place.title(index, name),
            place.value(index, words[index], f"label {change}"),
        ]
    return math.ceil(bottom + 22), marks


# Proof ---------------------------------------------------------------------------------------------------------------


def parity_chart(parity: Parity, *, alone: bool = False) -> Chart:
    """Draw the largest difference at each batch size against what is allowed; `alone` it has the page's width."""
    allowed = (
        f" Allowed is {wording.scientific(parity.tolerance)}."
        if parity.tolerance is not None
        else " The candidate is quantized: it may differ, and is judged by its quality."
    )
    same = (
        f" The predicted class is the same on {wording.percent(parity.same_answers)} of rows."
        if (parity.same_answers is not None)
        else ""
    )
    batch = (
        f" Of a row's output its batch changes at most {wording.scientific(parity.batch_diff)}."
        if parity.batch_diff is not None
        else ""
    )
    return Chart(
        title="The exported file against PyTorch",
        caption=f"Largest difference of an output on {wording.plural(parity.rows, 'real row')}, by batch size.{allowed}"
        f"{same}{batch}",
        drawings=drawn(FULL if alone else HALF, lambda width: _parity(parity, width)),
    )


def _parity(parity: Parity, width: int) -> tuple[int, list[Mark]]:
    names = [f"batch {b.batch_size}" for b in parity.batches]
    words = ["equal" if b.max_abs_diff == 0 else wording.scientific(b.max_abs_diff) for b in parity.batches]
    place = frame(names, words, width=width, top=24 if parity.tolerance else 6)
    bottom = place.top + place.strip * len(names)
    known = [b.max_abs_diff for b in parity.batches if b.max_abs_diff > 0]
    known += [parity.tolerance] if parity.tolerance else []
    low = 10.0 ** math.floor(math.log10(min(known, default=1e-8)) - 0.5)
    high = 10.0 ** math.ceil(math.log10(max(known, default=1e-6)) + 0.2)
    x = Scale(low=low, high=high, start=place.names, end=width - place.values - 8, log=True)
    y = Scale(low=0, high=1, start=bottom, end=place.top)
    powers = [v for v in x.ticks(4 if width < 500 else 6) if math.isclose(math.log10(v), round(math.log10(v)))]
    marks = axes(x, y, [(v, wording.power(round(math.log10(v)))) for v in powers], [])
    for index, batch in enumerate(parity.batches):
        middle = place.middle(index)
        at = x(max(batch.max_abs_diff, low))
        bad = parity.tolerance is not None and batch.max_abs_diff > parity.tolerance
        marks += [
            line(place.names, middle, x.end, middle, "grid"),
            line(place.names, middle, at, middle, "span down" if bad else "span ours"),
            shape("circle", at, middle, 5, "mark down" if bad else "mark selected"),
            place.title(index, names[index]),
            place.value(index, words[index], "label"),
        ]
    if parity.tolerance:
        at = x(parity.tolerance)
        marks += [
            line(at, place.top - 4, at, bottom, "limit"),
            Text(x=at, y=place.top - 9, text="allowed", kind="limit-name", anchor="middle"),
        ]
    return math.ceil(bottom + 22), marks


def quantization_chart(layers: Sequence[LayerError], *, alone: bool = False) -> Chart:
    """Draw each layer's signal to quantization noise; of many layers, the worst. `alone` it has the page's width."""
    worst = {layer.name for layer in sorted(layers, key=lambda layer: (layer.sqnr_db, layer.name))[:STRIPS]}
    rows = [layer for layer in layers if layer.name in worst][:STRIPS]
    some = f" The worst {len(rows)} of {len(layers)} layers." if len(rows) < len(layers) else ""
    return Chart(
        title="Quantization error by layer",
        caption="Signal to quantization noise of each layer's output, in the order of the graph; more is better, and "
        f"below {GOOD_DB:.0f} dB is worth a look.{some}",
        drawings=drawn(FULL if alone else HALF, lambda width: _quantization(rows, width)),
    )


def _quantization(rows: Sequence[LayerError], width: int) -> tuple[int, list[Mark]]:
    words = [f"{layer.sqnr_db:.1f} dB".replace("-", wording.MINUS) for layer in rows]
    place = frame([layer.name for layer in rows], words, width=width, strip=24)
    bottom = place.top + place.strip * len(rows)
    high = max(*(layer.sqnr_db for layer in rows), GOOD_DB) * 1.04
    x = Scale(low=min(0.0, *(layer.sqnr_db for layer in rows)), high=high, start=place.names, end=width - place.values)
    y = Scale(low=0, high=1, start=bottom, end=place.top)
    marks = axes(x, y, [(v, f"{v:.0f}".replace("-", wording.MINUS)) for v in x.ticks(4)], [])
    for index, layer in enumerate(rows):
        kind = "good" if layer.sqnr_db >= GOOD_DB else "fair" if layer.sqnr_db >= FAIR_DB else "poor"
        left, right = sorted((x(0), x(layer.sqnr_db)))
        marks += [
            rect(left, place.middle(index) - 6, right - left, 12, f"bar {kind}", tip=f"{layer.name}: {words[index]}"),
            place.title(index, layer.name, "label mono"),
            place.value(index, words[index], "label"),
        ]
    marks.append(line(x(GOOD_DB), place.top, x(GOOD_DB), bottom, "limit"))
    return math.ceil(bottom + 22), marks
