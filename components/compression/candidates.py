"""Candidates for release: what they are, what was measured of them, which is worth having, and which is taken.

"Better" in quality follows the metric. Speed is the speed-up over the uncompressed model at the recipe's batch size:
it is measured in pairs, so it is exact where latencies of one noisy machine overlap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, assert_never

from components.compression.config import Int8Dynamic, Int8Static, Prune, Quantize, SelectConfig
from components.errors import refuse
from components.evaluation.interval import Interval
from components.figure import figure
from components.task import LOWER_IS_BETTER, METRICS, Metric

Verdict = Literal["front", "dominated", "not faster", "refused for quality"]

UNCOMPRESSED = "uncompressed"
_SLACK = 1e-9  # so that a loss of exactly the limit is within it, whatever floats make of the difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One way to make the released file: pruned or not, quantized or not."""

    name: str
    prune: Prune | None = None
    quantize: Quantize | None = None

    @property
    def compressed(self) -> bool:
        """Whether anything was done to the model."""
        return self.prune is not None or self.quantize is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What was measured of one candidate."""

    name: str
    quality: Interval  # the recipe's metric, on validation
    size_bytes: int
    latency_ms: dict[int, Interval]  # by batch size
    speedup: dict[int, Interval]  # by batch size, over the uncompressed model


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The candidate that is released, and why, in one sentence."""

    name: str
    reason: str


def candidates(prunings: Sequence[Prune], quantizations: Sequence[Quantize]) -> tuple[Candidate, ...]:
    """Return the product of what the recipe lists, uncompressed first; names are unique and say what was done."""
    found: list[Candidate] = []
    taken: set[str] = set()
    for prune, quantize in product((None, *prunings), (None, *quantizations)):
        parts = [part for part in (_prune_name(prune), _quantize_name(quantize)) if part]
        name = _unique("+".join(parts) or UNCOMPRESSED, taken)
        found.append(Candidate(name=name, prune=prune, quantize=quantize))
    return tuple(found)


def verdicts(config: SelectConfig, metric: Metric, measurements: Iterable[Measurement]) -> dict[str, Verdict]:
    """Return a verdict for each candidate, by name, in the order given.

    refused for quality: worse than the limit allows. not faster: the speed-up isn't shown to be above 1. dominated:
    another one that can be selected is as good in quality, speed and size, and better in one. front: all others, and
    what can be selected for latency though it isn't faster.
    """
    measured = _ordered(measurements)
    allowed = _within_limit(config, metric, measured)
    front = {m.name for m in _front(config, metric, _eligible(config, metric, allowed))}
    return {m.name: _verdict(m, config, allowed=allowed, front=front) for m in measured}


def select(config: SelectConfig, metric: Metric, measurements: Iterable[Measurement]) -> Selection:
    """Return the best by the objective among those within the limit, never a dominated one.

    For latency, only the uncompressed model and those shown to be faster than it can be selected; where none is, those
    by which it is dominated as measured. Those whose speed-up overlaps the fastest one's are a tie, broken by quality,
    then size, then name. For size and quality the others follow in the order quality, size, speed, name.
    """
    measured = sorted(_ordered(measurements), key=lambda m: m.name)
    allowed = _within_limit(config, metric, measured)
    front = _front(config, metric, _eligible(config, metric, allowed))
    match config.objective:
        case "latency":
            fastest = max(front, key=lambda m: _speed(m, config).value)
            tied = [m for m in front if _speed(m, config).overlaps(_speed(fastest, config))]
            best = min(tied, key=lambda m: (-_good(m, metric), m.size_bytes, m.name))
        case "size":
            best = min(front, key=lambda m: (m.size_bytes, -_good(m, metric), -_speed(m, config).value, m.name))
        case "quality":
            best = min(front, key=lambda m: (-_good(m, metric), m.size_bytes, -_speed(m, config).value, m.name))
        case _:
            assert_never(config.objective)
    return Selection(name=best.name, reason=_reason(best, config, metric, measured, allowed))


def limit(config: SelectConfig, metric: Metric, uncompressed: float) -> float:
    """Return the worst value of the metric that is allowed.

    `max_loss` is in units of the metric, for rmse and mae a share of the uncompressed model's value, since those have
    the target's own units.
    """
    share = metric in LOWER_IS_BETTER and metric in METRICS["regression"]
    loss = config.max_loss * (abs(uncompressed) if share else 1.0)
    return uncompressed + loss if metric in LOWER_IS_BETTER else uncompressed - loss


def _within_limit(config: SelectConfig, metric: Metric, measured: Sequence[Measurement]) -> list[Measurement]:
    whole = next((m for m in measured if m.name == UNCOMPRESSED), None)
    if whole is None:
        raise refuse(f"no measurement is named '{UNCOMPRESSED}'", do="measure the uncompressed model with the others")
    worst = limit(config, metric, whole.quality.value)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    slack = _SLACK * max(1.0, abs(worst))
    # Written so that a quality that isn't a number is refused.
    return [m for m in measured if m.name == UNCOMPRESSED or _good(m, metric) >= sign * worst - slack]


