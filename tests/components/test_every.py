"""Work beside other work: again and again, also after an error, and not after the end."""

import time

from components.every import every
from tests.servers.faults import wait_until


def test_what_fails_once_is_done_again_until_the_block_ends() -> None:
    turns = []

    def work() -> None:
        turns.append(time.monotonic())
        if len(turns) == 1:
            raise OSError("the server is away")

    with every(0.05, work, name="test"):
        wait_until(lambda: len(turns) >= 3)
    done = len(turns)
    time.sleep(0.2)
    assert len(turns) == done
