import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.compression.candidates import (
    UNCOMPRESSED,
    Measurement,
    candidates,
    limit,
    select,
    verdicts,
)
from components.compression.config import Int8Dynamic, Int8Static, PruneChannels, SelectConfig
from components.errors import Refusal
from components.evaluation.interval import Interval
from components.task import LOWER_IS_BETTER, Metric

CONFIG = SelectConfig(objective="latency", max_loss=0.01, batch_size=1)


def measured(name: str, quality: float, *, size: int, speed: float, width: float = 0.05) -> Measurement:
    speedup = Interval(speed, speed - width, speed + width)
    latency = Interval(1 / speed, 1 / (speed + width), 1 / (speed - width))
    return Measurement(
        name=name,
        quality=Interval(quality, quality - 0.01, quality + 0.01),
        size_bytes=size,
        latency_ms={1: latency, 32: latency},
        speedup={1: speedup, 32: speedup},
    )


WHOLE = replace(measured(UNCOMPRESSED, 0.95, size=1000, speed=1), speedup={1: Interval(1, 1, 1), 32: Interval(1, 1, 1)})

points = st.tuples(
    st.floats(0.85, 1).map(lambda x: round(x, 3)),
    st.integers(1, 8).map(lambda x: 200 * x),
    st.floats(0.5, 5).map(lambda x: round(x, 1)),
    st.sampled_from([0.01, 0.1, 0.4]),
)
fields = st.lists(points, max_size=7).map(
    lambda drawn: [WHOLE, *(measured(f"c{i}", q, size=n, speed=s, width=w) for i, (q, n, s, w) in enumerate(drawn))]
)
configs = st.builds(
    SelectConfig,
    objective=st.sampled_from(["latency", "size", "quality"]),
    max_loss=st.sampled_from([0.0, 0.01, 0.05]),
    batch_size=st.just(1),
)
metrics = st.sampled_from(["accuracy", "log_loss", "rmse", "r2"])


def beats(one: Measurement, other: Measurement, metric: Metric) -> bool:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    pairs = [
        (sign * one.quality.value, sign * other.quality.value),
        (one.speedup[1].value, other.speedup[1].value),
        (-one.size_bytes, -other.size_bytes),
    ]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(configs, metrics, fields)
def test_selected_is_within_the_limit_and_never_dominated(
    config: SelectConfig, metric: Metric, field: list[Measurement]
) -> None:
    chosen = next(m for m in field if m.name == select(config, metric, field).name)
    found = verdicts(config, metric, field)
    assert found[chosen.name] == "front"
    worst = limit(config, metric, WHOLE.quality.value)
    assert chosen.quality.value <= worst + 1e-8 if metric in LOWER_IS_BETTER else chosen.quality.value >= worst - 1e-8
    allowed = [m for m in field if found[m.name] != "refused for quality"]
    if config.objective == "latency":  # one that may be no faster can't be selected before those that are
        proved = [m for m in allowed if m.speedup[1].low > 1]
        allowed = [WHOLE, *proved]
        assert chosen in allowed or (not proved and chosen.speedup[1].value >= 1)
    assert not any(beats(other, chosen, metric) for other in allowed)


@given(configs, metrics, fields)
def test_front_is_mutually_non_dominated_and_dominated_ones_are(
    config: SelectConfig, metric: Metric, field: list[Measurement]
) -> None:
    found = verdicts(config, metric, field)
    front = [m for m in field if found[m.name] == "front"]
    allowed = [m for m in field if found[m.name] != "refused for quality"]
    assert not any(beats(one, other, metric) for one in front for other in front)
    assert all(any(beats(o, m, metric) for o in allowed) for m in field if found[m.name] == "dominated")
    assert found[UNCOMPRESSED] in ("front", "dominated")


@given(configs, metrics, fields.flatmap(lambda field: st.tuples(st.just(field), st.permutations(field))))
def test_order_of_measurements_changes_nothing(
    config: SelectConfig, metric: Metric, orders: tuple[list[Measurement], list[Measurement]]
) -> None:
    one, other = orders
    assert select(config, metric, one) == select(config, metric, other)
    assert verdicts(config, metric, one) == verdicts(config, metric, other)


