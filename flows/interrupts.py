"""Ctrl-C and SIGTERM while a command is at work: answered at once, and what has to be ended is ended."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C and SystemExit at SIGTERM within the block; behind it the process leaves."""
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own end has no use for a traceback
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is leaving, and what is still open is closed on the way


def _interrupted(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C is answered at once, though the work may take a moment to come to its end."""
    os.write(2, b"\nstopping ...\n")
    signal.signal(signal.SIGINT, _interrupted_again)
    signal.default_int_handler(signum, frame)


def _interrupted_again(_signal: int, _frame: FrameType | None) -> None:
    """A second Ctrl-C doesn't cut short how servers and records are ended; a third does."""
    os.write(2, b"\nstill stopping; Ctrl-C once more ends it at once\n")
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: servers are stopped, leases given back."""
    signal.signal(signal.SIGTERM, _terminated_again)
    sys.exit(143)


def _terminated_again(_signal: int, _frame: FrameType | None) -> None:
    """`timeout` sends it twice, to the process and to its group: the second doesn't cut short how things are ended."""
    signal.signal(signal.SIGTERM, _terminated)
