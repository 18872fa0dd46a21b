"""The releases of a model and which of them is champion: the authority, beside which a registry's alias is a copy.

A move of the champion is compare-and-set on the version it replaces. It is written as `pending`, and becomes `done`
when the new champion has answered, `undone` where it answered wrongly, or `abandoned` where its mover died.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from components.database.database import Connection, Row, repeated
from components.errors import Refusal, refuse
from components.planning.held import held
from components.planning.ledger import Lease, Ledger
from components.release.files import ONNX
from components.store.artifact import Artifact
from components.task import Metric, Task

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Action = Literal["promote", "rollback", "reject", "hold"]
State = Literal["pending", "done", "undone", "abandoned"]
MOVE_SECONDS = 15.0  # lease of a move of the champion; it is renewed while the move goes on
OF_NOW = 0  # where versions of a lost registry are looked at: the one of now that they are compared with
FILES = "files"  # in a row's content, beside the fields of the release
LOST = " (its registry was lost, "  # between the name of a model that was set aside and the time of that
PATIENCE_SECONDS = 240.0  # for those who moved before


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A registered version, with what a later challenger is compared with."""

    model: str
    version: int
    run_id: str
    candidate: str
    runtime: str
    onnx: Artifact
    checkpoint: Artifact  # the PyTorch model that the file was made of, with its preparation
    provenance: str = ""  # digest of the end of its chain: kept here, it shows a chain that was written anew
    answered_by: str = ""  # digest of the code that answers its callers; older releases don't say
    registry: str | None = None  # where it is: a public address, "" the home's own; older releases don't say
    assignments: Artifact  # which rows it was trained on
    report: Artifact | None = None  # its page; older releases don't say
    task: Task
    target: str
    classes: tuple[str, ...]
    metric: Metric
    test: dict[Metric, float]
    latency_ms: dict[str, float]  # by batch size
    size_bytes: int
    at: float  # seconds since 1970

    def is_of(self, onnx: Artifact, *, answered_by: str) -> bool:
        """Say whether it holds that very file, and answers by that very code."""
        return self.onnx.digest == onnx.digest and self.answered_by == answered_by


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One entry of the audit log."""

    seq: int
    model: str
    action: Action
    version: int
    replaced: int | None
    state: State
    actor: str
    reason: str
    basis: str  # the judgement that it follows, or empty where a person decided
    at: float

    @property
    def moved(self) -> bool:
        """Whether it moved the champion."""
        return self.state == "done" and self.action in ("promote", "rollback")

    @property
    def accused(self) -> int | None:
        """The version that it says something against: that failed, was rejected, or rolled back."""
        if self.state == "undone" or self.action == "reject":
            return self.version
        return self.replaced if self.action == "rollback" else None

    @property
    def defendant(self) -> str:
        """The version that it says something against, in words: one of a lost registry is told from those of now."""
        lost = " of the registry that was lost" if LOST in self.model else ""
        return f"version {self.accused}{lost}"

    @property
    def objection(self) -> str:
        """What it says against that version. The reason of a move that was undone spoke for the version."""
        on = f" on {time.strftime('%Y-%m-%d', time.localtime(self.at))}" if LOST in self.model else ""
        if self.state == "undone":
            return f"{self.defendant} didn't answer as it should when it was to become champion{on}"
        word = "rolled back" if self.action == "rollback" else "rejected"
        said = self.reason.removeprefix(word) if self.reason.startswith(word) else f": {self.reason}"
        return f"{self.defendant} was {word}{on}{said}"


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases of one model in the ledger."""

    ledger: Ledger
    model: str

    @repeated
    def add(self, release: Release, *, files: Mapping[str, str] | None = None) -> None:
        """Keep a release that was just registered, with the SHA-256 of each file of its version, by its path there.

        They lie beside the release, not in it: a champion is an input of the gate, and its key would be another.

        Raises:
            Refusal: the version is known already, as that of another run or file.
        """
        content = json.dumps({**asdict(release), FILES: dict(files or {})})
        row = (self.model, release.version, release.onnx.digest, content, release.at)
        with self._alone() as connection:
            found = connection.execute(_FILES, (self.model, release.version)).fetchone()
            known = None if found is None else _release(found)
            if known is not None and (known.onnx.digest, known.run_id) != (release.onnx.digest, release.run_id):
                raise refuse(
                    f"the registry gave the number {release.version} twice: it is that of run {known.run_id} already",
                    where=f"{self.model} version {release.version}",
                    do="look whether an older registry was put back; then run again, which passes over known numbers",
                )
            connection.execute(_ADD, row)

    def files(self, version: int) -> dict[str, str]:
        """Return the SHA-256 of each file of a version as it was registered; older releases have none."""
        found = self.ledger.database.ask(_FILES, (self.model, version))
        return next((dict(json.loads(content).get(FILES, {})) for (content,) in found), {})

    def known_files(self, release: Release) -> dict[str, str]:
        """Return the same with the model's own file, of which the SHA-256 was always kept."""
        return {**self.files(release.version), ONNX: release.onnx.digest}

    def all(self) -> list[Release]:
        """Return every release, the newest first."""
        return list(map(_release, self.ledger.database.ask(_RELEASES, (self.model,))))

    def get(self, version: int) -> Release:
        """Return a release. Raises Refusal where there is none of that version."""
        found = {release.version: release for release in self.all()}
        if version not in found:
            allowed = ", ".join(map(str, sorted(found))) or "none yet"
            raise refuse(f"{self.model} has no version {version}", allowed=allowed, do="see `steelyard list`")
        return found[version]

    def check_registry(self, registry: str) -> None:
        """Refuse a registry that isn't the one in which the known versions are: their numbers mean others there."""
        others = [one.registry for one in self.all() if one.registry not in (None, registry)]
        if others:
            here, there = (place or "the home's own" for place in (registry, others[0]))
            what = f"the versions of {self.model} are in another registry of MLflow: {there}, not {here}"
            do = "set it back, use another home, or call the model by another name"
            raise refuse(what, where="mlflow_tracking_uri", do=do)

    def of(self, onnx: Artifact, *, answered_by: str) -> list[Release]:
        """Return the releases of that very file, by that very code, the newest first."""
        return [release for release in self.all() if release.is_of(onnx, answered_by=answered_by)]

    @repeated
    def set_aside(self) -> None:
        """Keep what is known of a model that its registry lost under another name: version numbers begin anew."""
        name = f"{self.model}{LOST}{time.strftime('%Y-%m-%d %H:%M:%S')})"
        with self._alone() as connection:
            connection.execute("UPDATE releases SET model = ? WHERE model = ?", (name, self.model))
            connection.execute("UPDATE moves SET model = ? WHERE model = ?", (name, self.model))

    def was_champion(self, version: int) -> bool:
        """Say whether the version has ever been champion."""
        return any(move.moved and move.version == version for move in self.moves())

    def moves(self) -> list[Move]:
        """Return the audit log, the oldest entry first."""
        return list(map(_move, self.ledger.database.ask(_MOVES, (self.model,))))

    def champion(self) -> Release | None:
        """Return the version that the alias should name."""
        return _champion(self.moves(), self.all())

    def opponent(self, challenger: Artifact, *, answered_by: str, gone: Collection[int] = ()) -> Release | None:
        """Return whom the challenger is judged against: the champion, or if it reigns itself, the one it replaced.

        So a run that changes nothing asks the gate the question that was answered already. A champion that is among
        the versions `gone` from the registry counts for nothing: the one that it replaced stands for it.
        """
        known, champion = {release.version: release for release in self.all()}, self.champion()
        gone = gone if champion is not None and champion.version in gone else ()

        def stands(one: Release) -> bool:
            return one.version not in gone and not one.is_of(challenger, answered_by=answered_by)

        one = champion
        for move in reversed(self.moves()):
            if one is None or stands(one):
                break
            if move.moved and move.action == "promote" and move.version == one.version:
                one = None if move.replaced is None else known.get(move.replaced)
        return one if one is not None and stands(one) else None

    def barred(self, version: int, *, back: bool = False) -> Move | None:
        """Return the move that forbids the version's promotion without force, or the way `back` to it, if one does.

        A rejection or a roll-back bars the file, and so every version of the same bytes, until one of them rises
        again, also where its registry was lost since. What was said of the code that answers bars only the versions of
        that file and code: wrong answers to the smoke test, and a roll-back to another version of the same file. That
        it was judged again and rejected, as where its recipe is run once more, bars no way back to an earlier champion.
        """
        file_is_good = False
        for known, number, move in self._past(version):
            if move.state not in ("done", "undone"):  # nothing was found out
                continue
            if back and move.action == "reject":
                continue
            accused = move.accused
            if accused is not None and (accused == number or _same_file(known, accused, number)):
                by_code = move.state == "undone" or _same_file(known, accused, move.version)
                if _same_code(known, accused, number) if by_code else not file_is_good:
                    return move
            if move.moved and (move.version == number or _same_file(known, move.version, number)):
                if number not in known or _same_code(known, move.version, number):
                    return None
                file_is_good = True
        return None

    def _past(self, version: int) -> Iterator[tuple[dict[int, Release], int, Move]]:
        """Yield the moves from the latest on, with the releases of their time and the version's number among these.

        Behind those of the registry of now come those of the registries that were lost, where the version has the
        number OF_NOW: none of them is that version, but some may be its file.
        """
        known = {release.version: release for release in self.all()}
        own = known.get(version)
        for move in reversed(self.moves()):
            yield known, version, move
        if own is None:
            return
        names = [str(name) for (name,) in self.ledger.database.ask(_NAMES)]
        for name in sorted((name for name in names if name.startswith(self.model + LOST)), reverse=True):
            lost = Releases(self.ledger, name)
            known = {OF_NOW: own, **{release.version: release for release in lost.all()}}
            for move in reversed(lost.moves()):
                yield known, OF_NOW, move

    @repeated
    def note(self, action: Literal["reject", "hold"], version: int, *, actor: str, reason: str, basis: str) -> None:
        """Write down a decision that moves nothing."""
        with self._alone() as connection:
            self._insert(connection, action, version, None, "done", actor, reason, basis)

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Hold the right to move the champion. Raises Refusal where another holds it for too long."""
        lease = self._wait_for_lease()
        try:
            with held(lease, self.ledger, seconds=MOVE_SECONDS):
                yield
        finally:
            self.ledger.release(lease)

    @repeated
    def begin(
        self,
        action: Literal["promote", "rollback"],
        version: int,
        *,
        expected: int | None,
        actor: str,
        reason: str,
        basis: str,
        instead_of: int | None = None,
    ) -> int:
        """Write a pending move, if the champion is the expected version, which is replaced. Call it within `moving`.

        Args:
            action: What kind of move it is.
            version: The version that is to be champion.
            expected: The version that it was compared with.
            actor: Who moves it.
            reason: Why.
            basis: The judgement that it follows.
            instead_of: The recorded champion, where that is lost, or the same file: it isn't the expected one then.

        Raises:
            Refusal: the champion is another one.
        """
        with self._alone() as connection:
            moves = list(map(_move, connection.execute(_MOVES, (self.model,)).fetchall()))
            releases = list(map(_release, connection.execute(_RELEASES, (self.model,)).fetchall()))
            champion = _champion(moves, releases)
            actual = None if champion is None else champion.version
            wanted = expected if instead_of is None else instead_of
            if actual != wanted:
                raise refuse(
                    f"the champion of {self.model} is version {actual or 'none'}, not {wanted or 'none'} as expected",
                    do="look at it with `steelyard show`, and decide again",
                )
            if any(move.state == "pending" for move in moves):
                raise refuse(f"the champion of {self.model} is being moved by someone else", do="try again in a minute")
            return self._insert(connection, action, version, expected, "pending", actor, reason, basis)

    def still(self, seq: int) -> None:
        """Raise Refusal if the move isn't pending any more: another process took this one for dead."""
        if all(move.seq != seq for move in self.unfinished()):
            raise self._taken_over()

    @repeated
    def end(self, seq: int, state: Literal["done", "undone", "abandoned"]) -> None:
        """Say how a pending move ended.

        Raises:
            Refusal: it has ended already, by another process that took this one for dead.
        """
        with self._alone() as connection:
            connection.execute("UPDATE moves SET state = ? WHERE seq = ? AND state = 'pending'", (state, seq))
            now = connection.execute("SELECT state FROM moves WHERE seq = ?", (seq,)).fetchone()
        if now is None or now[0] != state:
            raise self._taken_over()

    def _taken_over(self) -> Refusal:
        return refuse(
            f"this move of {self.model}'s champion took too long: another process took over",
            do="look at it with `steelyard show`, and decide again",
        )

    def unfinished(self) -> list[Move]:
        """Return moves whose mover died: inside `moving`, any that are still pending."""
        return [move for move in self.moves() if move.state == "pending"]

    def _alone(self) -> AbstractContextManager[Connection]:
        """Open a transaction beside which none other decides about the model's champion."""
        return self.ledger.transaction(alone=f"champion of {self.model}")

    def _insert(
        self,
        connection: Connection,
        action: Action,
        version: int,
        replaced: int | None,
        state: State,
        actor: str,
        reason: str,
        basis: str,
    ) -> int:
        row = (self.model, action, version, replaced, state, actor, reason, basis)
        return int(connection.execute(_INSERT, row).fetchone()[0])

    def _wait_for_lease(self) -> Lease:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if lease := self.ledger.acquire(f"promotion {self.model}", seconds=MOVE_SECONDS):
                return lease
            time.sleep(0.2)
        raise refuse(f"the champion of {self.model} is being moved by someone else", do="try again in a minute")


