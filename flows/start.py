"""The first and the last moment of a process: quick to load its libraries, and quick to leave."""

import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

YOUNG: Final = 50_000  # objects that are new since the garbage collector last looked
SELDOM: Final = 1_000  # looks at those, before one at the older
FILES: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def main() -> NoReturn:
    """Load the command line, and run it. Until it is loaded, Ctrl-C ends the process without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would show a traceback through its imports
    with swift():
        from flows.cli import main as command_line

        command_line()


@contextmanager
def swift() -> Iterator[None]:
    """Load libraries in less time, and where the block ends, or exits with a code, leave at once.

    A million objects that libraries make stay to the end. To look through them again and again takes a tenth of the
    time that they take to load, and Python takes them apart for three seconds behind a run. What else is to be done
    at the end is done: threads have ended, all that is registered with `atexit` was called, files are written.
    """
    codes: list[int] = []
    if atexit._ncallbacks() == 0:  # else another one's would never be called
        atexit.register(_leave, codes)  # the first that is registered is the last that is called
    gc.set_threshold(YOUNG, SELDOM, SELDOM)
    try:
        yield
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            codes.append(end.code or 0)
        raise
    codes.append(0)


def _leave(codes: list[int]) -> None:
    """End the process with its exit code, if it has one and what it said could be said."""
    if not codes:
        return
    try:
        for stream in (sys.stdout, sys.stderr, *_open_files()):
            stream.flush()
    except (OSError, ValueError, AttributeError):  # cut off, closed, or there is none: Python knows what to do then
        return
    os._exit(codes[0])


def _open_files() -> list[io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom]:
    """Return the files that are open for writing, texts before the bytes below them."""
    found = [one for one in gc.get_objects() if type(one) in FILES]
    writable = [one for one in found if not one.closed and one.writable()]
    return sorted(writable, key=lambda one: not isinstance(one, io.TextIOWrapper))


if __name__ == "__main__":
    main()
