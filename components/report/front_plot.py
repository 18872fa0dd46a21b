"""The front of candidates: quality against latency, size as area, the verdict by colour and shape."""

import math
from collections.abc import Sequence
from typing import Final

from components.report import wording
from components.report.marks import (
    Box,
    Chart,
    Label,
    Mark,
    Scale,
    Shape,
    Text,
    line,
    linear,
    placed,
    polyline,
    rect,
    shape,
    shortened,
    width_of,
)
from components.report.page import Candidate, Front
from components.report.plots import FULL, WIDTHS, axes, drawn, quality_ticks
from components.task import LOWER_IS_BETTER, Metric

FORMS: Final[dict[str, Shape]] = {
    "front": "circle",
    "dominated": "square",
    "not faster": "triangle",
    "refused for quality": "diamond",
}


HOLLOW: Final = "A mark that would hide another is hollow."


def kind_of(verdict: str) -> str:
    """Return the style of a verdict."""
    return "v-" + verdict.replace(" ", "-")


def latency_of(candidate: Candidate, batch_size: int) -> "tuple[float, float, float]":
    """Return value, low and high of the latency at this batch size, in ms."""
    timing = next((t for t in candidate.timings if t.batch_size == batch_size), candidate.timings[0])
    return timing.latency_ms.value, timing.latency_ms.low, timing.latency_ms.high


def front_chart(front: Front, *, metric: Metric, intervals: str = "confidence intervals") -> Chart:
    """Draw quality against latency, size as area, intervals as whiskers; `intervals` says of which confidence."""
    name = wording.NAMES[metric]
    whiskers = [end for c in front.candidates for end in latency_of(c, front.batch_size)[1:]]
    least, most = _reach(front)
    cut = " A whisker that meets the edge goes on." if min(whiskers) < least or max(whiskers) > most else ""
    hollow = f" {HOLLOW}" if any(_hidden(front, metric, WIDTHS[fits]) for fits in FULL) else ""
    verdicts = [v for v in FORMS if any(c.verdict == v for c in front.candidates)]
    return Chart(
        title=f"Candidates: {name} against latency",
        caption=f"{name[0].upper()}{name[1:]} on validation against the latency of one "
        f"{wording.per_batch(front.batch_size)}; the area of a mark is the file's size, whiskers are "
        f"{intervals}.{cut}{hollow} Up and left is better.",
        drawings=drawn(FULL, lambda width: _front(front, metric, width)),
        legend=tuple((kind_of(v), v) for v in verdicts),
    )


def _height(width: int) -> int:
    return 380 if width < 500 else 440


def _in_drawing_order(front: Front) -> list[Candidate]:
    """Return the largest first, so that no mark hides a smaller one."""
    return sorted(front.candidates, key=lambda c: -c.size_bytes)


def _radii(front: Front, width: int) -> dict[str, float]:
    """Return the radius of each mark, by the candidate's name."""
    top = max(c.size_bytes for c in front.candidates)
    largest = (11 if width < 500 else 18) * (0.65 if len(front.candidates) > 20 else 1)
    return {c.name: max(largest * math.sqrt(c.size_bytes / top), 3.5) for c in front.candidates}


def _hidden(front: Front, metric: Metric, width: int) -> set[str]:
    """Return those candidates whose marks, were they full, would hide another that is hardly larger."""
    x, y = _front_scales(front, metric, width, _height(width))
    radius, ordered = _radii(front, width), _in_drawing_order(front)
    at = {c.name: (x(latency_of(c, front.batch_size)[0]), y(c.quality.value)) for c in ordered}

    def hides(above: Candidate, below: Candidate) -> bool:
        near = math.dist(at[above.name], at[below.name]) < 0.8 * radius[below.name]
        return near and radius[above.name] > 0.6 * radius[below.name]

    return {c.name for place, c in enumerate(ordered) if any(hides(c, below) for below in ordered[:place])}


