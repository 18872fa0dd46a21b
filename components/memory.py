"""Memory that was short: recognised, whoever says so and in whatever words."""

from signal import SIGABRT, SIGBUS, SIGKILL, SIGSEGV
from typing import Final, Literal

from components.errors import causes

Memory = Literal["main", "GPU"]
_WORDS: Final = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad alloc",
    "bad_alloc",
    "can't start new thread",
)
# How a process ends that the system kills, or whose stack or native code gets no memory; in containers 128 and more.
_KILLED: Final = {code for sig in (SIGKILL, SIGSEGV, SIGABRT, SIGBUS) for code in (-sig, 128 + sig)}


class OutOfMemory(Exception):
    """Another process took more memory than it was given, or than its GPU has."""

    def __init__(self, message: str, *, of: Memory) -> None:
        super().__init__(message)
        self.of: Memory = of


def short_memory(error: BaseException) -> Memory | None:
    """Return which memory was short where that is what the error, or one of its causes, says."""
    for cause in causes(error):
        if isinstance(cause, OutOfMemory):
            return cause.of
        if type(cause).__name__ == "OutOfMemoryError":  # torch's, if it is loaded
            return "GPU"
        if isinstance(cause, MemoryError) or _no_object(cause):
            return "main"
        if isinstance(cause, RuntimeError) and any(words in str(cause).lower() for words in _WORDS):
            return "main"
    return None


def perhaps_short(code: int) -> bool:
    """Say whether a process may have been short of memory, by its exit code or the negative number of its signal."""
    return code in _KILLED


def _no_object(error: BaseException) -> bool:
    """Say whether a library in Rust, as safetensors is, asked Python for an object and got none."""
    return type(error).__name__ == "PanicException" and "pointer is null" in str(error)
