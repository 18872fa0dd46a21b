from collections.abc import Mapping
from time import perf_counter

import numpy as np

from components.data.rows import Array
from components.evaluation.latency import latency
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import Output


class Spinning:
    """A session that takes a known time."""

    def __init__(self, microseconds: float) -> None:
        self.seconds = microseconds * 1e-6
        self.seen: list[int] = []

    def run(self, feeds: Mapping[str, Array]) -> Output:
        end = perf_counter() + self.seconds * len(feeds["x"])
        while perf_counter() < end:
            pass
        return np.zeros((1, 1), dtype=np.float32)


FEEDS: dict[int, dict[str, Array]] = {size: {"x": np.zeros((size, 1))} for size in (1, 4)}
CONFIG = ProfileConfig(batch_sizes=(1, 4), rounds=20)


def test_a_session_twice_as_fast_is_found_to_be() -> None:
    sessions = {"base": Spinning(200), "half": Spinning(100), "same": Spinning(200), "slow": Spinning(400)}
    found = latency("base", sessions, feeds=FEEDS, config=CONFIG, seed=0)
    for size in (1, 4):
        assert found["base"].speedup[size].value == 1
        # Wide bounds: the tests share their processors with others.
        assert 1.6 < found["half"].speedup[size].value < 2.5
        assert 0.8 < found["same"].speedup[size].value < 1.25
        assert 0.4 < found["slow"].speedup[size].value < 0.65
        assert 0.19 * size < found["base"].latency_ms[size].value < 0.6 * size
        for timing in found.values():
            interval = timing.latency_ms[size]
            assert interval.low <= interval.value <= interval.high
            assert timing.rounds[size] == 20


def test_slow_sessions_get_fewer_rounds_but_never_less_than_ten() -> None:
    sessions = {"base": Spinning(4000)}
    found = latency("base", sessions, feeds=FEEDS, config=ProfileConfig(batch_sizes=(1,)), seed=0, seconds=0.01)
    assert found["base"].rounds == {1: 10}


def test_seven_tiny_models_at_two_batch_sizes_take_less_than_four_seconds() -> None:
    sessions = {f"c{i}": Spinning(20 + 5 * i) for i in range(7)}
    started = perf_counter()
    latency("c0", sessions, feeds=FEEDS, config=ProfileConfig(batch_sizes=(1, 4)), seed=0)
    assert perf_counter() - started < 12  # about 2.4 s where nobody else wants the processor
