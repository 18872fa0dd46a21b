"""When a process of a training is lost: which one, how, and what it said last."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.memory import Memory
from components.training.distributed.work import LOGS, Lost

LINES: Final = 12  # of its output, in the message


class ProcessLost(Exception):
    """A process of several ended before its work did. `short_of` says of which memory it had too little."""

    def __init__(self, message: str, *, rank: int | None, code: int, short_of: Memory | None) -> None:
        super().__init__(message)
        self.rank = rank  # None: it was torchrun itself
        self.code = code  # an exit code, or the negative number of a signal
        self.short_of = short_of


def process_lost(losses: Sequence[Lost], folder: Path, *, processes: int, launcher: int) -> ProcessLost:
    """Return the exception for the first loss, of which the others are the consequence.

    One that was killed comes first, since it couldn't say when; then the one that spoke first. Without any it was
    torchrun, with the exit code `launcher`. SIGKILL is how systems end what takes too much memory.
    """
    if not losses:
        said = _last_lines(folder / LOGS / "torchrun.log")
        what = f"torchrun {_ended(launcher)}\n{said}".rstrip()
        return ProcessLost(what, rank=None, code=launcher, short_of=None)
    first = min(losses, key=lambda loss: (not loss.killed, loss.at == 0.0, loss.at))
    told = (loss.short_of for loss in losses if loss.rank == first.rank and loss.short_of is not None)
    short = next(told, "main" if first.code == -signal.SIGKILL else None)
    said = _last_lines(*(folder / LOGS).glob(f"*/attempt_0/{first.rank}/stderr.log"))
    what = f"process {first.rank + 1} of {processes} {_ended(first.code)}{', perhaps out of memory' if short else ''}"
    return ProcessLost(f"{what}\n{said}".rstrip(), rank=first.rank, code=first.code, short_of=short)


def _ended(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_lines(*files: Path) -> str:
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").splitlines()]
    return "\n".join(lines[-LINES:])
