"""Work that is done again and again beside other work, in a thread of its own."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

logger = logging.getLogger(__name__)
LAST_SECONDS: Final = 10.0  # for a turn that is at work when the block ends


@contextmanager
def every(seconds: float, work: Callable[[], object], *, name: str, first: float = 0.0) -> Iterator[None]:
    """Do the work every so many seconds until the block ends. What it raises is logged: it goes on.

    `first` is the seconds before the first turn.
    """
    ended = threading.Event()

    def go() -> None:
        pause = first
        while not ended.wait(pause):
            pause = seconds
            try:
                work()
            except Exception as error:  # a server that is away for once: the next turn may do
                logger.info("%s: %s", name, error)

    thread = threading.Thread(target=go, daemon=True, name=name)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LAST_SECONDS)