def _front(front: Front, metric: Metric, width: int) -> tuple[int, list[Mark]]:
    height = _height(width)
    x, y = _front_scales(front, metric, width, height)
    radius, hollow = _radii(front, width), _hidden(front, metric, width)
    times = [(v, wording.latency_tick(v, x.high)) for v in x.ticks(3 if width < 500 else 7)]
    marks = axes(x, y, times, quality_ticks(y, metric, 6))
    marks += _limit(front, x, y) + _staircase(front, x, y)
    for one in _in_drawing_order(front):
        r = radius[one.name]
        marks += _point(one, front, x, y, radius=r, metric=metric, hollow=one.name in hollow)
    marks += _front_labels(front, x, y, radius=radius, metric=metric)
    name = wording.NAMES[metric]
    return height, [
        *marks,
        Text(x=x.start, y=14, text=f"↑ better {name}", kind="axis-name"),
        Text(
            x=x.end,
            y=height - 4,
            text=f"latency per {wording.per_batch(front.batch_size)}",
            kind="axis-name",
            anchor="end",
        ),
        Text(x=x.start, y=height - 4, text="← faster", kind="axis-name"),
    ]


def _reach(front: Front) -> tuple[float, float]:
    """Return the latencies between which the chart must show something: one long whisker mustn't press it together."""
    values, lows, highs = zip(*(latency_of(c, front.batch_size) for c in front.candidates), strict=True)
    room = (max(values) - min(values) or 0.2 * max(values)) / 2
    return (
        max(min(low if low > 0 else value for low, value in zip(lows, values, strict=True)), min(values) - room),
        min(max(highs), max(values) + room),
    )


def _front_scales(front: Front, metric: Metric, width: int, height: int) -> tuple[Scale, Scale]:
    least, most = _reach(front)
    qualities = [v for c in front.candidates for v in (c.quality.low, c.quality.high, c.quality.value)]
    if front.quality_limit is not None:
        qualities.append(front.quality_limit)
    left, right = (52 if metric in wording.SHARES else 58), width - 14
    log = most > 6 * least
    # Room on the right is for labels.
    if log:
        x = Scale(low=least / 1.25, high=most * 1.6, start=left, end=right, log=True)
    else:
        room = (most - least) or most * 0.2
        x = Scale(low=max(least - 0.12 * room, 0.0), high=most + 0.22 * room, start=left, end=right)
    ends = (28.0, height - 42.0) if metric in LOWER_IS_BETTER else (height - 42.0, 28.0)
    y = linear(qualities, start=ends[0], end=ends[1], pad=0.08)
    if metric in LOWER_IS_BETTER:  # better is up: turned over
        y = Scale(low=y.high, high=y.low, start=height - 42.0, end=28.0)
    return x, y


def _rank(candidate: Candidate, front: Front) -> int:
    return (candidate.verdict == "front") + 2 * (candidate.name == front.selected)


def _limit(front: Front, x: Scale, y: Scale) -> list[Mark]:
    if front.quality_limit is None:
        return []
    at = y(front.quality_limit)
    return [
        rect(x.start, at, x.end - x.start, y.start - at, "zone"),
        line(x.start, at, x.end, at, "limit"),
    ]


def _limit_words(front: Front, x: Scale, y: Scale, metric: Metric, *, obstacles: Sequence[Box]) -> tuple[Text, Box]:
    """Return the limit in words, at that place along its line where least lies under it; best at its right end."""
    assert front.quality_limit is not None
    words, at = f"limit {wording.quality(front.quality_limit, metric)}", y(front.quality_limit)
    wide = width_of(words, font=11.5)
    places = []
    for bottom in (min(at + 16, y.start - 1), at - 3):
        for step in range(41):
            left = x.end - 4 - wide - step / 40 * (x.end - x.start - 10 - wide)
            box = Box(left=left, top=bottom - 14, right=left + wide, bottom=bottom)
            places.append((sum(box.overlap(other) for other in obstacles), box))
    _, best = min(places, key=lambda place: place[0])
    return Text(x=best.left, y=best.bottom - 3, text=words, kind="limit-name on-chart"), best


