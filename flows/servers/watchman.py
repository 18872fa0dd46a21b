"""The watch over runs that die silently (see `tasks/living/watch.py`): set up where a Prefect server is used."""

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from components.errors import refuse
from components.home import Home
from flows.servers.environment import environment
from flows.servers.processes import START_SECONDS, spawn
from flows.servers.recorded import log_of

log = logging.getLogger(__name__)
COMMAND: Final = ("tasks.living.watch",)
LINES: Final = 3  # of its log, where it failed


@contextmanager
def watch_set_up(home: Home, *, prefect_url: str | None = None) -> Iterator[None]:
    """Have it set up on a server of this machine while the block goes on, by a process that loads Prefect's client.

    Raises:
        Refusal: the server didn't take it.
    """
    file = log_of(home, "watch")
    with file.open("wb") as output:
        process = spawn(COMMAND, environment(home, prefect_url=prefect_url), output)
    code: int | None = None
    try:
        yield
        code = process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()
    if code != 0:
        said = file.read_text(errors="replace").strip().splitlines()[-LINES:]
        raise refuse(" | ".join(["the watch over runs that die silently wasn't set up", *said]), where=str(file))


def watch_from_here() -> None:
    """Set it up on the server that this process has entered. One that doesn't take it is no reason to end a run."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    from tasks.living.watch import keep_watch

    try:
        with get_client(sync_client=True) as client:
            keep_watch(client)
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        log.warning(
            "Prefect takes no automation (%s): a run of Steelyard's that dies silently stays Running there", code
        )
