"""What a worker's process is kept to."""

import time
from contextlib import suppress

import pytest

from components.errors import Refusal
from flows.remote import _limits


def test_a_time_limit_is_heard_by_work_that_catches_every_exception() -> None:
    """Such is logging, and a training that says a line an epoch is there for a good part of its time."""
    with pytest.raises(Refusal, match=r"it took longer than 0\.001 minutes"), _limits(0.001):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with suppress(Exception):
                time.sleep(20)


def test_without_a_limit_work_takes_its_time() -> None:
    with _limits(None):
        time.sleep(0.1)
