"""The ledger: what was done under which key, who is doing what now, and what was decided.

Rows in one database, SQLite here. Leases go by time and a random token, never by process or host; a worker that
lost its lease can't commit. Every write is one short transaction.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.errors import refuse
from components.planning.key import Json, Parts
from components.store.artifact import Stamp
from components.store.store import Stamps

BUSY_SECONDS = 60.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, stage TEXT, label TEXT, model TEXT, run TEXT, outputs TEXT, stamps TEXT, parts TEXT,
    seconds REAL, at REAL);
CREATE TABLE IF NOT EXISTS uses (model TEXT, label TEXT, key TEXT, at REAL, PRIMARY KEY (model, label, key));
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, token TEXT, expires REAL);
CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT);
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, model TEXT, flow_run TEXT, at REAL);
CREATE TABLE IF NOT EXISTS releases (
    model TEXT, version INTEGER, identity TEXT, content TEXT, at REAL, PRIMARY KEY (model, version));
CREATE TABLE IF NOT EXISTS moves (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT, action TEXT, version INTEGER, replaced INTEGER,
    state TEXT, actor TEXT, reason TEXT, basis TEXT, at REAL);
CREATE TABLE IF NOT EXISTS looks (
    test_split TEXT, challenger TEXT, model TEXT, at REAL, PRIMARY KEY (test_split, challenger));
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a stage left behind: its outputs as JSON, the stamps of their blobs, and what its key was made of."""

    key: str
    stage: str
    label: str
    model: str
    run: str
    outputs: Json
    stamps: Stamps
    parts: Parts
    seconds: float
    at: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do a named piece of work until it expires."""

    name: str
    token: str


class LeaseLost(Exception):  # noqa: N818 - what happened, not an error of ours
    """Another worker has taken the work over; this one's result is thrown away."""


class Ledger:
    """The ledger in a SQLite file, made when it is first opened. One instance may be used by several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a connection whose statements take effect together, or not at all. Raises Refusal where damaged."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Open a connection for one statement that changes nothing. It waits for no writer."""
        with self._readable_errors():
            self._make_folder()
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    _prepare(connection)
                yield connection
            finally:
                connection.close()  # rolls back what wasn't committed

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            text, do = _EXPLAINED.get(error.sqlite_errorcode & 0xFF, ("", ""))
            if not text:
                raise
            raise refuse(f"{text} ({error})", where=str(self.path), do=do) from error

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            do = "name another folder with STEELYARD_HOME, or mend its rights"
            raise refuse(f"can't be made: {error.strerror}", where=str(self.path.parent), do=do) from error

    # Records

    def record(self, key: str) -> Record | None:
        """Return what was recorded under the key."""
        with self._reading() as connection:
            row = connection.execute(_RECORD, (key,)).fetchone()
        return None if row is None else _record(row)

    def history(self, model: str, label: str, *, limit: int = 10) -> list[Record]:
        """Return the records that one stage of a model used, the latest use first."""
        with self._reading() as connection:
            return [_record(row) for row in connection.execute(_HISTORY, (model, label, limit))]

    def commit(self, lease: Lease, record: Record) -> None:
        """Write the record, if the lease is still held. Raises LeaseLost."""
        with self.transaction() as connection:
            row = connection.execute("SELECT token FROM leases WHERE name = ?", (lease.name,)).fetchone()
            if row is None or row[0] != lease.token:
                raise LeaseLost(lease.name)
            connection.execute("INSERT OR REPLACE INTO records VALUES (?,?,?,?,?,?,?,?,?,?)", _row(record))
            _use(connection, record.model, record.label, record.key)
            connection.execute("DELETE FROM leases WHERE name = ?", (lease.name,))

    def note_use(self, model: str, label: str, key: str) -> None:
        """Note that a stage of the model takes what is recorded under the key, perhaps by another model's run."""
        with self.transaction() as connection:
            _use(connection, model, label, key)

    def restamp(self, key: str, stamps: Stamps) -> None:
        """Keep the new stamps of outputs that were found to be what they were, so that they aren't hashed each time."""
        with self.transaction() as connection:
            connection.execute("UPDATE records SET stamps = ? WHERE key = ?", (_stamps_text(stamps), key))

    # Leases

    def acquire(self, name: str, *, seconds: float) -> Lease | None:
        """Take the lease, if nobody holds it or its time is over."""
        now, token = time.time(), uuid.uuid4().hex
        with self.transaction() as connection:
            row = connection.execute("SELECT expires FROM leases WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] > now:
                return None
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?,?,?)", (name, token, now + seconds))
        return Lease(name, token)

    def renew(self, lease: Lease, *, seconds: float) -> bool:
        """Hold the lease for so long from now. False: it was taken over, and can't be had back."""
        with self.transaction() as connection:
            update = "UPDATE leases SET expires = ? WHERE name = ? AND token = ?"
            return connection.execute(update, (time.time() + seconds, lease.name, lease.token)).rowcount == 1

    def holds(self, lease: Lease) -> bool:
        """Say whether nobody else has taken the lease."""
        with self._reading() as connection:
            row = connection.execute("SELECT token FROM leases WHERE name = ?", (lease.name,)).fetchone()
        return row is not None and row[0] == lease.token

    def release(self, lease: Lease) -> None:
        """Give the lease back. Does nothing where it was lost."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND token = ?", (lease.name, lease.token))

    # Digests of files, by their stamps

    def digest(self, path: str, stamp: Stamp) -> str | None:
        """Return the digest that the path had when it had this stamp."""
        with self._reading() as connection:
            row = connection.execute("SELECT stamp, digest FROM digests WHERE path = ?", (path,)).fetchone()
        return row[1] if row and row[0] == _stamp_text(stamp) else None

    def remember(self, path: str, stamp: Stamp, digest: str) -> None:
        """Keep the digest of the path, as of this stamp."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO digests VALUES (?,?,?)", (path, _stamp_text(stamp), digest))

    # Runs

    def end_run(self, run: str, *, model: str, flow_run: str) -> None:
        """Keep which Prefect flow run a finished run was."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?)", (run, model, flow_run, time.time()))

    def flow_run(self, run: str) -> str:
        """Return the Prefect flow run of a run, or an empty string where it isn't known."""
        with self._reading() as connection:
            row = connection.execute("SELECT flow_run FROM runs WHERE run = ?", (run,)).fetchone()
        return str(row[0]) if row else ""

    # Looks at a test split

    def look(self, test_split: str, *, challenger: str, model: str) -> int:
        """Count the challenger's look at the test split, once, and return how many had looked before."""
        with self.transaction() as connection:
            row = (test_split, challenger, model, time.time())
            connection.execute("INSERT OR IGNORE INTO looks VALUES (?,?,?,?)", row)
            count = "SELECT count(*) FROM looks WHERE test_split = ? AND challenger != ?"
            return int(connection.execute(count, (test_split, challenger)).fetchone()[0])


