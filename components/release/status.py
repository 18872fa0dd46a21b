"""How a version stands: what was last decided about it, in a word."""

from dataclasses import dataclass
from typing import Final, Literal

from components.release.releases import Action, Move, Releases

Word = Literal["champion", "was champion", "rolled back", "rejected", "failed", "held", "undecided"]
BARRED: Final[dict[Action, Word]] = {"rollback": "rolled back", "reject": "rejected"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The word, and the decision behind it: when, and why."""

    word: Word
    at: float | None = None  # seconds since 1970; None where nothing was decided
    reason: str = ""


def status(releases: Releases, version: int) -> Status:
    """Return how the version stands. Failed: it didn't answer as it should when it was to become champion."""
    champion, moves = releases.champion(), list(reversed(releases.moves()))
    if champion is not None and champion.version == version:
        last = next(move for move in moves if move.moved)
        back = f"back in place of version {last.replaced}: " if last.action == "rollback" else ""
        return Status(word="champion", at=last.at, reason=f"{back}{last.reason}")
    if barred := releases.barred(version):
        if barred.state == "undone":
            return Status(word="failed", at=barred.at, reason=barred.objection)
        return _told(BARRED[barred.action], barred)
    for move in moves:
        if move.moved and move.replaced == version:
            return Status(word="was champion", at=move.at, reason=f"version {move.version} took its place")
        if move.action == "hold" and move.version == version:
            return _told("held", move)
    return Status(word="undecided")


def _told(word: Word, move: Move) -> Status:
    return Status(word=word, at=move.at, reason=move.reason)
