"""What a state in Prefect means to the process of the run, and what time it is there."""

from datetime import UTC, datetime

import pytest
from httpx import Response

from tasks.living.pulse import Meaning, meaning_of
from tasks.living.signs import SILENT, time_of


@pytest.mark.parametrize(
    ("kind", "message", "meaning"),
    [
        ("RUNNING", "", "go on"),
        ("CANCELLING", "", "end"),
        ("CANCELLED", "by hand", "end"),
        ("CRASHED", SILENT, "not so"),
        ("CRASHED", "by hand", "go on"),
        ("COMPLETED", "", "go on"),
    ],
)
def test_a_run_that_lives_ends_when_it_is_cancelled_and_takes_back_that_it_is_dead(
    kind: str, message: str, meaning: Meaning
) -> None:
    assert meaning_of(kind, message) == meaning


def test_the_time_of_a_sign_is_the_servers() -> None:
    there = Response(200, headers={"date": "Wed, 25 Nov 2026 20:01:17 GMT"})
    assert time_of(there) == datetime(2026, 11, 25, 20, 1, 17, tzinfo=UTC)
    assert abs((time_of(Response(200)) - datetime.now(UTC)).total_seconds()) < 5
