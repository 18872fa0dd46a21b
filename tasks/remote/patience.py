"""Servers that don't answer are waited for: Prefect's by the run, while workers go on; others by a worker's process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from components.errors import Unreachable, refuse

T = TypeVar("T")
PATIENCE_SECONDS: Final = 600.0
SERVER_SECONDS: Final = 60.0  # for a ledger or a store, as the run that waits gives its ledger
TURN_SECONDS: Final = 1.0
LATER: Final = (408, 429)  # it, or a proxy before it, had no time for the request


@dataclass(slots=True)
class Patience:
    """Asks Prefect. `say` shows a line to whoever waits."""

    say: Callable[[str], None]
    seconds: float = PATIENCE_SECONDS
    _silent_since: float | None = None

    def ask(self, question: Callable[[], T], otherwise: T) -> T:
        """Return the answer, or `otherwise` where there is none now.

        Raises:
            Refusal: there was none for too long.
        """
        try:
            answer = question()
        except Exception as error:
            if not is_absence(error):
                raise
            self._note(error)
            return otherwise
        if self._silent_since is not None:
            self._silent_since = None
            self.say(f"{'':10}Prefect answers again")
        return answer

    def wait(self, question: Callable[[], object]) -> None:
        """Wait until there is an answer. Raises Refusal where that takes too long."""
        with asked_once():
            while self.ask(question, None) is None:
                time.sleep(TURN_SECONDS)

    def _note(self, error: Exception) -> None:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self.say(f"{'':10}Prefect {ailment(error)}; it is waited for, the work goes on")
        if now - self._silent_since >= self.seconds:
            what = f"Prefect {ailment(error)}, for {self.seconds / 60:.0f} minutes now"
            raise refuse(what, do="start its server, then run again: what was done is kept") from error


def reached(work: Callable[[], T], *, say: Callable[[str], None], seconds: float = SERVER_SECONDS) -> T:
    """Do what asks servers; where one can't be reached, as one that restarts, again for so long, and say so.

    Raises:
        Unreachable: it stayed away.
    """
    end, told = time.monotonic() + seconds, False
    while True:
        try:
            return work()
        except Unreachable as error:
            if time.monotonic() >= end:
                raise
            if not told:
                say(f"{'':10}the worker waits: {error.problems[0].where}: {error.problems[0].what}")
            told = True
        time.sleep(TURN_SECONDS)


def is_absence(error: Exception) -> bool:
    """Say whether a server wasn't there, or not well, rather than of another opinion."""
    from httpx import HTTPStatusError, TransportError

    if isinstance(error, HTTPStatusError):  # behind a proxy, or its database is away
        return error.response.is_server_error or error.response.status_code in LATER
    return isinstance(error, TransportError)


def ailment(error: Exception) -> str:
    """Say what a server does instead of answering well, in words that follow its name."""
    from httpx import HTTPStatusError

    if isinstance(error, HTTPStatusError):
        return f"answers with an error ({error.response.status_code})"
    return f"doesn't answer ({type(error).__name__})"


@contextmanager
def asked_once() -> Iterator[None]:
    """Have Prefect's client ask once within the block: it would try again for a minute, and keep its caller waiting."""
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield
