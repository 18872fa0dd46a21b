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

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, stage TEXT, label TEXT, model TEXT, run TEXT, outputs TEXT, stamps TEXT, parts TEXT,
    seconds REAL, at REAL);
CREATE INDEX IF NOT EXISTS records_by_label ON records (model, label, at);
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, token TEXT, expires REAL);
CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT);
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, model TEXT, at REAL, keys TEXT, summary TEXT);
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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        try:
            if is_new:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("BEGIN IMMEDIATE")
            if is_new or connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute("PRAGMA user_version=1")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError):
                raise
            raise refuse(
                f"the ledger is damaged ({error})",
                where=str(self.path),
                do="move the file away: models stay in the registry, and stages are computed again",
            ) from error
        finally:
            connection.close()  # rolls back what wasn't committed

    # Records

    def record(self, key: str) -> Record | None:
        """Return what was recorded under the key."""
        with self.transaction() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM records WHERE key = ?", (key,)).fetchone()
        return None if row is None else _record(row)

    def history(self, model: str, label: str, *, limit: int = 10) -> list[Record]:
        """Return the latest records of one stage of a model, the newest first."""
        query = f"SELECT {_COLUMNS} FROM records WHERE model = ? AND label = ? ORDER BY at DESC LIMIT ?"
        with self.transaction() as connection:
            return [_record(row) for row in connection.execute(query, (model, label, limit))]

    def commit(self, lease: Lease, record: Record) -> None:
        """Write the record, if the lease is still held. Raises LeaseLost."""
        with self.transaction() as connection:
            row = connection.execute("SELECT token FROM leases WHERE name = ?", (lease.name,)).fetchone()
            if row is None or row[0] != lease.token:
                raise LeaseLost(lease.name)
            connection.execute(f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", _row(record))
            connection.execute("DELETE FROM leases WHERE name = ?", (lease.name,))

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

    def release(self, lease: Lease) -> None:
        """Give the lease back. Does nothing where it was lost."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND token = ?", (lease.name, lease.token))

    # Digests of files, by their stamps

    def digest(self, path: str, stamp: Stamp) -> str | None:
        """Return the digest that the path had when it had this stamp."""
        with self.transaction() as connection:
            row = connection.execute("SELECT stamp, digest FROM digests WHERE path = ?", (path,)).fetchone()
        return row[1] if row and row[0] == _stamp_text(stamp) else None

    def remember(self, path: str, stamp: Stamp, digest: str) -> None:
        """Keep the digest of the path, as of this stamp."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO digests VALUES (?,?,?)", (path, _stamp_text(stamp), digest))

    # Runs

    def end_run(self, run: str, *, model: str, keys: list[str], summary: Json) -> None:
        """Keep what a finished run said of itself, for the next one that has nothing to do."""
        with self.transaction() as connection:
            row = (run, model, time.time(), json.dumps(keys), json.dumps(summary))
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?)", row)

    def last_summary(self, model: str, keys: list[str]) -> Json:
        """Return the summary of the latest run whose stages had exactly these keys, or None."""
        query = "SELECT summary FROM runs WHERE model = ? AND keys = ? ORDER BY at DESC LIMIT 1"
        with self.transaction() as connection:
            row = connection.execute(query, (model, json.dumps(keys))).fetchone()
        return json.loads(row[0]) if row else None

    # Looks at a test split

    def look(self, test_split: str, *, challenger: str, model: str) -> int:
        """Count the challenger's look at the test split, once, and return how many had looked before."""
        with self.transaction() as connection:
            row = (test_split, challenger, model, time.time())
            connection.execute("INSERT OR IGNORE INTO looks VALUES (?,?,?,?)", row)
            count = "SELECT count(*) FROM looks WHERE test_split = ? AND challenger != ?"
            return int(connection.execute(count, (test_split, challenger)).fetchone()[0])


_COLUMNS = "key, stage, label, model, run, outputs, stamps, parts, seconds, at"


def _stamp_text(stamp: Stamp) -> str:
    return f"{stamp.size_bytes} {stamp.changed}"


def _row(record: Record) -> tuple[str | float, ...]:
    stamps = {digest: [stamp.size_bytes, stamp.changed] for digest, stamp in record.stamps.items()}
    texts = (json.dumps(record.outputs), json.dumps(stamps), json.dumps(record.parts))
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
