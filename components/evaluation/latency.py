"""How long an answer takes, measured so that a busy machine can't favour anyone.

R rounds, B resamples. Sessions take turns, in each round in an order drawn anew, so that what slows the machine down
for a while slows all of them. The baseline has no place of its own: always the first after a long round, it would have
had a fresh share of a busy processor each time, and so be faster than itself. A speed-up is the ratio within a round.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from components.data.rows import Array
from components.evaluation.interval import Interval
from components.runtimes.config import LEAST_ROUNDS, ProfileConfig
from components.runtimes.feeds import Session

Feeds = Mapping[str, Array]
Floats = npt.NDArray[np.float64]
Clock = Callable[[], float]
Told = Callable[[float, str], None]  # is told what share of the work is done, 0 to 1, and what it is at

SESSIONS: Final = 3  # of each file that are timed, one after the other; an odd number
_WARM_UP_SECONDS = 0.05  # and at least two runs
_TURN_SECONDS = 0.002  # one turn lasts at least so long: the clock and the caller's own overhead then don't matter
_MOST_RUNS = 2000  # of one turn
_RESAMPLES = 1000
_LONGER = 5  # times as many rounds, at most, are made on a machine that is busy
_ROUGH = 0.1  # width of a speed-up's interval, as a share of it, from which more rounds are made


def _quiet(share: float, what: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Latency and speed-up, by batch size."""

    latency_ms: dict[int, Interval]  # of one batch
    speedup: dict[int, Interval]  # the baseline's time over this one's: median over rounds of their ratios
    rounds: dict[int, int]  # that were made


