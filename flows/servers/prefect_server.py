"""A Prefect server as a child process: `python -P -m flows.servers.prefect_server SOCKET [--leashed]`.

What `prefect server start` does, and four things that it doesn't: it takes a socket that its parent has bound, so
that the port is certain; started `--leashed`, it ends when its parent does, however that dies, since its standard
input is a pipe that only the parent holds open; told to stop, it first takes in the states of tasks that lie in its
queues (Prefect's own drops them: of 12 tasks 6 were missing on a busy machine); and the garbage collector rests
until it serves (a second less).
"""

import asyncio
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn

LEASH_SECONDS = 10.0  # from a polite end to a certain one
SETTLE_SECONDS = 6.0  # at most, for what lies in the queues


def main() -> None:
    """Serve on the inherited socket until told to stop."""
    descriptor, leashed = int(sys.argv[1]), "--leashed" in sys.argv[2:]
    if leashed:
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
    gc.disable()
    # Two servers may share the database of a home, but only one at a time may migrate it.
    with (Path(os.environ["PREFECT_HOME"]) / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_serve(socket.socket(fileno=descriptor), lambda: fcntl.flock(lock, fcntl.LOCK_UN)))


def _end_with_the_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns at the end of the pipe
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEASH_SECONDS)
    os._exit(1)


async def _serve(listener: socket.socket, started: Callable[[], None]) -> None:
    from prefect.server.api.server import create_app

    server = Server(uvicorn.Config(create_app(final=True), log_level="warning", timeout_graceful_shutdown=2))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.02)
    started()
    gc.freeze()
    gc.enable()
    await serving


class Server(uvicorn.Server):
    """A server that loses nothing that it was told."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the queues to be empty for a moment, then end as usual."""
        end, quiet = time.monotonic() + SETTLE_SECONDS, 0
        while quiet < 3 and time.monotonic() < end:
            quiet = 0 if _waiting() else quiet + 1
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def _waiting() -> int:
    """Return how many messages are delivered and not yet worked through."""
    from prefect.server.utilities.messaging.memory import METRICS

    return sum(counts.get("published", 0) - counts.get("consumed", 0) for counts in list(METRICS.values()))


if __name__ == "__main__":
    main()
