import gc
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest

from components.data.rows import Array
from components.evaluation.latency import Timing, latency, latency_over_sessions
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import Output


class Machine:
    """A clock that only sessions move. From `slow_from` on, everything takes three times as long.

    After each `share` of work, in seconds, others have the processor for as long.
    """

    def __init__(self, *, slow_from: float = float("inf"), noise: float = 0.0, share: float = float("inf")) -> None:
        self.now, self.slow_from, self.noise = 0.0, slow_from, noise
        self.share, self.left = share, share
        self.random = np.random.default_rng(0)

    def __call__(self) -> float:
        return self.now

    def session(self, microseconds: float) -> "Session":
        return Session(self, microseconds * 1e-6)


class Session:
    """Takes a known time per row."""

    def __init__(self, machine: Machine, seconds: float) -> None:
        self.machine, self.seconds, self.runs = machine, seconds, 0

    def run(self, feeds: Mapping[str, Array]) -> Output:
        machine = self.machine
        factor = 3 if machine.now > machine.slow_from else 1
        took = self.seconds * len(feeds["x"]) * factor * np.exp(machine.noise * machine.random.normal())
        machine.now, machine.left = machine.now + took, machine.left - took
        if machine.left <= 0:
            machine.now, machine.left = machine.now + machine.share, machine.share
        self.runs += 1
        return np.zeros((1, 1), dtype=np.float32)


FEEDS: dict[int, dict[str, Array]] = {size: {"x": np.zeros((size, 1))} for size in (1, 4)}


def timed(
    machine: Machine, microseconds: Mapping[str, float], *, rounds: int = 60, seconds: float = 60
) -> dict[str, Timing]:
    sessions = {name: machine.session(each) for name, each in microseconds.items()}
    config = ProfileConfig(batch_sizes=(1, 4), rounds=rounds)
    return latency("base", sessions, feeds=FEEDS, config=config, seed=0, seconds=seconds, clock=machine)


def test_latency_and_speedup_are_those_of_the_sessions() -> None:
    found = timed(Machine(noise=0.2), {"base": 200, "half": 100, "same": 200, "slow": 400})
    for size in (1, 4):
        for name, ratio in {"base": 1, "half": 2, "same": 1, "slow": 0.5}.items():
            speedup, ms = found[name].speedup[size], found[name].latency_ms[size]
            assert speedup.low <= speedup.value <= speedup.high
            assert ms.low <= ms.value <= ms.high
            assert speedup.value == pytest.approx(ratio, rel=0.1)
            assert ms.value == pytest.approx(0.2 * size / ratio, rel=0.1)
        assert found["same"].speedup[size].low < 1 < found["same"].speedup[size].high
        assert found["half"].speedup[size].low > 1.5
        assert found["base"].speedup[size].low == found["base"].speedup[size].high == 1


def test_a_machine_that_turns_slow_halfway_favours_nobody() -> None:
    found = timed(Machine(slow_from=0.4), {"base": 200, "half": 100, "same": 200})
    assert found["half"].speedup[1].value == pytest.approx(2)
    assert found["same"].speedup[1].value == pytest.approx(1)
    assert found["same"].speedup[1].high < 1.01


def test_a_busy_machine_is_measured_for_longer_until_a_speed_up_is_known_or_time_is_over() -> None:
    base = {"base": 250, "other": 200}
    assert timed(Machine(), base)["other"].rounds == {1: 60, 4: 60}
    some, much = (timed(Machine(noise=noise), base)["other"].rounds for noise in (1.5, 3.0))
    assert 60 < some[1] < 300
    assert much == {1: 300, 4: 300}
    assert timed(Machine(noise=3.0), base, seconds=0.05)["other"].rounds[1] < 60


def test_a_processor_that_is_shared_out_as_long_as_a_round_is_favours_nobody() -> None:
    found = timed(Machine(share=0.00399), {"base": 250, "same": 250}, rounds=200)  # a round is 0.004 s of work
    assert found["same"].speedup[1].low <= 1 <= found["same"].speedup[1].high


def test_slow_sessions_get_fewer_rounds_but_never_less_than_ten() -> None:
    assert timed(Machine(), {"base": 4000}, seconds=0.01)["base"].rounds == {1: 10, 4: 10}
    assert timed(Machine(), {"base": 4000}, seconds=0.1)["base"].rounds == {1: 25, 4: 10}


def test_seven_fast_models_at_two_batch_sizes_take_less_than_four_seconds() -> None:
    machine = Machine()
    timed(machine, {"base": 20, **{f"c{i}": 20.0 + 5 * i for i in range(6)}})
    assert 1 < machine.now < 4


