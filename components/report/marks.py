"""What charts are made of: marks with places in pixels and a kind that the style sheet colours. No colours here.

A chart is drawn once for each width at which it may be shown, so that its text has one size everywhere.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Anchor = Literal["start", "middle", "end"]
Shape = Literal["circle", "square", "triangle", "diamond"]

CHARACTER: Final = 0.6  # width of a character, as a share of the font's size; wide fonts included
BOLD: Final = 1.2  # times as wide are strong words, which are larger, too
FONT: Final = 12.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A line or an area, as SVG path data."""

    d: str
    kind: str
    tip: str = ""
    strength: float | None = None  # opacity, 0 to 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Words at a place."""

    x: float
    y: float
    text: str
    kind: str = "tick"
    anchor: Anchor = "start"
    turn: float = 0.0  # degrees around the place


Mark = Path | Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One chart at one width."""

    width: float
    height: float
    marks: tuple[Mark, ...]
    fits: Literal["narrow", "middle", "wide"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart at each of its widths, and what it shows in words."""

    title: str
    caption: str
    drawings: tuple[Drawing, ...]
    legend: tuple[tuple[str, str], ...] = ()  # kind of the key, words


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Values to pixels, linearly or by their logarithm."""

    low: float
    high: float
    start: float  # pixels of `low`
    end: float  # pixels of `high`
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low or 1) * (self.end - self.start)

    def ticks(self, wanted: int) -> list[float]:
        """Return about so many round values inside the scale."""
        low, high = sorted((self.low, self.high))
        return log_ticks(low, high, wanted) if self.log else round_ticks(low, high, wanted)


def round_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round values between low and high, about as many as wanted."""
    step = round_step((high - low) / max(wanted, 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def round_step(rough: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that isn't below."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))


def log_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return values of 1, 2, 5 times powers of ten inside, thinned to about as many as wanted."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) <= wanted + 1:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / (wanted + 1)))]


def linear(values: Iterable[float], *, start: float, end: float, pad: float = 0.06) -> Scale:
    """Return a linear scale that holds the finite ones of the values, with some room."""
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    room = (high - low) * pad or abs(high) * 0.05 or 0.5
    return Scale(low=low - room, high=high + room, start=start, end=end)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Path:
    """Return a straight line."""
    return Path(d=f"M{p(x1)} {p(y1)}L{p(x2)} {p(y2)}", kind=kind)


def rect(
    x: float, y: float, width: float, height: float, kind: str, *, tip: str = "", strength: float | None = None
) -> Path:
    """Return a rectangle."""
    d = f"M{p(x)} {p(y)}h{p(max(width, 0))}v{p(max(height, 0))}h{p(-max(width, 0))}z"
    return Path(d=d, kind=kind, tip=tip, strength=strength)


def polyline(points: Sequence[tuple[float, float]], kind: str) -> Path:
    """Return a line through the points; a point that isn't finite leaves a gap."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            parts.append(f"{pen}{p(x)} {p(y)}")
            pen = "L"
        else:
            pen = "M"
    return Path(d="".join(parts), kind=kind)


def shape(form: Shape, x: float, y: float, radius: float, kind: str, *, tip: str = "") -> Path:
    """Return a form around a place, of the area of a circle with this radius."""
    return Path(d=outline(form, x, y, radius), kind=kind, tip=tip)


def outline(form: Shape, x: float, y: float, radius: float) -> str:
    """Return the path of a form whose area is that of a circle with this radius."""
    match form:
        case "circle":
            r = p(radius)
            return f"M{p(x - radius)} {p(y)}a{r} {r} 0 1 0 {p(2 * radius)} 0a{r} {r} 0 1 0 {p(-2 * radius)} 0z"
        case "square":
            half = radius * math.sqrt(math.pi) / 2
            return f"M{p(x - half)} {p(y - half)}h{p(2 * half)}v{p(2 * half)}h{p(-2 * half)}z"
        case "diamond":
            half = radius * math.sqrt(math.pi / 2)
            return f"M{p(x)} {p(y - half)}l{p(half)} {p(half)}l{p(-half)} {p(half)}l{p(-half)} {p(-half)}z"
        case "triangle":
            side = radius * math.sqrt(4 * math.pi / math.sqrt(3))
            height = side * math.sqrt(3) / 2
            return f"M{p(x)} {p(y - height * 2 / 3)}l{p(side / 2)} {p(height)}h{p(-side)}z"


def p(value: float) -> str:
    """Write a coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".").replace("-0", "0" if abs(value) < 0.05 else "-0")


def width_of(text: str, *, font: float = FONT) -> float:
    """Return about how wide a text is, in pixels."""
    return len(text) * CHARACTER * font


def shortened(text: str, width: float, *, font: float = FONT) -> str:
    """Return the text, cut in its middle where it is wider than this."""
    room = max(int(width / (CHARACTER * font)), 4)
    if len(text) <= room:
        return text
    return f"{text[: (room - 1) - (room - 1) // 3]}…{text[len(text) - (room - 1) // 3 :]}"


# Labels that don't lie on one another ---------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle of the chart, and how bad it is to write over it."""

    left: float
    top: float
    right: float
    bottom: float
    weight: float = 1.0

    def overlap(self, other: "Box") -> float:
        """Return the area that both have in common."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    def outside(self, bounds: "Box") -> float:
        """Return by how many pixels it leaves the bounds."""
        return (
            max(bounds.left - self.left, 0)
            + max(self.right - bounds.right, 0)
            + max(bounds.top - self.top, 0)
            + max(self.bottom - bounds.bottom, 0)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label wanted at a point; one that isn't needed may be left out where there is no room."""

    x: float
    y: float
    radius: float
    text: str
    kind: str
    needed: bool


def placed(labels: Sequence[Label], *, bounds: Box, obstacles: Sequence[Box]) -> list[Mark]:
    """Return the labels' texts, in order of importance, each where it hides nothing; with a leader where it is far."""
    taken, marks = list(obstacles), list[Mark]()
    for label in labels:
        choices = [(_cost(box, taken, bounds) + far, box, far) for box, far in _boxes(label)]
        cost, box, far = min(choices, key=lambda choice: choice[0])
        if cost - far > 10 and not label.needed:
            continue
        taken.append(box)
        if far > 8:
            marks.append(_leader(label, box))
        marks.append(Text(x=box.left + 2, y=box.bottom - 4, text=label.text, kind=label.kind))
    return marks


def _cost(box: Box, taken: Sequence[Box], bounds: Box) -> float:
    return sum(box.overlap(other) * other.weight for other in taken) + 1000 * box.outside(bounds)


def _boxes(label: Label) -> list[tuple[Box, float]]:
    """Return where the label could go, with how much worse than beside its point that is."""
    wide = width_of(label.text) * (BOLD if "strong" in label.kind else 1) + 4
    high = FONT + 4
    boxes = []
    for step in range(9):
        gap = label.radius + 3 + 11 * step
        for turn in (0, 180, -90, 90, -40, 40, -140, 140, -20, 20, -160, 160, -65, 65):
            dx, dy = math.cos(math.radians(turn)), math.sin(math.radians(turn))
            x, y = label.x + gap * dx, label.y + gap * dy
            left = x - wide * (1 - dx) / 2
            top = y - high * (1 - dy) / 2
            penalty = 9 * step + (0 if turn in (0, 180) else 0.5)
            boxes.append((Box(left=left, top=top, right=left + wide, bottom=top + high), penalty))
    return boxes


def _leader(label: Label, box: Box) -> Path:
    x = min(max(label.x, box.left), box.right)
    y = min(max(label.y, box.top), box.bottom)
    away = math.hypot(x - label.x, y - label.y) or 1
    start = label.radius / away
    return line(label.x + (x - label.x) * start, label.y + (y - label.y) * start, x, y, "leader")
