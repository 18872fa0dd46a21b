"""A connection to PostgreSQL, waited for where the server is about to come back."""

import random
import time
from typing import Final

import psycopg2
from psycopg2.extensions import connection, make_dsn

from components.database.address import Address
from components.database.explained import is_final, unreachable
from components.database.session import Session

PATIENCE_SECONDS = 60.0  # for a server that was met before, or says that it isn't ready
FIRST_SECONDS = 5.0  # for one that may not be there at all
LONGEST_PAUSE_SECONDS = 2.0


def connected(address: Address, *, what: str, met: bool) -> Session:
    """Connect. Raises Refusal where the server denies it, or can't be reached for too long."""
    started, pause = time.monotonic(), 0.05
    while True:
        try:
            return Session(_connect(address))
        except psycopg2.Error as error:
            patience = PATIENCE_SECONDS if met or "FATAL" in str(error) else FIRST_SECONDS
            if is_final(error) or time.monotonic() - started > patience:
                raise unreachable(error, what=what, address=address) from None
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that twenty workers don't come at once
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _connect(address: Address) -> connection:
    """Connect once. The parts are named one by one: libpq might read the whole in another way."""
    given = {"host": address.host, "port": address.port, "user": address.user, "password": address.password}
    settings = _SETTINGS | {name: value for name, value in given.items() if value} | dict(address.options)
    return psycopg2.connect(make_dsn(None, dbname=address.database, **settings))


_SETTINGS: Final[dict[str, str | int]] = {
    "application_name": "steelyard",
    "client_encoding": "UTF8",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds, until a network that swallows everything is given up
}
