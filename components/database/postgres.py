"""Tables in a PostgreSQL database: many writers, on many machines, and a server that restarts.

Every transaction leaves a mark, a random id among its other rows. Where the answer to a COMMIT was lost, the mark
says whether it took effect.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256

import psycopg2

from components.database.address import Address
from components.database.connecting import connected
from components.database.database import Connection, Row, Tables, Value, repeated
from components.database.explained import explained
from components.database.session import Session, prepare

KEPT = 2  # idle connections: the work's, and its lease's. After a restart each costs one of the ATTEMPTS


class PostgreSQL:
    """A database on a server. Connections are kept, and made anew where they broke.

    `say` hears once that the server is waited for, however many threads do, and that it answers again.
    """

    def __init__(self, address: Address, tables: Tables, *, say: Callable[[str], object]) -> None:
        self._address = address
        self._tables = tables
        self._say = say
        self._told = False
        self._idle: list[Session] = []
        self._process = os.getpid()
        self._met = False  # a server that was met before is waited for longer

    @property
    def name(self) -> str:
        """Its address, without password and options."""
        return str(self._address)

    def exists(self) -> bool:
        """Say that a server can be asked at any time."""
        return True

    def check(self) -> None:
        """Look whether the server answers, and knows the tables."""
        self.ask("SELECT clock()")

    @repeated
    def ask(self, question: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return the rows of the answer."""
        with self._session() as session:
            return session.execute(question, values).fetchall()

    @repeated
    def change(self, statement: str, values: Sequence[Value] = ()) -> int:
        """Carry one statement out, and return how many rows it changed."""
        with self.transaction() as connection:
            return connection.execute(statement, values).rowcount

    @contextmanager
    def transaction(self, *, alone: str = "") -> Iterator[Connection]:
        """Open a connection whose statements take effect together, once, or not at all.

        It reads what is committed at each statement: after the lock, all that was done by those who held it before.
        """
        mark = uuid.uuid4().hex
        with self._session() as session:
            session.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED; {_MARK}", (mark, True))
            if alone:
                session.execute("SELECT pg_advisory_xact_lock(?)", (_number(alone),))
            yield session
            try:
                session.commit()
            except psycopg2.Error:
                session.close()
                if not self._took_effect(mark):
                    raise

    @repeated
    def _took_effect(self, mark: str) -> bool:
        """Say whether the transaction took effect. Where it didn't, it can't any more.

        The same mark is left, saying no: while the transaction is still open on the server this waits for its end.
        """
        with self._session() as session:
            session.execute(f"{_MARK} ON CONFLICT (mark) DO NOTHING", (mark, False))
            ((took_effect,),) = session.execute("SELECT took_effect FROM marks WHERE mark = ?", (mark,)).fetchall()
        return bool(took_effect)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._taken()
        try:
            if not session.is_prepared:
                prepare(session, self._tables, where=self.name)
            yield session
        except psycopg2.Error as error:
            if told := explained(error, lost=session.is_lost, what=self._tables.name, address=self._address):
                raise told from error
            raise
        finally:
            self._give_back(session)

    def _taken(self) -> Session:
        if self._process != os.getpid():  # after a fork: those connections are the other process's
            self._idle, self._process = [], os.getpid()
        with suppress(IndexError):
            return self._idle.pop()
        session = connected(self._address, what=self._tables.name, met=self._met, say=self._tell)
        self._met = True
        if self._told:
            self._told = False
            self._say(f"the {self._tables.name}'s server answers")
        return session

    def _tell(self, what: str) -> None:
        if not self._told:
            self._told = True
            self._say(what)

    def _give_back(self, session: Session) -> None:
        session.roll_back()
        if session.is_lost or len(self._idle) >= KEPT:
            session.close()
        else:
            self._idle.append(session)


_MARK = "INSERT INTO marks VALUES (?, ?, clock())"


def _number(name: str) -> int:
    """Return the name as PostgreSQL wants it for a lock: 64 bits, which no other program's are likely to be."""
    return int.from_bytes(sha256(f"steelyard {name}".encode()).digest()[:8], "big", signed=True)