_ADD = """
    INSERT INTO releases VALUES (?,?,?,?,?) ON CONFLICT (model, version) DO UPDATE SET
    identity = excluded.identity, content = excluded.content, at = excluded.at
"""
_RELEASES = "SELECT content FROM releases WHERE model = ? ORDER BY version DESC"
_FILES = "SELECT content FROM releases WHERE model = ? AND version = ?"
_NAMES = "SELECT DISTINCT model FROM moves"
_MOVES = """
    SELECT seq, model, action, version, replaced, state, actor, reason, basis, at FROM moves
    WHERE model = ? ORDER BY seq
"""
_INSERT = """
    INSERT INTO moves (model, action, version, replaced, state, actor, reason, basis, at)
    VALUES (?,?,?,?,?,?,?,?,clock()) RETURNING seq
"""


def _same_file(known: dict[int, Release], one: int | None, other: int | None) -> bool:
    """Say whether two different versions hold the same file."""
    files = [known[number].onnx.digest for number in (one, other) if number in known]
    return one != other and len(files) == 2 and files[0] == files[1]


def _same_code(known: dict[int, Release], one: int | None, other: int | None) -> bool:
    codes = [known[number].answered_by for number in (one, other) if number in known]
    return one == other or (len(codes) == 2 and codes[0] == codes[1])


def _champion(moves: list[Move], releases: list[Release]) -> Release | None:
    done = [move for move in moves if move.moved]
    if not done:
        return None
    return next((release for release in releases if release.version == done[-1].version), None)


def _release(row: Row) -> Release:
    return _adapter().validate_python(json.loads(row[0]))


@cache
def _adapter() -> "TypeAdapter[Release]":
    from pydantic import TypeAdapter

    return TypeAdapter(Release)


def _move(row: Row) -> Move:
    seq, model, action, version, replaced, state, actor, reason, basis, at = row
    return Move(
        seq=seq,
        model=model,
        action=action,
        version=version,
        replaced=replaced,
        state=state,
        actor=actor,
        reason=reason,
        basis=basis,
        at=at,
    )
