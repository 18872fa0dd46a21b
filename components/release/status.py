"""How a version stands: what was last decided about it, in a word."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from components.release.releases import Action, Move, Releases

Word = Literal["champion", "was champion", "rolled back", "rejected", "failed", "held", "undecided", "deleted"]
BARRED: Final[dict[Action, Word]] = {"rollback": "rolled back", "reject": "rejected"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The word, and the decision behind it: when, and why."""

    word: Word
    at: float | None = None  # seconds since 1970; None where nothing was decided
    reason: str = ""


def status(releases: Releases, version: int, *, gone: Collection[int] = ()) -> Status:
    """Return how the version stands. Failed: it didn't answer as it should when it was to become champion.

    Deleted: it is among the versions `gone` from the registry.
    """
    champion = releases.champion()
    reigns = champion is not None and champion.version == version
    if version in gone:
        return Status(word="deleted", reason="in the registry" + (", while it was champion" if reigns else ""))
    moves = list(reversed(releases.moves()))
    if reigns:
        last = next(move for move in moves if move.moved)
        back = f"back in place of version {last.replaced}: " if last.action == "rollback" else ""
        return Status(word="champion", at=last.at, reason=f"{back}{last.reason}")
    if barred := releases.barred(version):
        if barred.state == "undone":
            return Status(word="failed", at=barred.at, reason=barred.objection)
        if barred.model != releases.model:
            return Status(word=BARRED[barred.action], at=barred.at, reason=barred.objection)
        return _told(BARRED[barred.action], barred)
    return _passed(moves, version)


def _passed(moves: list[Move], version: int) -> Status:
    """Return how a version stands that neither reigns nor is barred, by the moves from the latest on."""
    later: Move | None = None  # the next that moved the champion
    for move in moves:
        if move.moved and move.version == version and later:  # what it replaced may be another, where this one was lost
            return Status(word="was champion", at=later.at, reason=f"version {later.version} took its place")
        if move.action == "hold" and move.version == version:
            return _told("held", move)
        later = move if move.moved else later
    return Status(word="undecided")


def _told(word: Word, move: Move) -> Status:
    return Status(word=word, at=move.at, reason=move.reason)
