"""The Prefect server of all runs in a process of the tests: Prefect knows one address for as long as a process lives."""

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from components.home import Home
from flows.servers.services import TemporaryServer, send_what_is_held_back, temporary
from tests.servers.tables import with_tables

UNTOUCHED = dict(os.environ)


@contextmanager
def shared_server() -> Iterator[TemporaryServer]:
    """Have Prefect use it in the block, and send all that it was told by then."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    server = _server()
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        try:
            yield server
        finally:
            send_what_is_held_back()  # and have nobody who knows this server later


@cache
def _server() -> TemporaryServer:
    """A server that knows nothing of the test that is the first to need it."""
    with patch.dict(os.environ, UNTOUCHED, clear=True), chdir("/"):
        return _started()


def _started() -> TemporaryServer:
    stack = ExitStack()
    folder = stack.enter_context(TemporaryDirectory(prefix="steelyard-prefect-"))
    server = stack.enter_context(temporary(Home(with_tables(Path(folder) / "home"))))
    server.ready()
    atexit.register(stack.close)
    return server