def _eligible(config: SelectConfig, metric: Metric, allowed: Sequence[Measurement]) -> list[Measurement]:
    """Return those that the objective lets be selected: for latency, none whose speed-up may be chance.

    Where no speed-up is beyond doubt, what dominates the uncompressed as measured can be selected, too.
    """
    if config.objective != "latency":
        return list(allowed)
    whole = next(m for m in allowed if m.name == UNCOMPRESSED)
    proved = [m for m in allowed if _faster(m, config)]
    return [m for m in allowed if m is whole or (m in proved if proved else _dominates(m, whole, config, metric))]


def _faster(measurement: Measurement, config: SelectConfig) -> bool:
    return _speed(measurement, config).low > 1


def _front(config: SelectConfig, metric: Metric, allowed: Sequence[Measurement]) -> list[Measurement]:
    return [m for m in allowed if not any(_dominates(other, m, config, metric) for other in allowed)]


def _dominates(one: Measurement, other: Measurement, config: SelectConfig, metric: Metric) -> bool:
    """Say whether the one is no worse in quality, speed and size, and better in one of them."""
    ours, theirs = ((_good(m, metric), _speed(m, config).value, -m.size_bytes) for m in (one, other))
    return ours != theirs and all(mine >= its for mine, its in zip(ours, theirs, strict=True))


def _verdict(
    measurement: Measurement, config: SelectConfig, *, allowed: Sequence[Measurement], front: set[str]
) -> Verdict:
    if measurement not in allowed:
        return "refused for quality"
    if measurement.name in front:  # it may be what is wanted though it isn't faster
        return "front"
    return "dominated" if measurement.name == UNCOMPRESSED or _faster(measurement, config) else "not faster"


def _good(measurement: Measurement, metric: Metric) -> float:
    """Return the quality so that more is better."""
    return -measurement.quality.value if metric in LOWER_IS_BETTER else measurement.quality.value


def _speed(measurement: Measurement, config: SelectConfig) -> Interval:
    return measurement.speedup[config.batch_size]


def _ordered(measurements: Iterable[Measurement]) -> list[Measurement]:
    measured = list(measurements)
    if len({m.name for m in measured}) != len(measured):
        raise ValueError("two measurements have the same name")
    return measured


def _reason(
    best: Measurement,
    config: SelectConfig,
    metric: Metric,
    measured: Sequence[Measurement],
    allowed: Sequence[Measurement],
) -> str:
    whole = next(m for m in measured if m.name == UNCOMPRESSED)
    if best is whole and len(measured) == 1:
        return "there is no other candidate"
    within = f"within the limit ({metric} {figure(limit(config, metric, whole.quality.value))})"
    eligible, gain = _eligible(config, metric, allowed), _gain(best, whole, config, metric)
    if config.objective == "latency" and not any(_faster(m, config) for m in eligible):
        none = f"of {len(allowed)} {within}, none is faster than the uncompressed beyond doubt"
        return none if best is whole else f"{none}; this one was no slower, nor worse in quality or size: {gain}"
    what = {"latency": "the fastest", "size": "the smallest", "quality": f"the best in {metric}"}[config.objective]
    proved = ", those not faster beyond doubt left out" if len(eligible) < len(allowed) else ""
    among = f"{what} of {len(eligible)} {within}{proved}{_tie(best, config, metric, eligible)}"
    return f"{among}: {'no compressed one is better' if best is whole else gain}"


def _gain(best: Measurement, whole: Measurement, config: SelectConfig, metric: Metric) -> str:
    speed, size = _speed(best, config), whole.size_bytes / max(best.size_bytes, 1)
    return (
        f"{speed.value:.2f}x as fast as the uncompressed ({speed.low:.2f} to {speed.high:.2f}, batch "
        f"{config.batch_size}), {size:.1f}x smaller, {metric} {figure(best.quality.value)} against "
        f"{figure(whole.quality.value)}"
    )


def _tie(best: Measurement, config: SelectConfig, metric: Metric, eligible: Sequence[Measurement]) -> str:
    """Say so where another one was measured to be faster, though not by more than the measurement may be off."""
    fastest = max(eligible, key=lambda m: _speed(m, config).value)
    if config.objective != "latency" or best.name == fastest.name:
        return ""
    why = f"better in {metric}" if _good(best, metric) > _good(fastest, metric) else "smaller"
    speed = figure(_speed(fastest, config).value)
    return f", as fast as {fastest.name} ({speed}x) within what the measurement can tell, and {why}"


def _prune_name(prune: Prune | None) -> str:
    return "" if prune is None else f"pruned-{round(prune.ratio * 100)}"


def _quantize_name(quantize: Quantize | None) -> str:
    match quantize:
        case None:
            return ""
        case Int8Static():
            return "int8-static" if quantize.calibration == "minmax" else f"int8-static-{quantize.calibration}"
        case Int8Dynamic():
            return "int8-dynamic"
        case _:
            assert_never(quantize)


def _unique(stem: str, taken: set[str]) -> str:
    name = next(n for n in (stem, *(f"{stem}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    taken.add(name)
    return name
