"""The ledger: what was done under which key, who is doing what now, and what was decided.

Rows in one database, at home or on a server. Leases go by the database's time and a random token, never by process or
host; a worker that lost its lease can't commit. Every write is one short transaction.
"""

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

from components.database.database import Connection, Database, Row, Tables, Value, repeated
from components.database.opening import database_at
from components.planning.key import Json, Parts
from components.store.artifact import Artifact, Stamp
from components.store.store import Stamps

TABLES = Tables(
    name="ledger",
    version=4,
    statements="""
CREATE TABLE IF NOT EXISTS records (
    key TEXT PRIMARY KEY, stage TEXT, label TEXT, model TEXT, run TEXT, outputs TEXT, stamps TEXT, parts TEXT,
    seconds DOUBLE PRECISION, at DOUBLE PRECISION);
CREATE TABLE IF NOT EXISTS uses (
    model TEXT, label TEXT, key TEXT, at DOUBLE PRECISION, PRIMARY KEY (model, label, key));
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, token TEXT, expires DOUBLE PRECISION);
CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT);
CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, model TEXT, flow_run TEXT, at DOUBLE PRECISION);
CREATE TABLE IF NOT EXISTS releases (
    model TEXT, version INTEGER, identity TEXT, content TEXT, at DOUBLE PRECISION, PRIMARY KEY (model, version));
CREATE TABLE IF NOT EXISTS moves (
    seq COUNTED, model TEXT, action TEXT, version INTEGER, replaced INTEGER,
    state TEXT, actor TEXT, reason TEXT, basis TEXT, at DOUBLE PRECISION);
CREATE TABLE IF NOT EXISTS decisions (
    test_rows TEXT, challenger TEXT, model TEXT, at DOUBLE PRECISION, PRIMARY KEY (test_rows, challenger));
CREATE TABLE IF NOT EXISTS checkpoints (key TEXT PRIMARY KEY, folder TEXT, at DOUBLE PRECISION);
CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY, id TEXT);
""",
)


logger = logging.getLogger(__name__)
NEVER: Final = 1e15  # seconds since 1970
LATE_SECONDS: Final = 300.0  # for a database to restart, and for those who live to renew their leases


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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a stage that isn't done can go on from, on any machine."""

    folder: Artifact
    at: float  # seconds since 1970, by the machine that wrote it


class LeaseLost(Exception):
    """Another worker has taken the work over; this one's result is thrown away."""


