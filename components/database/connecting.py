"""A connection to PostgreSQL, waited for where the server is about to come back."""

import random
import time
from collections.abc import Callable
from typing import Final

import psycopg2
from psycopg2.extensions import connection, make_dsn

from components.database.address import Address
from components.database.explained import is_final, unreachable
from components.database.session import Session

PATIENCE_SECONDS = 60.0  # for a server that was met before, or says that it isn't ready
FIRST_SECONDS = 5.0  # for one that may not be there at all
LONGEST_PAUSE_SECONDS = 2.0
QUIET_SECONDS = 2.0  # a restart as a rule takes no longer: what is waited for until then isn't told
SHORT_SECONDS = 3  # for the first answer, so that one that is silent is told of soon
ANSWER_SECONDS = 10  # for another one


def connected(address: Address, *, what: str, met: bool, say: Callable[[str], object]) -> Session:
    """Connect. `say` hears of a server that is waited for, time and again.

    Raises:
        Refusal: the server denies it, or can't be reached for too long.
    """
    started, pause, seconds = time.monotonic(), 0.05, SHORT_SECONDS
    while True:
        try:
            return Session(_connect(address, seconds=seconds))
        except psycopg2.Error as error:
            patience = PATIENCE_SECONDS if met or "FATAL" in str(error) else FIRST_SECONDS
            refusal, waited = unreachable(error, what=what, address=address), time.monotonic() - started
            if is_final(error) or waited > patience:
                raise refusal from None
            if waited > QUIET_SECONDS:
                say(f"{refusal.problems[0].what}; it is waited for, {patience + ANSWER_SECONDS:.0f} s at most")
        seconds = ANSWER_SECONDS
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that twenty workers don't come at once
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _connect(address: Address, *, seconds: int) -> connection:
    """Connect once. The parts are named one by one: libpq might read the whole in another way."""
    given = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
    settings = _SETTINGS | {name: value for name, value in given.items() if value} | dict(address.options)
    return psycopg2.connect(make_dsn(None, dbname=address.database, connect_timeout=seconds, **settings))


_SETTINGS: Final[dict[str, str | int]] = {
    "application_name": "steelyard",
    "client_encoding": "UTF8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds, until a network that swallows everything is given up
}
