"""Let the release become champion, if the gate said yes; and move the champion for a person who decides."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.errors import Refusal, refuse
from components.planning.held import REAP, Taken, living
from components.release.releases import MOVE_SECONDS, Move, Release, Releases
from tasks.gate import Judged
from tasks.register import Registered
from tasks.smoke import check_answers
from tasks.stage import Workspace, Yard, stage

if TYPE_CHECKING:
    from tasks.tracking.connecting import Client

ACTOR = "steelyard run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Promoted:
    """What was decided about the version."""

    promoted: bool  # it is champion now, and the gate says yes to it
    version: int
    champion: int | None
    reason: str
    barred: bool = False  # by hand it is promoted only with force


def decided(yard: Yard, *, registered: Registered, judged: Judged) -> Promoted | None:
    """Return what was decided about the version on this judgement, if it was."""
    releases = Releases(yard.ledger, registered.model)
    moves = releases.moves()
    past = [move for move in moves if move.version == registered.version and move.basis == judged.basis]
    champion = releases.champion()
    reigns = champion is not None and champion.version == registered.version
    barred = None if reigns else releases.barred(registered.version)  # what bars a champion only counts once it fell
    if barred and not past and judged.judgement.decision == "yes":  # as another version: nothing is to be noted
        return _outcome(releases, registered, judged, _barring(barred, registered))
    if not past or past[-1].state in ("pending", "abandoned"):
        return None
    moved_since = any(move.moved and move.seq > past[-1].seq for move in moves)
    if judged.judgement.decision == "yes" and not reigns and not barred and moved_since:
        return None  # it lost its place to others since, and has won it again
    reason = _barring(barred, registered) if barred else _worded(past[-1], judged)
    return _outcome(releases, registered, judged, reason + _changed_elsewhere(yard, champion))


def _worded(move: Move, judged: Judged) -> str:
    """Return why, by the judgement of now: that of then may have gone by another margin, to the same decision."""
    now = judged.judgement.reason
    return move.reason if move.reason.startswith(now) else now


def _barring(move: Move, registered: Registered) -> str:
    if (move.model, move.accused) == (registered.model, registered.version):
        return move.objection
    return f"version {registered.version} is the same file as {move.defendant}, and {move.objection}"


@stage(settled=decided)
def promote(here: Workspace, *, registered: Registered, judged: Judged) -> Promoted:
    """Follow the gate: move the alias, hold the version back, or reject it."""
    releases = Releases(here.yard.ledger, registered.model)
    judgement, version = judged.judgement, registered.version
    if judgement.decision == "yes":
        forced = "promote" in here.yard.force
        former, why = _replaceable(here.yard, releases, version)
        reason = judgement.reason + why
        try:
            move_champion(
                releases,
                version,
                "promote",
                expected=judged.champion,  # the one that it was compared with
                instead_of=former,
                actor=ACTOR,
                reason=reason,
                basis=judged.basis,
                force=forced,
            )
        except Refusal as refusal:
            return _outcome(releases, registered, judged, refusal.problems[0].what)
        return _outcome(releases, registered, judged, reason)
    action: Literal["reject", "hold"] = "reject" if judgement.decision == "no" else "hold"
    releases.note(action, version, actor=ACTOR, reason=judgement.reason, basis=judged.basis)
    reason = judgement.reason + _changed_elsewhere(here.yard, releases.champion())
    return _outcome(releases, registered, judged, reason)


def _replaceable(yard: Yard, releases: Releases, version: int) -> tuple[int | None, str]:
    """Return the recorded champion whose place the version takes whomever it was compared with, and why it may."""
    from tasks.registry import known_versions

    champion, own = releases.champion(), releases.get(version)
    if champion is None or champion.version == version:
        return None, ""
    if champion.version not in known_versions(yard.home, yard.model, uri=yard.registry_uri):
        return champion.version, f" ({_lost(champion)})"
    if champion.is_of(own.onnx, answered_by=own.answered_by):  # as when the files of that version are gone
        return champion.version, f" (in place of version {champion.version}, which was the same file)"
    return None, ""


def _lost(champion: Release) -> str:
    return f"the registry no longer has version {champion.version}, the champion until now"


def _outcome(releases: Releases, registered: Registered, judged: Judged, reason: str) -> Promoted:
    """Return how the version stands. A champion that the gate would not let pass today isn't called promoted."""
    champion, version = releases.champion(), registered.version
    reigns = champion is not None and champion.version == version
    if reigns and judged.judgement.decision != "yes":
        reason = f"version {version} is champion from before, and would not be let pass today. {reason}"
    return Promoted(
        promoted=reigns and judged.judgement.decision == "yes",
        version=version,
        champion=None if champion is None else champion.version,
        reason=reason,
        barred=not reigns and releases.barred(version) is not None,
    )