def test_fastest_within_the_limit_is_taken() -> None:
    field = [
        WHOLE,
        measured("small loss", 0.945, size=500, speed=2),
        measured("large loss", 0.93, size=100, speed=9),
        measured("slow", 0.95, size=300, speed=0.8),
    ]
    assert select(CONFIG, "accuracy", field).name == "small loss"
    assert verdicts(CONFIG, "accuracy", field) == {
        UNCOMPRESSED: "front",
        "small loss": "front",
        "large loss": "refused for quality",
        "slow": "not faster",
    }
    assert select(replace(CONFIG, objective="size"), "accuracy", field).name == "slow"
    assert select(replace(CONFIG, objective="quality"), "accuracy", field).name == "slow"


def test_for_latency_one_that_may_be_no_faster_is_never_taken() -> None:
    doubtful = measured("doubtful", 0.949, size=100, speed=2.1, width=1.2)
    proved = measured("proved", 0.945, size=500, speed=2, width=0.1)
    assert select(CONFIG, "accuracy", [WHOLE, doubtful, proved]).name == "proved"
    assert verdicts(CONFIG, "accuracy", [WHOLE, doubtful, proved])["proved"] == "front"
    alone = select(CONFIG, "accuracy", [WHOLE, doubtful])
    assert alone.name == UNCOMPRESSED
    assert alone.reason.startswith("of 2 within the limit (accuracy 0.94), none is faster")
    assert "those not faster beyond doubt left out" in select(CONFIG, "accuracy", [WHOLE, doubtful, proved]).reason
    by_size = replace(CONFIG, objective="size")
    assert select(by_size, "accuracy", [WHOLE, doubtful, proved]).name == "doubtful"
    assert verdicts(by_size, "accuracy", [WHOLE, doubtful, proved])["doubtful"] == "front"


def test_where_none_is_faster_one_that_is_no_worse_in_anything_takes_the_tie() -> None:
    better = measured("better", 0.96, size=400, speed=1.08, width=0.15)
    slower = measured("slower", 0.97, size=300, speed=0.98, width=0.2)
    field = [WHOLE, better, slower]
    assert select(CONFIG, "accuracy", field).name == "better"
    assert verdicts(CONFIG, "accuracy", field) == {
        UNCOMPRESSED: "dominated",
        "better": "front",
        "slower": "not faster",
    }
    assert said(better) == (
        "of 2 within the limit (accuracy 0.94), none is faster than the uncompressed beyond doubt; this one was no "
        "slower, nor worse in quality or size: 1.08x as fast as the uncompressed (0.93 to 1.23, batch 1), 2.5x "
        "smaller, accuracy 0.96 against 0.95"
    )
    for worse in (replace(better, quality=Interval(0.949, 0.94, 0.96)), replace(better, size_bytes=1001)):
        assert select(CONFIG, "accuracy", [WHOLE, worse]).name == UNCOMPRESSED
        assert verdicts(CONFIG, "accuracy", [WHOLE, worse])["better"] == "not faster"
    assert select(CONFIG, "accuracy", [WHOLE, slower]).name == UNCOMPRESSED
    even = replace(WHOLE, name="even", size_bytes=999)
    assert select(CONFIG, "accuracy", [WHOLE, even]).name == "even"
    assert select(CONFIG, "accuracy", [WHOLE, replace(even, size_bytes=1000)]).name == UNCOMPRESSED
    lower = replace(better, quality=Interval(0.94, 0.93, 0.95))
    assert select(CONFIG, "rmse", [WHOLE, lower]).name == "better", "of an error, less is better"


def said(*others: Measurement) -> str:
    return select(CONFIG, "accuracy", [WHOLE, *others]).reason


def test_overlapping_speeds_are_a_tie_broken_by_quality_then_size_then_name() -> None:
    fast = measured("b", 0.945, size=500, speed=2.05, width=0.1)
    good = measured("c", 0.949, size=500, speed=2.0, width=0.1)
    assert select(CONFIG, "accuracy", [WHOLE, fast, good]).name == "c"
    assert "as fast as b (2.05x) within what the measurement can tell, and better in accuracy" in said(fast, good)
    assert "as fast as b" not in said(fast)
    small = measured("d", 0.949, size=400, speed=1.99, width=0.1)
    assert select(CONFIG, "accuracy", [WHOLE, fast, good, small]).name == "d"
    assert "and smaller" in said(replace(fast, quality=good.quality), small)
    twin = replace(small, name="a")
    assert select(CONFIG, "accuracy", [WHOLE, fast, good, small, twin]).name == "a"


