"""How a stage on a worker ends: the worker's process names it in its state in Prefect, the run that waits reads it."""

from typing import Final

from components.errors import Problem, Refusal
from tasks.memory import OutOfMemory, short_memory

REFUSED: Final = "Refused"  # input that a person can mend; the message says what
MEMORY: Final = "Out of memory"
GPU_MEMORY: Final = "Out of GPU memory"
ABANDONED: Final = "Abandoned"  # the run that asked for it seemed to be gone; one that is there asks again


class Lost(Exception):
    """A worker's process is gone, and another may do its work."""


def name_of(error: Exception) -> str | None:
    """Return the name of an ending, None where the error is a bug."""
    if isinstance(error, Refusal):
        return REFUSED
    return {"main": MEMORY, "GPU": GPU_MEMORY, None: None}[short_memory(error)]


def error_of(name: str, message: str, *, stage: str) -> Exception:
    """Return what the run that waits raises for a state."""
    match name:
        case "Refused":
            return Refusal([Problem(what=message)])
        case "Cancelled" | "Cancelling":
            do = "run again: what was done is kept"
            return Refusal([Problem(what="it was cancelled in Prefect", where=stage, do=do)])
        case "Out of memory":
            return OutOfMemory(f"out of memory: {message}", of="main")
        case "Out of GPU memory":
            return OutOfMemory(f"out of GPU memory: {message}", of="GPU")
        case "Crashed" | "Abandoned":
            return Lost(message or "its process ended before its work did")
        case _:
            return RuntimeError(message or f"it ended as {name}")
