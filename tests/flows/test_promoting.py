"""Moving the champion through the registry: an alias moved elsewhere, movers that died, movers that were taken over."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from components.planning.ledger import ledger_at
from components.release.releases import Release, Releases
from tasks import promote, registry
from tasks.tracking.connecting import Client, connect
from tests.flows.place import Place, flip
from tests.flows.test_verifying import registered


def releases_of(place: Place) -> Releases:
    return Releases(ledger_at(Home(place.home).ledger), "people")


def alias_of(place: Place) -> int | None:
    return registry.alias_in_database(Home(place.home), "people")


def point_elsewhere(place: Place, version: int) -> None:
    with closing(sqlite3.connect(Home(place.home).mlflow_db)) as connection:
        connection.execute("UPDATE registered_model_aliases SET version = ?", (version,))
        connection.commit()


@pytest.mark.parametrize("command", [("rollback", "people"), ("promote", "people", "1")])
def test_an_alias_that_was_moved_elsewhere_is_not_overwritten(place: Place, command: tuple[str, ...]) -> None:
    point_elsewhere(place, 1)
    assert place.call(*command).refused("changed elsewhere")
    assert alias_of(place) == 1
    assert len(releases_of(place).moves()) == 2


def test_a_champion_of_before_whose_recipe_was_run_again_and_rejected_is_gone_back_to(place: Place) -> None:
    releases_of(place).note("reject", 1, actor="gate", reason="it is larger than the champion", basis="judged again")
    assert place.call("promote", "people", "1").refused("barred")
    assert "version 1 of people is champion again" in place.call("rollback", "people").err


def test_a_move_whose_mover_died_is_undone_by_the_next_one(place: Place) -> None:
    releases = releases_of(place)
    releases.begin("rollback", 1, expected=2, actor="dead", reason="", basis="")
    told = place.call("rollback", "people")
    assert told.code == 0, told.err
    assert [move.state for move in releases.moves()] == ["done", "done", "abandoned", "done"]
    assert alias_of(place) == 1


def test_a_move_whose_registry_goes_away_behind_the_alias_is_undone_by_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases, set_alias = releases_of(place), registry.set_alias
    connect(Home(place.home))

    def gone(*_: object, **__: object) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as outage:

        def last(client: Client, model: str, version: int | None) -> None:
            outage.setattr(registry, "set_alias", gone)
            set_alias(client, model, version)

        outage.setattr(registry, "set_alias", last)
        outage.setattr(promote, "check_answers", gone)
        with pytest.raises(ConnectionError):
            promote.move_champion(releases, 1, "rollback", expected=2, actor="cut off", reason="")
    assert (alias_of(place), len(releases.unfinished())) == (1, 1)
    assert place.call("rollback", "people").code == 0
    assert [move.state for move in releases.moves()] == ["done", "done", "abandoned", "done"]
    assert alias_of(place) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_mover_that_was_taken_for_dead_leaves_the_alias_where_the_record_has_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    releases = releases_of(place)
    connect(Home(place.home))

    def taken_over(_release: Release, _version: int | str, *, into: Path, files: object) -> None:
        for move in releases.unfinished():  # what another process does with a mover that lost its lease
            releases.end(move.seq, "abandoned")
        if fails:
            raise Refusal([])

    monkeypatch.setattr(promote, "check_answers", taken_over)
    with pytest.raises(Refusal, match="another process took over"):
        promote.move_champion(releases, 1, "rollback", expected=2, actor="slow", reason="")
    assert alias_of(place) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.onnx", "the registry holds another file than was released"),
        ("../served.py", "the registry holds another file than was released"),
        ("trial.json", "the registry holds another file than was released"),
        ("trial.json of an older release", "the registered model doesn't answer as it should: a difference of"),
    ],
)
def test_a_version_that_fails_its_smoke_test_does_not_become_champion(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """Version 1 was changed in the registry since; it is found through the alias, which is moved back."""
    name, _, older = name.partition(" of ")
    if older:  # the digests of its files weren't kept
        monkeypatch.setattr(Releases, "files", lambda *_: {})
    with registered(place, name, version=1) as file:
        if name == "model.onnx":
            flip(file)
        elif name == "trial.json":
            told = json.loads(file.read_text())
            told["outputs"][-1] = [share + 0.01 for share in told["outputs"][-1]]
            file.write_text(json.dumps(told))
        else:
            file.write_text("raise SystemExit('code of a stranger was run')\n" + file.read_text())
        assert place.call("promote", "people", "1").refused("failed its smoke test", said, "is version 2, as before")
    releases = releases_of(place)
    champion = releases.champion()
    assert champion is not None
    assert (champion.version, alias_of(place)) == (2, 2)
    assert [move.state for move in releases.moves()] == ["done", "done", "undone"]
    assert place.call("promote", "people", "1").refused("barred: version 1 didn't answer as it should")


@pytest.mark.parametrize("away", ["", "artifacts/model.onnx", "artifacts/trial.json"])
def test_a_version_whose_files_are_away_is_not_barred_for_that(place: Place, tmp_path: Path, away: str) -> None:
    with registered(place, "model.onnx", version=1) as file:
        files = file.parent.parent / away
        files.rename(tmp_path / "unmounted")
        told = place.call("promote", "people", "1")
        (tmp_path / "unmounted").rename(files)
    assert told.code == 2, told.err
    assert "refused: the files of people@champion are gone" in told.err  # behind what MLflow logs in this process
    releases = releases_of(place)
    champion = releases.champion()
    assert champion is not None
    assert (champion.version, alias_of(place)) == (2, 2)
    assert [move.state for move in releases.moves()] == ["done", "done", "abandoned"]
    assert place.call("promote", "people", "1").code == 0


def test_the_smoke_test_asks_what_the_alias_names(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the registry moved no alias, the version isn't called champion, though it answers well itself."""
    connect(Home(place.home))
    monkeypatch.setattr(registry, "set_alias", lambda *_: None)
    with pytest.raises(Refusal, match="failed its smoke test: the registry holds another file"):
        promote.move_champion(releases_of(place), 1, "rollback", expected=2, actor="me", reason="")


def test_an_export_that_does_not_answer_as_pytorch_does_is_refused(first: Place) -> None:
    told = first.call("run", "recipe.yaml", "--set", "export.tolerance=1e-15", "--until", "export", code=2)
    assert "refused: export.tolerance: uncompressed: the exported file's answers differ from PyTorch's by" in told.err