class Ledger:
    """The ledger in a database. One instance may be used by several threads."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def transaction(self, *, alone: str = "") -> AbstractContextManager[Connection]:
        """Open a connection whose statements take effect together, or not at all: see `Database`."""
        return self.database.transaction(alone=alone)

    # Records

    def record(self, key: str) -> Record | None:
        """Return what was recorded under the key."""
        return next(map(_record, self.database.ask(_RECORD, (key,))), None)

    def history(self, model: str, label: str, *, limit: int = 10) -> list[Record]:
        """Return the records that one stage of a model used, the latest use first."""
        return list(map(_record, self.database.ask(_HISTORY, (model, label, limit))))

    @repeated
    def commit(self, lease: Lease, record: Record, *, model: str | None = None) -> None:
        """Write the record, if the lease is still held, and give that back. `model` uses it; None: the record's own.

        Raises:
            LeaseLost: it isn't held.
        """
        with self.transaction() as connection:
            if connection.execute(_GIVE_BACK, (lease.name, lease.token)).rowcount == 0:  # first: it locks the lease
                raise LeaseLost(lease.name)
            connection.execute(_WRITE, _row(record))
            connection.execute(_USE, (model or record.model, record.label, record.key))

    def note_use(self, model: str, label: str, key: str) -> bool:
        """Note that a stage of the model takes what is recorded under the key, perhaps by another model's run.

        What was noted stays recorded until `components.reap` finds that use old. False: nothing is recorded.
        """
        return self.note_uses(model, [(label, key)])

    @repeated
    def note_uses(self, model: str, uses: Iterable[tuple[str, str]]) -> bool:
        """Note several uses, each a label and a key, at once. False: one of them isn't recorded."""
        with self.transaction() as connection:
            for label, key in sorted(uses, key=itemgetter(1)):
                if connection.execute(LOCK_RECORD, (key,)).rowcount == 0:  # first: who deletes it waits, or has done it
                    return False
                connection.execute(_USE, (model, label, key))
        return True

    def restamp(self, key: str, stamps: Stamps) -> None:
        """Keep the new stamps of outputs that were found to be what they were, so that they aren't hashed each time."""
        self.database.change("UPDATE records SET stamps = ? WHERE key = ?", (_stamps_text(stamps), key))

    # Leases

    def acquire(self, name: str, *, seconds: float, over_by: float = NEVER) -> Lease | None:
        """Take the lease, if nobody holds it or its time is over.

        After `over_by`, by the database's time, one that ran out isn't taken over: while the database was away nobody
        could renew any.
        """
        lease = Lease(name, uuid.uuid4().hex)
        return lease if self.database.change(_TAKE, (name, lease.token, seconds, over_by)) else None

    def renew(self, lease: Lease, *, seconds: float) -> bool:
        """Hold the lease for so long from now. False: it was taken over, and can't be had back."""
        renewal = "UPDATE leases SET expires = clock() + ? WHERE name = ? AND token = ?"
        return self.database.change(renewal, (seconds, lease.name, lease.token)) == 1

    def holds(self, lease: Lease) -> bool:
        """Say whether nobody else has taken the lease."""
        return bool(self.database.ask("SELECT 1 FROM leases WHERE name = ? AND token = ?", (lease.name, lease.token)))

    def is_taken(self, name: str) -> bool:
        """Say whether somebody holds the lease, and its time isn't over."""
        return bool(self.database.ask("SELECT 1 FROM leases WHERE name = ? AND expires > clock()", (name,)))

    def taken(self, beginning: str) -> set[str]:
        """Return the names of the leases that somebody may hold, of those that begin so, without that beginning.

        One that ran out of late counts: while the database was away nobody could renew any. One given back is no row.
        """
        held = self.database.ask("SELECT name FROM leases WHERE expires > clock() - ?", (LATE_SECONDS,))
        return {name.removeprefix(beginning) for (name,) in held if name.startswith(beginning)}

    def release(self, lease: Lease) -> None:
        """Give the lease back. Does nothing where it was lost."""
        self.database.change(_GIVE_BACK, (lease.name, lease.token))

    def forget_leases(self, *, seconds: float) -> None:
        """Forget the leases that ran out so long ago: whoever held them was killed, and nobody wanted them since."""
        self.database.change("DELETE FROM leases WHERE expires < clock() - ?", (seconds,))

    # Checkpoints of stages that are at work, or were killed

    def keep_checkpoint(self, lease: Lease, key: str, folder: Artifact) -> bool:
        """Keep what the stage of this key can go on from, in place of what was kept. False: the lease is lost."""
        values = (key, json.dumps(asdict(folder)), lease.name, lease.token)
        return self.database.change(_KEEP_CHECKPOINT, values) == 1

    def checkpoint(self, key: str) -> Checkpoint | None:
        """Return what the stage of this key can go on from."""
        found = self.database.ask("SELECT folder, at FROM checkpoints WHERE key = ?", (key,))
        return next((Checkpoint(Artifact(**json.loads(folder)), at) for folder, at in found), None)

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Return all of them, by key."""
        found = self.database.ask("SELECT key, folder, at FROM checkpoints")
        return {key: Checkpoint(Artifact(**json.loads(folder)), at) for key, folder, at in found}

    def drop_checkpoint(self, key: str) -> None:
        """Forget it."""
        self.database.change("DELETE FROM checkpoints WHERE key = ?", (key,))

    # Digests of files, by their stamps

    def digest(self, path: str, stamp: Stamp) -> str | None:
        """Return the digest that the path had when it had this stamp."""
        found = self.database.ask("SELECT digest FROM digests WHERE path = ? AND stamp = ?", (path, _stamp_text(stamp)))
        return found[0][0] if found else None

    def remember(self, path: str, stamp: Stamp, digest: str) -> None:
        """Keep the digest of the path, as of this stamp."""
        self.database.change(_REMEMBER, (path, _stamp_text(stamp), digest))

    # Runs

    def end_run(self, run: str, *, model: str, flow_run: str) -> None:
        """Keep which Prefect flow run a finished run was."""
        self.database.change(_END_RUN, (run, model, flow_run))

    def flow_run(self, run: str) -> str:
        """Return the Prefect flow run of a run, or an empty string where it isn't known."""
        found = self.database.ask("SELECT flow_run FROM runs WHERE run = ?", (run,))
        return str(found[0][0]) if found else ""

    # Itself

    def identity(self) -> str:
        """Return what tells this ledger from all others, wherever it is moved to."""
        if not (found := self.database.ask(_IDENTITY)):
            self.database.change("INSERT INTO identity VALUES (1, ?) ON CONFLICT DO NOTHING", (uuid.uuid4().hex,))
            found = self.database.ask(_IDENTITY)
        return str(found[0][0])

    def now(self) -> float:
        """Return the database's time, by which leases and uses go."""
        return float(self.database.ask("SELECT clock()")[0][0])

    # Decisions on test rows

    @repeated
    def decide_by(self, test_rows: Sequence[int], *, challenger: str, model: str) -> list[tuple[int, ...]]:
        """Keep that these test rows decide on the challenger, once, and return those that decided on others before."""
        with self.transaction(alone="decisions") as connection:
            connection.execute(_DECIDE, (json.dumps(test_rows), challenger, model))
            return [
                tuple(json.loads(rows)) for (rows,) in connection.execute(_OTHER_DECISIONS, (challenger,)).fetchall()
            ]