def latency_over_sessions(
    baseline: str,
    opened: Callable[[], Mapping[str, Session]],
    *,
    feeds: Mapping[int, Feeds],
    config: ProfileConfig,
    seed: int,
    clock: Clock = perf_counter,
    told: Told = _quiet,
) -> dict[str, Timing]:
    """Time all sessions as `latency` does, several times with new ones, and a part of the rounds each.

    Where its memory happens to lie makes a session fast or slow for as long as it lives, which its own interval doesn't
    know: the value is the middle one's, and the interval holds those of all. The value of a latency is the baseline's
    over the speed-up, which rounds and sessions that were slow for both don't move: the two always agree.
    """

    def of_one(number: int) -> Told:
        return lambda share, what: told((number + share) / SESSIONS, f"session {number + 1} of {SESSIONS}, {what}")

    part = replace(config, rounds=max(config.rounds // SESSIONS, LEAST_ROUNDS))
    found = [
        latency(baseline, opened(), feeds=feeds, config=part, seed=seed + number, clock=clock, told=of_one(number))
        for number in range(SESSIONS)
    ]
    base = {size: _joined([one[baseline].latency_ms[size] for one in found]) for size in config.batch_sizes}
    return {name: _over_all([one[name] for one in found], base) for name in found[0]}


def _over_all(timings: Sequence[Timing], base: Mapping[int, Interval]) -> Timing:
    """Return what several sessions of one file show together, beside the baseline's latency."""
    speedup = {size: _joined([one.speedup[size] for one in timings]) for size in base}
    measured = {size: _joined([one.latency_ms[size] for one in timings]) for size in base}
    return Timing(
        latency_ms={size: _around(base[size].value / speedup[size].value, measured[size]) for size in base},
        speedup=speedup,
        rounds={size: sum(one.rounds[size] for one in timings) for size in base},
    )


def _joined(found: Sequence[Interval]) -> Interval:
    middle = sorted(one.value for one in found)[len(found) // 2]
    return Interval(middle, min(one.low for one in found), max(one.high for one in found))


def _around(value: float, measured: Interval) -> Interval:
    return Interval(value, min(measured.low, value), max(measured.high, value))


def latency(
    baseline: str,
    sessions: Mapping[str, Session],
    *,
    feeds: Mapping[int, Feeds],
    config: ProfileConfig,
    seed: int,
    seconds: float = 60.0,
    clock: Clock = perf_counter,
    told: Told = _quiet,
) -> dict[str, Timing]:
    """Time all sessions, the baseline among them, by name.

    `feeds` holds a batch by its size. The sessions' threads are theirs. Where a speed-up is known roughly only, since
    the machine is busy, more rounds are made; above `seconds` for one batch size fewer, though at least 10. `clock`
    returns seconds; `told` is called between rounds. Latencies are medians over rounds, speed-ups those of the ratios
    within each round, with percentile bootstraps at `config.confidence`.
    """
    random = np.random.default_rng(seed)

    def speedups(times: Mapping[str, Floats]) -> dict[str, Interval]:
        return {name: _median(times[baseline] / times[name], config, seed) for name in sessions}

    def rough(times: Mapping[str, Floats]) -> bool:
        return any(one.high - one.low > _ROUGH * one.value for one in speedups(times).values())

    def of_size(place: int, size: int) -> Callable[[int, int], None]:
        def one(turn: int, made: int) -> None:
            so_far = f"{turn} of {made} rounds" if turn < made else f"{turn} rounds, for the machine is busy"
            share = (place + min(turn / made, 1.0)) / len(config.batch_sizes)
            told(share, f"latency of batches of {size}: {so_far}")

        return one

    measured = {
        size: _rounds(
            sessions,
            feeds[size],
            rounds=config.rounds,
            seconds=seconds,
            rough=rough,
            random=random,
            clock=clock,
            told=of_size(place, size),
        )
        for place, size in enumerate(config.batch_sizes)
    }
    found = {size: speedups(times) for size, times in measured.items()}
    return {
        name: Timing(
            latency_ms={size: _median(times[name] * 1e3, config, seed) for size, times in measured.items()},
            speedup={size: of[name] for size, of in found.items()},
            rounds={size: len(times[name]) for size, times in measured.items()},
        )
        for name in sessions
    }


def _rounds(
    sessions: Mapping[str, Session],
    feeds: Feeds,
    *,
    rounds: int,
    seconds: float,
    rough: Callable[[Mapping[str, Floats]], bool],
    random: np.random.Generator,
    clock: Clock,
    told: Callable[[int, int], None],
) -> dict[str, Floats]:
    """Return seconds per run [R] of each session: of more rounds than asked for where those are too rough."""
    once = {name: _warm_up(session, feeds, clock) for name, session in sessions.items()}
    runs = {name: int(np.clip(np.ceil(_TURN_SECONDS / time), 1, _MOST_RUNS)) for name, time in once.items()}
    one_round = sum(once[name] * runs[name] for name in sessions)
    made = int(np.clip(seconds / one_round, min(10, rounds), rounds))
    most = max(made, min(_LONGER * made, int(seconds / one_round)))
    times = {name: np.empty(most) for name in sessions}
    with _undisturbed():
        for turn in range(most):
            if turn and turn % made == 0 and not rough({name: of[:turn] for name, of in times.items()}):
                return {name: of[:turn] for name, of in times.items()}
            told(turn, made)
            for name in random.permutation(list(sessions)).tolist():
                times[name][turn] = _turn(sessions[name], feeds, runs=runs[name], clock=clock)
    return times


def _warm_up(session: Session, feeds: Feeds, clock: Clock) -> float:
    """Return the shortest time of a run, in seconds, seen while the session got warm."""
    started, shortest, runs = clock(), float("inf"), 0
    while runs < 2 or clock() - started < _WARM_UP_SECONDS:
        shortest = min(shortest, _turn(session, feeds, runs=1, clock=clock))
        runs += 1
    return shortest


def _turn(session: Session, feeds: Feeds, *, runs: int, clock: Clock) -> float:
    started = clock()
    for _ in range(runs):
        session.run(feeds)
    return (clock() - started) / runs


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Python's garbage collection out of the measurement."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _median(values: Floats, config: ProfileConfig, seed: int) -> Interval:
    """Return the median of [R] with its percentile bootstrap interval."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))  # [B, R]
    medians = np.median(values[drawn], axis=1)
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(np.median(values)), float(low), float(high))