def test_speed_is_that_at_the_batch_size_of_the_recipe() -> None:
    slow, fast = Interval(0.5, 0.4, 0.6), Interval(2.0, 1.9, 2.1)
    one = replace(measured("one", 0.95, size=1000, speed=1), speedup={1: fast, 32: slow})
    many = replace(one, name="many", speedup={1: slow, 32: fast})
    for size, taken, left in ((1, "one", "many"), (32, "many", "one")):
        config = replace(CONFIG, batch_size=size)
        assert select(config, "accuracy", [WHOLE, one, many]).name == taken
        assert verdicts(config, "accuracy", [WHOLE, one, many])[left] == "not faster"


def test_a_speed_up_that_may_be_none_is_not_faster() -> None:
    edge = replace(measured("edge", 0.949, size=10, speed=1), speedup={1: Interval(1.05, 1.0, 1.1)})
    assert verdicts(CONFIG, "accuracy", [WHOLE, edge])["edge"] == "not faster"
    assert select(CONFIG, "accuracy", [WHOLE, edge]).name == UNCOMPRESSED
    sure = replace(edge, speedup={1: Interval(1.05, 1.001, 1.1)})
    assert verdicts(CONFIG, "accuracy", [WHOLE, sure])["edge"] == "front"


def test_equal_sizes_are_told_apart_by_quality_and_equal_qualities_by_size_and_then_by_speed() -> None:
    good, quick = measured("b", 0.97, size=400, speed=2), measured("a", 0.96, size=400, speed=3)
    assert select(replace(CONFIG, objective="size"), "accuracy", [WHOLE, good, quick]).name == "b"
    small, quick = measured("b", 0.97, size=400, speed=2), measured("a", 0.97, size=500, speed=3)
    assert select(replace(CONFIG, objective="quality"), "accuracy", [WHOLE, small, quick]).name == "b"


def test_a_loss_of_exactly_the_limit_is_allowed() -> None:
    field = [WHOLE, measured("edge", 0.95 - 0.01, size=10, speed=3)]
    assert select(CONFIG, "accuracy", field).name == "edge"


def test_what_floats_make_of_the_limit_refuses_nothing() -> None:
    """0.8 - 0.1 is above 0.7 in floats."""
    whole = replace(WHOLE, quality=Interval(0.8, 0.7, 0.9))
    at = measured("at", 0.7, size=400, speed=3)
    assert limit(replace(CONFIG, max_loss=0.1), "accuracy", 0.8) > 0.7
    assert select(replace(CONFIG, max_loss=0.1), "accuracy", [whole, at]).name == "at"


def test_limit_of_rmse_is_a_share_and_of_other_metrics_absolute() -> None:
    assert limit(CONFIG, "rmse", 50.0) == pytest.approx(50.5)
    assert limit(CONFIG, "log_loss", 0.5) == pytest.approx(0.51)
    assert limit(CONFIG, "r2", 0.5) == pytest.approx(0.49)
    assert limit(CONFIG, "accuracy", 0.5) == pytest.approx(0.49)


def test_quality_that_is_not_a_number_is_refused() -> None:
    broken = measured("broken", math.nan, size=1, speed=9)
    assert verdicts(CONFIG, "accuracy", [WHOLE, broken])["broken"] == "refused for quality"
    assert select(CONFIG, "accuracy", [WHOLE, broken]).name == UNCOMPRESSED


def test_without_the_uncompressed_model_nothing_is_selected() -> None:
    with pytest.raises(Refusal, match=UNCOMPRESSED):
        select(CONFIG, "accuracy", [measured("x", 1, size=1, speed=1)])


def test_candidates_are_the_product_with_names_of_their_own() -> None:
    found = candidates(
        [PruneChannels(), PruneChannels(finetune_epochs=3)],
        [Int8Static(), Int8Static(calibration="entropy"), Int8Dynamic()],
    )
    names = [candidate.name for candidate in found]
    assert len(set(names)) == len(names) == 3 * 4
    assert names[:5] == [UNCOMPRESSED, "int8-static", "int8-static-entropy", "int8-dynamic", "pruned-50"]
    assert "pruned-50-2" in names
    assert "pruned-50+int8-static" in names
    assert not found[0].compressed
    assert found[0].prune is found[0].quantize is None


def test_two_measurements_of_one_name_are_a_bug() -> None:
    with pytest.raises(ValueError, match="the same name"):
        verdicts(CONFIG, "accuracy", [WHOLE, WHOLE])
