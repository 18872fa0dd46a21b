"""How a stage on a worker ends, as the states of its Prefect run say it: their names are read by the run that waits."""

from typing import Final

from components.errors import causes

REFUSED: Final = "Refused"  # input that a person can mend; the message says what
OUT_OF_MEMORY: Final = "Out of memory"
TOO_LONG: Final = "Too long"  # the time limit is over


class Lost(Exception):  # noqa: N818 - what happened
    """A worker's process is gone, and another may do its work."""


class OutOfMemory(Exception):  # noqa: N818 - what happened
    """A stage took more memory than it was given."""


class TooLong(Exception):  # noqa: N818 - what happened
    """A stage took more time than it was given."""


def short_of_memory(error: BaseException) -> bool:
    """Say whether the error, or one of its causes, is that memory was short."""
    for cause in causes(error):
        if isinstance(cause, MemoryError) or getattr(cause, "out_of_memory", False):
            return True
        if isinstance(cause, RuntimeError) and any(words in str(cause).lower() for words in _WORDS):
            return True
    return False


_WORDS: Final = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad alloc")
