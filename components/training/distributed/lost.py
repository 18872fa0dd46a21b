"""When a process of a training is lost: which one, how, and what it said last."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.errors import Problem, ProcessLost
from components.memory import Memory, OutOfMemory, perhaps_short
from components.training.distributed.work import LOGS, Lost

LINES: Final = 12  # of its output, in the message
AGAIN: Final = "run again: it goes on from its last checkpoint"
SMALLER: Final = ". Perhaps it was out of memory: fewer processes or a smaller batch_size take less"


def cause_of(losses: Sequence[Lost], folder: Path, *, processes: int, launcher: int) -> Exception:
    """Return the exception for the first loss, of which the others are the consequence.

    torchrun, whose exit code is `launcher`, takes all processes along where it is killed itself. Of them one that was
    killed comes first, since it couldn't say when; then the one that spoke first.

    Returns:
        ProcessLost: a signal ended it.
        OutOfMemory: it said so itself.
        RuntimeError: it failed.
    """
    if launcher < 0 or not losses:
        return _error("torchrun", launcher, said=_last_lines(folder / LOGS / "torchrun.log"))
    first = min(losses, key=lambda loss: (not loss.killed, loss.at == 0.0, loss.at))
    told = (loss.short_of for loss in losses if loss.rank == first.rank and loss.short_of is not None)
    said = _last_lines(*(folder / LOGS).glob(f"*/attempt_0/{first.rank}/stderr.log"))
    return _error(f"process {first.rank + 1} of {processes}", first.code, said=said, short_of=next(told, None))


def _error(who: str, code: int, *, said: str, short_of: Memory | None = None) -> Exception:
    sent = -code in (signal.SIGKILL, signal.SIGTERM)  # by somebody else: what it said last has nothing to do with it
    what = f"{who} {_ended(code)}" if sent else f"{who} {_ended(code)}\n{said}".rstrip()
    if short_of is not None:
        return OutOfMemory(what, of=short_of)
    if code < 0:
        return ProcessLost([Problem(what=what, do=AGAIN + (SMALLER if perhaps_short(code) else ""))])
    return RuntimeError(what)


def _ended(code: int) -> str:
    return (
        f"was killed by {signal.Signals(-code).name} (status code {code})"
        if code < 0
        else f"ended with exit code {code}"
    )


def _last_lines(*files: Path) -> str:
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()]
    return "\n".join(lines[-LINES:])
