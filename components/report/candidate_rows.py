"""The table of candidates, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.evaluation.interval import Interval
from components.report import wording
from components.report.front_plot import FORMS, kind_of
from components.report.page import Candidate, Front, Timing
from components.task import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class TimingWords:
    """A latency as the table shows it."""

    batch_size: int
    latency: str
    range: str
    speedup: str
    speedup_range: str
    tone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateRow:
    """A candidate as the table shows it."""

    name: str
    runtime: str
    selected: bool
    uncompressed: bool
    verdict: str
    kind: str
    quality: str
    quality_range: str
    size: str
    share: float
    timings: tuple[TimingWords, ...]


def candidates_words(front: Front) -> str:
    """Say how many there are, and what was selected why."""
    number = {v: sum(c.verdict == v for c in front.candidates) for v in FORMS}
    words = {
        "front": "on the front",
        "dominated": "dominated",
        "not faster": "not faster than uncompressed",
        "refused for quality": "refused for quality",
    }
    listed = ", ".join(f"{n} {words[v]}" for v, n in number.items() if n)
    number_of_all = wording.plural(len(front.candidates), "candidate")
    why = f", {front.reason}" if front.reason else ""
    return f"{number_of_all}: {listed}. Selected by {front.objective}: {front.selected}{why}."


def batch_sizes(front: Front) -> list[int]:
    """Return every batch size that was measured."""
    return sorted({timing.batch_size for c in front.candidates for timing in c.timings})


def candidate_rows(front: Front, *, metric: Metric) -> list[CandidateRow]:
    """Return the candidates: the selected one, the front and the uncompressed, then others; each group by latency."""
    order = {verdict: place for place, verdict in enumerate(FORMS)}
    runtimes = {c.runtime for c in front.candidates}
    largest = max((c.size_bytes for c in front.candidates), default=1)

    def place(candidate: Candidate) -> tuple[bool, int, float, str]:
        timing = next((t for t in candidate.timings if t.batch_size == front.batch_size), candidate.timings[0])
        rank = 0 if candidate.name == front.uncompressed else order[candidate.verdict]
        return candidate.name != front.selected, rank, timing.latency_ms.value, candidate.name

    sizes = batch_sizes(front)
    return [
        CandidateRow(
            name=c.name,
            runtime=c.runtime if len(runtimes) > 1 else "",
            selected=c.name == front.selected,
            uncompressed=c.name == front.uncompressed,
            verdict=c.verdict,
            kind=kind_of(c.verdict),
            quality=wording.quality(c.quality.value, metric),
            quality_range=wording.quality_range(c.quality, metric),
            size=wording.size(c.size_bytes),
            share=64 * c.size_bytes / largest,
            timings=tuple(timing_words(c.timings, size) for size in sizes),
        )
        for c in sorted(front.candidates, key=place)
    ]


def timing_words(timings: Sequence[Timing], batch_size: int) -> TimingWords:
    """Return the latency at a batch size in words; a candidate that wasn't measured there has a dash."""
    timing = next((t for t in timings if t.batch_size == batch_size), None)
    if timing is None:
        return TimingWords(batch_size=batch_size, latency=wording.DASH, range="", speedup="", speedup_range="", tone="")
    speedup = timing.speedup
    tone = "" if speedup is None or speedup.low > 1 else "muted"
    return TimingWords(
        batch_size=batch_size,
        latency=wording.latency(timing.latency_ms.value),
        range=wording.latency_range(timing.latency_ms),
        speedup=faster(speedup) if speedup else wording.DASH,
        speedup_range=wording.times_range(speedup) if speedup else "",
        tone=tone,
    )


def faster(speedup: Interval) -> str:
    """Write a speed-up, and say so where it is none."""
    if speedup.low > 1:
        return wording.times(speedup.value)
    return "slower" if speedup.high < 1 else "not faster"
