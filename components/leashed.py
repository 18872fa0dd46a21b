"""Run a module as a child that can't outlive its parent: `python -P -m components.leashed MODULE ARGUMENTS`.

Standard input is a pipe that only the parent holds open. At its end, which comes however the parent dies, this
process and all that it started, its process group, are killed.
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Run the module named on the command line, on a leash."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_parent() -> None:
    os.read(0, 1)  # returns at the end of the pipe
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