_RECORD = "SELECT key, stage, label, model, run, outputs, stamps, parts, seconds, at FROM records WHERE key = ?"
_HISTORY = """
    SELECT key, stage, records.label, records.model, run, outputs, stamps, parts, seconds, records.at
    FROM uses JOIN records USING (key) WHERE uses.model = ? AND uses.label = ? ORDER BY uses.at DESC LIMIT ?
"""
_MOVE_AWAY = "move the file away: models stay in the registry, and stages are computed again"
_EXPLAINED = {
    sqlite3.SQLITE_CORRUPT: ("the ledger is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_NOTADB: ("the ledger is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_FULL: ("no space left on the disk", "free some space; the next run goes on from here"),
    sqlite3.SQLITE_IOERR: ("the ledger can't be read or written", "look whether the disk is full, or failing"),
    sqlite3.SQLITE_CANTOPEN: ("the ledger can't be opened", "look at the rights of the file and its folder"),
    sqlite3.SQLITE_READONLY: ("the ledger can't be written", "look at the rights of the file and its folder"),
    sqlite3.SQLITE_PERM: ("the ledger can't be written", "look at the rights of the file and its folder"),
    sqlite3.SQLITE_BUSY: ("another process has held the ledger for too long", "end it, or try again"),
}


def _prepare(connection: sqlite3.Connection) -> None:
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
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("PRAGMA user_version=1")
    connection.execute("COMMIT")


def _use(connection: sqlite3.Connection, model: str, label: str, key: str) -> None:
    connection.execute("INSERT OR REPLACE INTO uses VALUES (?,?,?,?)", (model, label, key, time.time()))


def _stamp_text(stamp: Stamp) -> str:
    return f"{stamp.size_bytes} {stamp.changed}"


def _stamps_text(stamps: Stamps) -> str:
    return json.dumps({digest: [stamp.size_bytes, stamp.changed] for digest, stamp in stamps.items()})


def _row(record: Record) -> tuple[str | float, ...]:
    texts = (json.dumps(record.outputs), _stamps_text(record.stamps), json.dumps(record.parts))
    return (record.key, record.stage, record.label, record.model, record.run, *texts, record.seconds, record.at)


def _record(row: tuple[str, str, str, str, str, str, str, str, float, float]) -> Record:
    key, stage, label, model, run, outputs, stamps, parts, seconds, at = row
    return Record(
        key=key,
        stage=stage,
        label=label,
        model=model,
        run=run,
        outputs=json.loads(outputs),
        stamps={digest: Stamp(*stamp) for digest, stamp in json.loads(stamps).items()},
        parts=json.loads(parts),
        seconds=seconds,
        at=at,
    )