def ledger_at(address: Path | str, *, say: Callable[[str], object] = logger.warning, origin: str = "") -> Ledger:
    """Return the ledger at a path, or in a PostgreSQL database by its address. Raises Refusal where it isn't one.

    `say` hears of a server that is waited for; `origin` is where the address was read, for refusals.
    """
    return Ledger(database_at(address, TABLES, say=say, origin=origin))


_RECORD = "SELECT key, stage, label, model, run, outputs, stamps, parts, seconds, at FROM records WHERE key = ?"
_HISTORY = """
    SELECT key, stage, records.label, records.model, run, outputs, stamps, parts, seconds, records.at
    FROM uses JOIN records USING (key) WHERE uses.model = ? AND uses.label = ? ORDER BY uses.at DESC LIMIT ?
"""
# A statement that changes nothing but takes the row, for the rest of the transaction.
LOCK_RECORD = "UPDATE records SET at = at WHERE key = ?"
_IDENTITY = "SELECT id FROM identity WHERE one = 1"
_WRITE = """
    INSERT INTO records VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET
    stage = excluded.stage, label = excluded.label, model = excluded.model, run = excluded.run,
    outputs = excluded.outputs, stamps = excluded.stamps, parts = excluded.parts, seconds = excluded.seconds,
    at = excluded.at
"""
_USE = """
    INSERT INTO uses VALUES (?,?,?,clock()) ON CONFLICT (model, label, key) DO UPDATE SET at = excluded.at
"""
_TAKE = """
    INSERT INTO leases VALUES (?, ?, clock() + ?) ON CONFLICT (name) DO UPDATE SET
    token = excluded.token, expires = excluded.expires WHERE leases.expires <= clock() AND clock() <= ?
"""
_GIVE_BACK = "DELETE FROM leases WHERE name = ? AND token = ?"
_KEEP_CHECKPOINT = """
    INSERT INTO checkpoints SELECT ?, ?, clock() FROM leases WHERE name = ? AND token = ?
    ON CONFLICT (key) DO UPDATE SET folder = excluded.folder, at = excluded.at
"""
_REMEMBER = """
    INSERT INTO digests VALUES (?,?,?) ON CONFLICT (path) DO UPDATE SET stamp = excluded.stamp, digest = excluded.digest
"""
_END_RUN = """
    INSERT INTO runs VALUES (?,?,?,clock()) ON CONFLICT (run) DO UPDATE SET
    model = excluded.model, flow_run = excluded.flow_run, at = excluded.at
"""
_DECIDE = "INSERT INTO decisions VALUES (?,?,?,clock()) ON CONFLICT (test_rows, challenger) DO NOTHING"
_OTHER_DECISIONS = "SELECT test_rows FROM decisions WHERE challenger != ?"


def _stamp_text(stamp: Stamp) -> str:
    return f"{stamp.size_bytes} {stamp.changed}"


def _stamps_text(stamps: Stamps) -> str:
    return json.dumps({digest: [stamp.size_bytes, stamp.changed] for digest, stamp in stamps.items()})


def _row(record: Record) -> Sequence[Value]:
    texts = (json.dumps(record.outputs), _stamps_text(record.stamps), json.dumps(record.parts))
    return (record.key, record.stage, record.label, record.model, record.run, *texts, record.seconds, record.at)


def _record(row: Row) -> Record:
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
