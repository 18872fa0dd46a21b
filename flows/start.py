"""The first moment of the command: until the command line is loaded, Ctrl-C ends the process without a word."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line, and run it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would show a traceback through its imports
    from flows.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
