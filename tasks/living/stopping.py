"""An end that any thread of a process may ask for: the main thread meets it as it meets Ctrl-C."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

SIGNAL: Final = signal.SIGUSR1  # SIGINT is ignored by what a shell's script has started in the background
DEAF_SECONDS: Final = 40.0  # a library may compute for so long before Python's next line
LAST_SECONDS: Final = 30.0  # from Stopped to the end of the block
EXIT_CODE: Final = 130  # as after Ctrl-C


class Stopped(KeyboardInterrupt):
    """The process was told to end. Its text says why."""


@dataclass(slots=True)
class Stop:
    """Ends the block that it was opened for: `stop("cancelled in Prefect")`; where that isn't heard, the process."""

    deaf_seconds: float
    why: str = ""
    _open: bool = True
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _last: threading.Timer | None = None

    def __call__(self, why: str) -> None:
        """Have Stopped raised in the main thread, once."""
        with self._turn:
            if not self._open or self.why:
                return
            self.why = why
            self._end_in(self.deaf_seconds)
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def heard(self, _signal: int, _frame: FrameType | None) -> None:
        """Raise, in the main thread."""
        if self._open:
            self._end_in(LAST_SECONDS)  # a finalizer that it is raised in ignores it
            raise Stopped(self.why)

    def close(self) -> None:
        """Ask for nothing any more."""
        self._open = False  # from here on `heard` raises nothing, so that the rest is done
        with self._turn:
            if self._last is not None:
                self._last.cancel()

    def _end_in(self, seconds: float) -> None:
        """End the process after that time, however far it is then."""
        before, self._last = self._last, threading.Timer(seconds, os._exit, [EXIT_CODE])
        self._last.daemon = True
        self._last.start()
        if before is not None:
            before.cancel()


@contextmanager
def stoppable(*, deaf_seconds: float = DEAF_SECONDS) -> Iterator[Stop]:
    """Open a block of the main thread that other threads may end. Raises Stopped where one has."""
    stop = Stop(deaf_seconds)
    before = signal.signal(SIGNAL, stop.heard)
    try:
        yield stop
    finally:
        stop.close()
        signal.signal(SIGNAL, before)