def move_champion(
    releases: Releases,
    version: int,
    action: Literal["promote", "rollback"],
    *,
    expected: int | None,
    actor: str,
    reason: str,
    basis: str = "",
    instead_of: int | None = None,
    force: bool = False,
) -> None:
    """Move the alias to the version, ask the new champion the rows that it was registered with, else move it back.

    `expected` is whom it replaces. `instead_of` is the recorded champion, where that is another one that is lost.

    Raises:
        Refusal: the version was rejected or rolled back before, the champion isn't the expected one, or the new
            champion doesn't answer as it should; the champion is then the old one again.
    """
    from tasks.registry import Gone, set_alias, versions
    from tasks.tracking.connecting import client_here

    client = client_here()
    target = releases.get(version)
    if version not in versions(client, releases.model):
        raise refuse(f"the registry no longer has version {version} of {releases.model}", do="name another one")
    with releases.moving(), ExitStack() as alone:
        _recover(releases, client)
        _check_alias(releases, client, force=force)
        if action == "rollback" and not releases.was_champion(version):
            raise refuse(f"version {version} of {releases.model} was never champion", do="use `steelyard promote`")
        barred = releases.barred(version, back=action == "rollback")
        if barred and not force:
            raise refuse(
                f"version {version} of {releases.model} is barred: {barred.objection}",
                do="promote it with --force if you know better",
            )
        if barred:
            alone.enter_context(_not_reaped(releases))
        seq = releases.begin(
            action, version, expected=expected, instead_of=instead_of, actor=actor, reason=reason, basis=basis
        )
        try:
            releases.still(seq)
            set_alias(client, releases.model, version)
            with tempfile.TemporaryDirectory() as folder:
                check_answers(target, "champion", into=Path(folder), files=releases.known_files(target))
        except BaseException as error:
            # The alias first: where the registry can't be reached the move stays pending, and the next one undoes it.
            before = _restore_alias(releases, client)
            # Only wrong bytes or answers say something of the version; lost files, a full disk or Ctrl-C don't.
            wrong = isinstance(error, Refusal) and not isinstance(error, Gone)
            _end(releases, client, seq, "undone" if wrong else "abandoned")
            if isinstance(error, Refusal) and wrong:
                raise refuse(
                    f"version {version} of {releases.model} failed its smoke test: {error.problems[0].what}",
                    do=f"the champion is {f'version {before}' if before else 'none'}, as before",
                ) from error
            raise
        _end(releases, client, seq, "done")


@contextmanager
def _not_reaped(releases: Releases) -> Iterator[None]:
    """Keep `reap` from removing what a barred version is made of: it may by now have found it removable."""
    try:
        with living(REAP, releases.ledger, seconds=MOVE_SECONDS):
            yield
    except Taken:
        what = "`reap` is at work, and may be removing what this version is made of"
        raise refuse(what, where=releases.ledger.database.name, do="promote it when that has ended") from None


def _end(releases: Releases, client: "Client", seq: int, state: Literal["done", "undone", "abandoned"]) -> None:
    """Say how the move ended. Where another process has taken it over, the alias is put where the record has it."""
    try:
        releases.end(seq, state)
    except Refusal:
        _restore_alias(releases, client)
        raise


def whoever() -> str:
    """Return who asks, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"user {os.getuid()}"


def _recover(releases: Releases, client: "Client") -> None:
    """Undo moves whose mover died before it knew how they ended."""
    pending: list[Move] = releases.unfinished()
    for move in pending:
        releases.end(move.seq, "abandoned")
    if pending:
        _restore_alias(releases, client)


def _check_alias(releases: Releases, client: "Client", *, force: bool) -> None:
    """Refuse to overwrite an alias that was moved elsewhere, or that this record knows nothing of."""
    from tasks.registry import alias

    champion, actual = releases.champion(), alias(client, releases.model)
    recorded = None if champion is None else champion.version
    if actual not in (recorded, None) and not force:
        raise refuse(
            f"the registry's champion is version {actual}, the record's {recorded or 'none'}: it was changed elsewhere",
            do=f"look at both, then `steelyard promote {releases.model} VERSION --force`",
        )


def _restore_alias(releases: Releases, client: "Client") -> int | None:
    """Have the alias name the recorded champion, or nothing where the registry has lost it; return what it names."""
    from tasks.registry import set_alias, versions

    champion = releases.champion()
    there = champion is not None and champion.version in versions(client, releases.model)
    version = champion.version if champion is not None and there else None
    set_alias(client, releases.model, version)
    return version


def _changed_elsewhere(yard: Yard, champion: Release | None) -> str:
    from tasks.registry import known_versions, named_champion

    actual = named_champion(yard.home, yard.model, uri=yard.registry_uri)
    recorded = None if champion is None else champion.version
    if actual == recorded:
        return ""
    if champion and champion.version not in known_versions(yard.home, yard.model, uri=yard.registry_uri):
        return f" ({_lost(champion)})"
    return (
        f" (the registry's alias names version {actual or 'none'}, the record {recorded or 'none'}: changed elsewhere)"
    )
