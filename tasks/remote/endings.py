"""How a stage on a worker ends: the worker's process names it in its state in Prefect, the run that waits reads it."""

import re
from typing import Final

from components.errors import Problem, ProcessLost, Refusal, Unreachable, refuse
from components.memory import OutOfMemory, perhaps_short, short_memory

REFUSED: Final = "Refused"  # input that a person can mend; the message says what
MEMORY: Final = "Out of memory"
GPU_MEMORY: Final = "Out of GPU memory"
LOST: Final = "Lost"  # a process that this one had started was killed
TRAIN: Final = ("train", "prune")  # stages that leave checkpoints
_CODE: Final = re.compile(r"status code:? (-?\d+)")
# The run that asked for it seemed to be gone, or a server could not be reached from here. One that is there asks again.
ABANDONED: Final = "Abandoned"


def over(minutes: float, *, stage: str) -> Refusal:
    """Return what becomes of a stage that takes longer than it may."""
    name = stage.partition(" ")[0]
    kept = "trained is kept, and the next run goes on from it" if name in TRAIN else "done before it is kept"
    do = f"raise workers.{name}.time_limit_minutes, or ask for more there: what was {kept}"
    return refuse(f"it took longer than {minutes:g} minutes", where=stage, do=do)


def unserved(minutes: float, *, stage: str, pool: str, why: str) -> Refusal:
    """Return what becomes of a stage that nobody takes up for so long."""
    what = f"waited {minutes:g} minutes for pool '{pool}' to take it up: {why}"
    knob = f"workers.{stage.partition(' ')[0]}.wait_minutes"
    do = f"start a worker of the pool, or resume it, then run again: what was done is kept. {knob} is how long it waits"
    return refuse(what, where=stage, do=do)


class Lost(Exception):
    """A worker's process is gone, and another may do its work."""

    @property
    def perhaps_memory(self) -> bool:
        """Whether it ended as processes do whose memory is short: Prefect's workers tell its code, or its signal."""
        found = _CODE.search(str(self))
        return found is not None and perhaps_short(int(found[1]))


def name_of(error: BaseException) -> str | None:
    """Return the name of an ending, None where the error is a bug."""
    if isinstance(error, Unreachable):
        return ABANDONED
    if isinstance(error, ProcessLost):
        return LOST
    if isinstance(error, Refusal):
        return REFUSED
    return {"main": MEMORY, "GPU": GPU_MEMORY, None: None}[short_memory(error)]


def _told(what: str, message: str) -> str:
    return f"{what}: {message}" if message else what  # Python's own MemoryError says nothing


def error_of(name: str, message: str, *, stage: str) -> Exception:
    """Return what the run that waits raises for a state."""
    match name:
        case "Refused":
            return Refusal([Problem(what=message)])
        case "Cancelled" | "Cancelling":
            do = "run again: what was done is kept"
            return Refusal([Problem(what="it was cancelled in Prefect", where=stage, do=do)])
        case "Out of memory":
            return OutOfMemory(_told("out of memory", message), of="main")
        case "Out of GPU memory":
            return OutOfMemory(_told("out of GPU memory", message), of="GPU")
        case "Crashed" | "Abandoned" | "Lost":
            first, _, _ = message.partition("\n")  # without what to do: it is asked again
            return Lost(first.rstrip(".") or "its process ended before its work did")
        case _:
            return RuntimeError(message or f"it ended as {name}")
