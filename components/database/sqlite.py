"""Tables in a SQLite file: one writer at a time, whom readers don't wait for."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.database.database import Row, Tables, Value, refuse_later
from components.database.whole import check_database
from components.disk import full, is_full
from components.errors import refuse

BUSY_SECONDS = 60.0


class SQLite:
    """A database in a file, made with its folder when it is first opened."""

    def __init__(self, path: Path, tables: Tables) -> None:
        self.path = path
        self._tables = tables

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def exists(self) -> bool:
        """Say whether the file is there."""
        return self.path.exists()

    def check(self) -> None:
        """Look whether the file is whole."""
        check_database(self.path, name=f"the {self._tables.name}'s", do=_MOVE_AWAY)

    def ask(self, question: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return the rows of the answer."""
        with self._open() as connection:
            return connection.execute(question, values).fetchall()

    def change(self, statement: str, values: Sequence[Value] = ()) -> int:
        """Carry one statement out, and return how many rows it changed."""
        with self.transaction() as connection:
            return connection.execute(statement, values).rowcount

    @contextmanager
    def transaction(self, *, alone: str = "") -> Iterator[sqlite3.Connection]:  # noqa: ARG002 - each is alone here
        """Open a connection whose statements take effect together, or not at all."""
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._readable_errors():
            self._make_folder()
            if is_full(self.path.parent):
                raise full(self.path)
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                connection.create_function("clock", 0, time.time)
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version < self._tables.version:
                    _prepare(connection, self._tables)
                refuse_later(version, self._tables, where=self.name)
                yield connection
            finally:
                connection.close()  # rolls back what wasn't committed

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF
            if code == sqlite3.SQLITE_FULL or (code in _WITHOUT_SPACE and is_full(self.path.parent)):
                raise full(self.path) from error
            text, do = _EXPLAINED.get(code, ("", ""))
            if not text:
                raise
            what = text.format(name=self._tables.name)
            raise refuse(f"{what} ({error})", where=self.name, do=do) from error

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            do = "name another folder with STEELYARD_HOME, or mend its rights"
            raise refuse(f"can't be made: {error.strerror}", where=str(self.path.parent), do=do) from error


_MOVE_AWAY = (
    "put a backup in its place; without one, move it away: models stay in MLflow, but which versions there were, and "
    "which was champion, is forgotten: stages run again, and the next version wants `steelyard promote --force`"
)
_WITHOUT_SPACE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)  # where there may be none: SQLite doesn't tell
_RIGHTS = "look at the rights of the file and its folder"
_EXPLAINED = {
    sqlite3.SQLITE_CORRUPT: ("the {name} is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_NOTADB: ("the {name} is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_IOERR: ("the {name} can't be read or written", "look whether the disk is full, or failing"),
    sqlite3.SQLITE_CANTOPEN: ("the {name} can't be opened", _RIGHTS),
    sqlite3.SQLITE_READONLY: ("the {name} can't be written", _RIGHTS),
    sqlite3.SQLITE_PERM: ("the {name} can't be written", _RIGHTS),
    sqlite3.SQLITE_BUSY: ("another process has held the {name} for too long", "end it, or try again"),
}


def _prepare(connection: sqlite3.Connection, tables: Tables) -> None:
    """Make the tables, in a journal mode in which readers and a writer don't wait for each other."""
    until = time.monotonic() + BUSY_SECONDS
    while True:  # the change of mode doesn't wait by itself for others that open the file
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    connection.execute("BEGIN IMMEDIATE")
    for statement in tables.statements.replace("COUNTED", "INTEGER PRIMARY KEY AUTOINCREMENT").split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={tables.version}")
    connection.execute("COMMIT")
