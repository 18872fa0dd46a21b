"""Run a module as a child that can't outlive its parent: `python -P -m components.leashed MODULE ARGUMENTS`.

Standard input is a pipe that only the parent holds open. At its end, which comes however the parent dies, this
process, its process group and all that it started are killed. What it starts in sessions of their own it can leash in
turn, so that these end with it as well where it is killed itself.
"""

import os
import runpy
import signal
import sys
import threading
from contextlib import suppress

import psutil


def main() -> None:
    """Run the module named on the command line, on a leash."""
    threading.Thread(target=_end_with_the_parent, args=(os.dup(0),), daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def hold_a_leash() -> None:
    """Make standard input, which children inherit, a pipe that this process alone holds open while it lives."""
    end, _ = os.pipe()
    os.dup2(end, 0)
    os.close(end)


def _end_with_the_parent(leash: int) -> None:
    os.read(leash, 1)  # returns at the end of the pipe
    try:
        for one in psutil.Process().children(recursive=True):  # of other groups as well, and too young for a leash
            with suppress(psutil.Error):
                one.kill()
    finally:
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
