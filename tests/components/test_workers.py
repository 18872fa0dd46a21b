"""What a recipe may ask of a worker."""

import pytest

from components.workers import Worker, Workers


def test_what_is_asked_of_the_pool_is_what_the_recipe_says_and_no_more() -> None:
    assert Worker(pool="p").asked == {}
    assert Worker(pool="p", cpus=4, gpus=1, memory_gb=1.5).asked == {"cpus": "4", "gpus": "1", "memory_gb": "1.5"}
    assert Worker(pool="p", wait_minutes=2, time_limit_minutes=3, retries=0).asked == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpus": 0},
        {"gpus": -1},
        {"memory_gb": 0.0},
        {"wait_minutes": 0},
        {"time_limit_minutes": 0},
        {"retries": -1},
        {"pool": ""},
    ],
)
def test_impossible_requests_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"above 0|0 or more|name of a work pool"):
        Worker(**{"pool": "p", **wrong})


def test_a_stage_without_a_worker_and_one_that_has_none_stay_with_the_run() -> None:
    workers = Workers(train=Worker(pool="gpu"))
    assert workers.of("train") == Worker(pool="gpu")
    assert workers.of("export") is None
    assert workers.of("profile") is None
