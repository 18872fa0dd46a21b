"""How a version stands, in a word."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.planning.ledger import ledger_at
from components.release.releases import Action, Releases
from components.release.status import Status, status
from tests.components.release.test_releases import release


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    found = Releases(ledger_at(tmp_path / "ledger.db"), "digits")
    for version in (1, 2, 3):
        found.add(release(version))
    return found


def move(releases: Releases, action: Action, version: int, *, end: str = "done") -> None:
    champion = releases.champion()
    expected = None if champion is None else champion.version
    seq = releases.begin(action, version, expected=expected, actor="me", reason=f"{action} {version}", basis="")  # type: ignore[arg-type]
    releases.end(seq, end)  # type: ignore[arg-type]


def words(releases: Releases) -> list[str]:
    return [status(releases, version).word for version in (1, 2, 3)]


def test_a_version_nobody_decided_about_is_undecided(releases: Releases) -> None:
    assert status(releases, 1) == Status(word="undecided")


def test_a_champion_that_was_replaced_was_champion(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    assert words(releases) == ["was champion", "champion", "undecided"]
    assert status(releases, 2).reason == "promote 2"
    assert status(releases, 1).reason == "version 2 took its place"
    assert status(releases, 1).at == releases.moves()[-1].at


def test_a_version_that_the_registry_has_lost_is_deleted_however_it_stood(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    assert status(releases, 1, gone={1}) == Status(word="deleted", reason="in the registry")
    assert status(releases, 2, gone={2}) == Status(word="deleted", reason="in the registry, while it was champion")
    assert status(releases, 2, gone={1}).word == "champion"


def test_a_champion_whose_place_was_taken_by_one_compared_with_another_was_champion(releases: Releases) -> None:
    move(releases, "promote", 1)
    releases.end(releases.begin("promote", 2, expected=None, instead_of=1, actor="me", reason="", basis=""), "done")
    assert words(releases)[:2] == ["was champion", "champion"]
    assert status(releases, 1).reason == "version 2 took its place"


def test_a_champion_that_was_rolled_back_says_why(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    move(releases, "rollback", 1)
    assert words(releases) == ["champion", "rolled back", "undecided"]
    assert status(releases, 2).reason == "rollback 1"
    assert status(releases, 1).reason == "back in place of version 2: rollback 1"
    twin = replace(release(2), version=9)
    releases.add(twin)
    assert status(releases, 9).word == "rolled back", "it is the file that is barred"
    move(releases, "promote", 2)
    move(releases, "promote", 3)
    assert words(releases) == ["was champion", "was champion", "champion"]


def test_what_the_gate_held_or_rejected_or_the_smoke_test_failed_says_so(releases: Releases) -> None:
    releases.note("hold", 1, actor="me", reason="too few rows", basis="")
    releases.note("reject", 2, actor="me", reason="worse", basis="")
    move(releases, "promote", 3, end="undone")
    assert words(releases) == ["held", "rejected", "failed"]
    assert [status(releases, version).reason for version in (1, 2, 3)] == [
        "too few rows",
        "worse",
        "version 3 didn't answer as it should when it was to become champion",
    ]
    move(releases, "promote", 1, end="abandoned")
    assert words(releases)[0] == "held", "its mover died: nothing was decided"


def test_what_bars_a_version_is_said_as_a_sentence(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    seq = releases.begin("rollback", 1, expected=2, actor="me", reason="rolled back by hand", basis="")
    releases.end(seq, "done")
    releases.note("reject", 3, actor="me", reason="worse", basis="")
    said = [barred.objection for version in (2, 3) if (barred := releases.barred(version))]
    assert said == ["version 2 was rolled back by hand", "version 3 was rejected: worse"]
