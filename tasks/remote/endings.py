"""How a stage on a worker ends: the worker's process names it in its state in Prefect, the run that waits reads it."""

from typing import Final

from components.errors import Problem, Refusal
from tasks.memory import OutOfGpuMemory, OutOfMemory, short_memory

REFUSED: Final = "Refused"  # input that a person can mend; the message says what
TOO_LONG: Final = "Too long"
MEMORY: Final = "Out of memory"
GPU_MEMORY: Final = "Out of GPU memory"


class TooLong(Exception):  # noqa: N818 - what happened
    """A stage took more time than it was given."""


class Lost(Exception):  # noqa: N818 - what happened
    """A worker's process is gone, and another may do its work."""


def name_of(error: Exception) -> str | None:
    """Return the name of an ending, None where the error is a bug."""
    if isinstance(error, Refusal):
        return REFUSED
    if isinstance(error, TooLong):
        return TOO_LONG
    return {"main": MEMORY, "GPU": GPU_MEMORY, None: None}[short_memory(error)]


def error_of(name: str, message: str) -> Exception:
    """Return what the run that waits raises for a state."""
    match name:
        case "Refused" | "Too long" | "Cancelled" | "Cancelling":
            what = message or f"the stage is {name.lower()} in Prefect"
            return Refusal([Problem(what=what, where=_WHERE.get(name, ""), do=_TO_DO.get(name, ""))])
        case "Out of memory":
            return OutOfMemory(f"out of memory: {message}")
        case "Out of GPU memory":
            return OutOfGpuMemory(f"out of GPU memory: {message}")
        case "Crashed":
            return Lost(message or "its process ended before its work did")
        case _:
            return RuntimeError(message or f"it ended as {name}")


_WHERE: Final = {TOO_LONG: "workers"}
_TO_DO: Final = {TOO_LONG: "raise time_limit_minutes, or ask for more", "Cancelled": "run again: what was done is kept"}