def _staircase(front: Front, x: Scale, y: Scale) -> list[Mark]:
    """Return the edge of what no other candidate beats in both quality and latency."""
    best = [(latency_of(c, front.batch_size)[0], c.quality.value) for c in front.candidates if c.verdict == "front"]
    points: list[tuple[float, float]] = []
    for latency, value in sorted(best, key=lambda point: point[0]):
        if points:
            points.append((x(latency), points[-1][1]))
        points.append((x(latency), y(value)))
    return [polyline(points, "staircase")] if len(points) > 1 else []


def _point(
    candidate: Candidate, front: Front, x: Scale, y: Scale, *, radius: float, metric: Metric, hollow: bool
) -> list[Mark]:
    value, low, high = latency_of(candidate, front.batch_size)
    at, up = x(value), y(candidate.quality.value)
    kind = kind_of(candidate.verdict)
    tip = (
        f"{candidate.name}: {wording.NAMES[metric]} {wording.quality(candidate.quality.value, metric)} "
        f"({wording.quality_range(candidate.quality, metric)}), {wording.latency(value)}, "
        f"{wording.size(candidate.size_bytes)}; {candidate.verdict}"
    )
    whiskers = [
        line(at, y(candidate.quality.low), at, y(candidate.quality.high), f"whisker {kind}"),
        line(x(max(low, x.low)), up, x(min(high, x.high)), up, f"whisker {kind}"),
    ]
    ring = [shape("circle", at, up, radius + 5, "ring")] if candidate.name == front.selected else []
    form = FORMS[candidate.verdict]
    moat = [shape(form, at, up, radius, "moat")] if hollow else []  # or the outline is lost in a mark of its colour
    look = f"outline {kind}" if hollow else f"mark {kind}"
    return [*whiskers, *ring, *moat, shape(form, at, up, radius, look, tip=tip)]


def _front_labels(front: Front, x: Scale, y: Scale, *, radius: dict[str, float], metric: Metric) -> list[Mark]:
    few, all_fit = len(front.candidates) <= 12, len(front.candidates) <= 6
    ordered = sorted(front.candidates, key=lambda c: (-_rank(c, front), c.name != front.uncompressed, c.name))
    labels, boxes = [], []
    for c in ordered:
        value, low, high = latency_of(c, front.batch_size)
        at, up = x(value), y(c.quality.value)
        r = radius[c.name] + (5 if c.name == front.selected else 0)
        boxes.append(Box(left=at - r, top=up - r, right=at + r, bottom=up + r))
        ends = sorted((y(c.quality.low), y(c.quality.high)))
        boxes.append(Box(left=at - 1, top=ends[0], right=at + 1, bottom=ends[1], weight=0.25))
        left, right = x(max(low, x.low)), x(min(high, x.high))
        boxes.append(Box(left=left, top=up - 1, right=right, bottom=up + 1, weight=0.25))
        needed = all_fit or c.name in (front.selected, front.uncompressed)
        if needed or few or c.verdict == "front":
            kind = "label strong" if c.name == front.selected else "label"
            words = shortened(c.name, (x.end - x.start) * 0.55)
            labels.append(Label(x=at, y=up, radius=r, text=words, kind=kind, needed=needed))
    limit = []
    if front.quality_limit is not None:
        words_of_limit, box = _limit_words(front, x, y, metric, obstacles=boxes)
        limit.append(words_of_limit)
        at = y(front.quality_limit)
        boxes += [box, Box(left=x.start, top=at - 1, right=x.end, bottom=at + 1, weight=0.25)]
    bounds = Box(left=x.start + 2, top=min(y.start, y.end) - 8, right=x.end + 8, bottom=max(y.start, y.end) - 2)
    return [*limit, *placed(labels, bounds=bounds, obstacles=boxes)]
