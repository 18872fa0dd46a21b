"""One connection to PostgreSQL that takes statements in the words of every database, and has the tables made."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from components.database.database import Tables, Value, refuse_later

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor


class Session:
    """A connection. Outside a transaction each statement is one of its own."""

    def __init__(self, raw: "connection") -> None:
        self._raw = raw
        self._raw.autocommit = True
        self.is_prepared = False  # it has its settings, and the tables are there

    @property
    def is_lost(self) -> bool:
        """Whether the connection is closed, by whomever."""
        return self._raw.closed != 0

    def execute(self, statement: str, values: Sequence[Value] = (), /) -> "cursor":
        """Carry the statement out."""
        cursor = self._raw.cursor()
        cursor.execute(statement.replace("%", "%%").replace("?", "%s"), tuple(values))
        return cursor

    def commit(self) -> None:
        """End the transaction."""
        ended = self.execute("COMMIT").statusmessage
        assert ended == "COMMIT", f"a statement's failure was passed over: {ended}"

    def roll_back(self) -> None:
        """Undo what isn't committed."""
        if not self.is_lost and self._raw.info.transaction_status != TRANSACTION_STATUS_IDLE:
            try:
                self.execute("ROLLBACK")
            except psycopg2.Error:
                self.close()

    def close(self) -> None:
        """End the connection, if it hasn't ended."""
        with suppress(psycopg2.Error):
            self._raw.close()


def prepare(session: Session, tables: Tables, *, where: str) -> None:
    """Set the session up, and make the tables where they aren't there. Raises Refusal where a later version did."""
    session.execute(SETTINGS)
    if _version(session) < tables.version:
        _make(session, tables)
    refuse_later(_version(session), tables, where=where)
    session.execute("DELETE FROM marks WHERE at < clock() - ?", (MARK_SECONDS,))
    session.is_prepared = True


def _version(session: Session) -> int:
    there = session.execute("SELECT to_regclass('steelyard.version') IS NOT NULL").fetchall()
    return int(session.execute("SELECT max(number) FROM version").fetchall()[0][0]) if there == [(True,)] else 0


def _make(session: Session, tables: Tables) -> None:
    """Make the tables, unless another has made them, or later ones, while this waited for it."""
    session.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    session.execute("SELECT pg_advisory_xact_lock(?)", (MAKING,))  # IF NOT EXISTS fails where two are at it
    if _version(session) < tables.version:
        if session.execute("SELECT to_regnamespace('steelyard') IS NULL").fetchall() == [(True,)]:
            session.execute("CREATE SCHEMA steelyard")
        session.execute(_OWN_TABLES)
        session.execute(tables.statements.replace("COUNTED", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"))
        session.execute("INSERT INTO version VALUES (?)", (tables.version,))
    session.commit()


MARK_SECONDS = 86_400.0
MAKING = 0x57EE1 << 32
# A process that is stopped in the middle of a transaction holds up the others for ten seconds, not for ever.
SETTINGS = """
    SET search_path = steelyard; SET lock_timeout = '60s'; SET idle_in_transaction_session_timeout = '10s';
    SET client_min_messages = warning
"""
_OWN_TABLES = """
    CREATE TABLE IF NOT EXISTS version (number INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS marks (
        mark TEXT PRIMARY KEY, took_effect BOOLEAN NOT NULL, at DOUBLE PRECISION NOT NULL);
    CREATE OR REPLACE FUNCTION clock() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS
        'SELECT extract(epoch FROM clock_timestamp())::DOUBLE PRECISION'
"""