def test_intervals_widen_with_the_confidence_asked_for() -> None:
    widths = []
    for confidence in (0.6, 0.99):
        machine = Machine(noise=0.2)
        sessions = {"base": machine.session(2000), "other": machine.session(2000)}
        config = ProfileConfig(batch_sizes=(1,), confidence=confidence)
        found = latency("base", sessions, feeds=FEEDS, config=config, seed=0, seconds=0.25, clock=machine)["other"]
        widths.append([one.high - one.low for one in (found.latency_ms[1], found.speedup[1])])
    assert all(narrow < 0.6 * wide for narrow, wide in zip(*widths, strict=True))


def test_garbage_is_collected_before_and_after_but_not_within_the_rounds() -> None:
    machine, enabled = Machine(), list[bool]()

    class Noted(Session):
        def run(self, feeds: Mapping[str, Array]) -> Output:
            enabled.append(gc.isenabled())
            return super().run(feeds)

    config = ProfileConfig(batch_sizes=(1,), rounds=20)
    latency("base", {"base": Noted(machine, 0.01)}, feeds=FEEDS, config=config, seed=0, clock=machine)
    assert gc.isenabled()
    assert enabled[0]
    assert not any(enabled[-20:])


def lucky(machine: Machine, luck: np.random.Generator) -> dict[str, Session]:
    return {name: machine.session(200 * luck.uniform(0.9, 1.1)) for name in ("base", "same")}


def test_a_session_that_was_lucky_with_its_memory_is_not_called_faster() -> None:
    """Of equal models each session is up to a tenth faster or slower for as long as it lives."""
    config, of_three, of_one = ProfileConfig(batch_sizes=(1,)), 0, 0
    for seed in range(40):
        machine = Machine(noise=0.05)
        opened = partial(lucky, machine, np.random.default_rng(seed))
        several = latency_over_sessions("base", opened, feeds=FEEDS, config=config, seed=seed, clock=machine)
        one = latency("base", opened(), feeds=FEEDS, config=config, seed=seed, clock=machine)
        of_three += several["same"].speedup[1].low > 1
        of_one += one["same"].speedup[1].low > 1
    assert of_one > 10
    assert of_three <= 6


def test_latencies_and_speed_ups_agree_though_the_machine_is_slow_for_a_while() -> None:
    machine = Machine(slow_from=1.0, noise=0.3)
    found = latency_over_sessions(
        "base",
        lambda: {"base": machine.session(300), "other": machine.session(200)},
        feeds=FEEDS,
        config=ProfileConfig(batch_sizes=(1, 4)),
        seed=0,
        clock=machine,
    )
    for size in (1, 4):
        base, other, times = (
            found["base"].latency_ms[size],
            found["other"].latency_ms[size],
            found["other"].speedup[size],
        )
        assert base.value / other.value == pytest.approx(times.value)
        assert 0.15 * size < other.low < 0.25 * size, "what was measured of it"
        assert base.low > 0.25 * size


def test_what_is_faster_in_each_session_is_so_in_all() -> None:
    machine = Machine(noise=0.05)
    config = ProfileConfig(batch_sizes=(1, 4), rounds=30)

    def opened() -> dict[str, Session]:
        return {"base": machine.session(300), "half": machine.session(150)}

    found = latency_over_sessions("base", opened, feeds=FEEDS, config=config, seed=0, clock=machine)["half"]
    assert found.rounds[1] >= 30
    assert 1.8 < found.speedup[1].low < 2 < found.speedup[1].high < 2.2


def test_who_waits_is_told_of_each_round_and_how_much_is_done() -> None:
    machine, told = Machine(), list[tuple[float, str]]()
    latency_over_sessions(
        "base",
        lambda: {"base": machine.session(200), "other": machine.session(100)},
        feeds=FEEDS,
        config=ProfileConfig(batch_sizes=(1, 4), rounds=60),
        seed=0,
        clock=machine,
        told=lambda share, what: told.append((share, what)),
    )
    shares = [share for share, _ in told]
    assert len(told) == 3 * 2 * 20
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, pytest.approx(1 - 1 / 120))
    assert told[25][1] == "session 1 of 3, latency of batches of 4: 5 of 20 rounds"


def test_order_within_a_round_changes() -> None:
    machine = Machine()
    order: list[str] = []

    class Noted(Session):
        def run(self, feeds: Mapping[str, Array]) -> Output:
            order.append(f"{self.seconds:.4f}")
            return super().run(feeds)

    sessions = {"base": Noted(machine, 0.01), "a": Noted(machine, 0.02), "b": Noted(machine, 0.03)}
    config = ProfileConfig(batch_sizes=(1,), rounds=20)
    latency("base", sessions, feeds=FEEDS, config=config, seed=0, clock=machine)
    rounds = [order[at : at + 3] for at in range(len(order) - 60, len(order), 3)]
    for place in range(3):
        assert {one[place] for one in rounds} == {"0.0100", "0.0200", "0.0300"}
