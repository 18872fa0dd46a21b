"""The GPUs of a machine, shared out among its processes: each has those it took until it ends."""

import errno
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

AGAIN_SECONDS: Final = 1.0  # between two looks at whether enough are free
NAMES: Final = "steelyard gpu"  # of the sockets: what they begin with


def asked_for(count: int) -> str:
    """Return the beginning of a refusal of that many GPUs."""
    return "1 GPU is asked for" if count == 1 else f"{count} GPUs are asked for"


@contextmanager
def taken(wanted: int, *, of: Sequence[str], say: Callable[[str], object]) -> Iterator[tuple[str, ...]]:
    """Have `wanted` of the GPUs, as CUDA names them, to oneself for the block; wait until so many are free.

    Who waits is alone in doing so and takes all at once: two that each want two never hold one each, and one who wants
    many isn't overtaken for ever by those who want few. `wanted` is at most as many as there are. `say` hears of the
    waiting at the second look: at the first one another may only have been about to take its own.
    """
    looks = 0

    def wait() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            say(f"waits for {wanted} of {len(of)} GPUs, which other processes on this machine have")
        time.sleep(AGAIN_SECONDS)

    with ExitStack() as mine:
        with ExitStack() as turn:
            while not _alone("turn", turn):
                wait()
            while not (names := _free(wanted, of, mine)):
                wait()
        yield names


def _free(wanted: int, names: Sequence[str], held: ExitStack) -> tuple[str, ...]:
    """Return so many that were free, and hold them from now on; none, if there are fewer."""
    with ExitStack() as found:
        free: list[str] = []
        for name in names:
            if len(free) < wanted and _alone(name, found):
                free.append(name)
        if len(free) < wanted:
            return ()
        held.enter_context(found.pop_all())
    return tuple(free)


def _alone(name: str, held: ExitStack) -> bool:
    """Say whether no other process holds the name; if so it is held from now on.

    Linux has a socket's name without a file once on a machine, whoever owns it, and it ends with its process.
    """
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        one.bind(f"\0{NAMES} {name}")
    except OSError as error:
        one.close()
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    held.enter_context(one)
    return True
