"""Versions that the registry has lost: they are registered and promoted again, and said to be gone until then."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.home import Home
from components.planning.ledger import ledger_at
from components.release.releases import Releases
from components.store.folder import FolderBlobs
from flows.running import yard_of
from tasks.home_registry import alias_in_database
from tasks.tracking.connecting import connect
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, flip
from tests.flows.test_serving import free_port, served
from tests.flows.test_verifying import folder_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OF_2 = ("--set", "train.optimizer.lr=0.03")  # what version 2 is made of; version 1 is of the recipe as it is


def run(place: Place, *changes: str) -> dict[str, Any]:
    told: dict[str, Any] = place.call("run", "recipe.yaml", *changes, "--json", code=0).json
    return told


def ran(told: dict[str, Any]) -> set[str]:
    return {one["name"] for one in told["stages"] if not one["cached"]}


def delete(place: Place, version: int) -> None:
    """Delete it as a person does in MLflow's pages."""
    connect(Home(place.home)).delete_model_version("people", str(version))


def states(place: Place) -> dict[int, str]:
    return {one["version"]: one["state"] for one in place.call("list", "people", "--json", code=0).json}


def alias_of(place: Place) -> int | None:
    return alias_in_database(Home(place.home), "people")


def is_settled(place: Place, told: dict[str, Any], *changes: str) -> bool:
    """Whether the same run once more finds nothing to do, and tells the same."""
    again = run(place, *changes)
    return not ran(again) and [again[name] for name in ("version", "decision", "report")] == [
        told[name] for name in ("version", "decision", "report")
    ]


@pytest.mark.parametrize(
    "lost",
    ["", *(pytest.param(name, marks=pytest.mark.slow) for name in ("MLmodel", "served.py", "artifacts/model.onnx"))],
)
def test_a_champion_whose_files_are_gone_is_registered_and_promoted_again(place: Place, lost: str) -> None:
    files = folder_of(place, 2) / lost
    files.unlink() if lost else shutil.rmtree(files)
    told = run(place, *OF_2)
    assert ran(told) == {"register", "promote"}
    assert (told["version"], told["decision"]["promoted"], alias_of(place)) == (3, True, 3)
    assert "in place of version 2, which was the same file" in told["decision"]["reason"]
    assert states(place) == {3: "champion", 2: "was champion", 1: "was champion"}
    assert place.call("predict", "people", "people.csv", "--output", str(place.home / "answers.csv")).code == 0
    assert is_settled(place, told, *OF_2)
    assert place.call("rollback", "people", code=0)
    assert alias_of(place) == 1, "whom both of them were compared with"


@pytest.mark.slow
def test_another_file_in_the_place_of_the_model_is_seen_by_its_size_or_with_verify_by_its_hash(place: Place) -> None:
    file = folder_of(place, 2) / "artifacts" / "model.onnx"
    flip(file)
    assert not ran(run(place, *OF_2)), "it isn't read where nobody asks for that"
    assert run(place, *OF_2, "--verify")["version"] == 3
    code = folder_of(place, 3) / "served.py"
    code.write_text(code.read_text() + "\n")
    assert run(place, *OF_2, "--verify")["version"] == 4
    fourth = folder_of(place, 4) / "artifacts" / "model.onnx"
    fourth.write_bytes(fourth.read_bytes() + b"more")
    told = run(place, *OF_2)
    assert (told["version"], told["decision"]["promoted"]) == (5, True)


@pytest.mark.parametrize(("became", "words"), [(b"", "none"), (b"another", "another page"), (None, None)])
def test_a_page_that_the_store_has_lost_comes_from_the_registry_if_it_is_that_page(
    place: Place, became: bytes | None, words: str | None
) -> None:
    laid = Path(place.call("report", "people").out.strip())
    page, blobs = laid.read_bytes(), yard_of(Home(place.home), "people").store.blobs
    assert isinstance(blobs, FolderBlobs)
    blobs.place(hashlib.sha256(page).hexdigest()).unlink()
    laid.unlink()
    registered = folder_of(place, 2) / "artifacts" / "report.html"
    if became is not None:
        registered.write_bytes(became) if became else registered.unlink()
    told = place.call("report", "people")
    if words is None:
        assert Path(told.out.strip()).read_bytes() == page
    else:
        assert told.refused("the report of people version 2 is lost", f"the registry has {words}", "backup")


@pytest.mark.slow
def test_a_version_without_the_rows_that_it_was_tried_with_is_served_all_the_same(place: Place) -> None:
    (folder_of(place, 2) / "artifacts" / "trial.json").unlink()
    with served(place, free_port(), "127.0.0.1") as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "answers at http://127.0.0.1:" in line)
    assert "trial.json is gone from the registry, so there is no line to try it" in said


@pytest.mark.slow
def test_a_version_whose_files_are_gone_gives_way_to_another_of_the_same_file(place: Place) -> None:
    assert run(place, *OF_2, "--force", "register")["version"] == 3
    shutil.rmtree(folder_of(place, 3))
    told = run(place, *OF_2)
    assert (told["version"], ran(told), alias_of(place)) == (2, {"promote"}, 2)
    assert is_settled(place, told, *OF_2)


def test_a_home_that_was_moved_has_its_versions_where_it_is_and_mlflow_is_not_loaded_to_see_it(place: Place) -> None:
    moved = replace(place, home=place.home.with_name("moved, ü"))
    place.home.rename(moved.home)
    code = (
        "import sys; from flows.start import main\n"
        "try: main()\n"
        "finally: print({'mlflow', 'torch', 'pandas'} & set(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-P", "-c", code, "run", "recipe.yaml", *OF_2, "--json"]
    told = subprocess.run(command, cwd=moved.folder, env=moved.variables(), capture_output=True, text=True, check=True)
    assert not ran(json.loads(told.stdout))
    assert told.stderr.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_a_registry_elsewhere_is_asked_for_the_files(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    place = Place(folder=tmp_path, home=tmp_path / "home")
    place.home.mkdir()
    (place.home / "config.toml").write_text(f"mlflow_tracking_uri = 'sqlite:///{tmp_path}/registry.db'\n")
    assert run(place)["version"] == 1
    assert not ran(run(place))
    (file,) = place.home.glob("mlflow/artifacts/people/models/*/artifacts/artifacts/model.onnx")
    flip(file)
    assert not ran(run(place))
    assert run(place, "--verify")["version"] == 2
    shutil.rmtree(place.home / "mlflow" / "artifacts" / "people" / "models")
    told = run(place)
    assert (told["version"], told["decision"]["promoted"]) == (3, True)
    assert is_settled(place, told)
    connect(Home(place.home), uri=f"sqlite:///{tmp_path}/registry.db").delete_model_version("people", "3")
    assert states(place) == {3: "deleted", 2: "was champion", 1: "was champion"}


@pytest.mark.parametrize("command", [("predict", "people", "people.csv"), ("serve", "people"), ("verify", "people")])
def test_a_champion_that_was_deleted_is_said_to_be_gone(place: Place, command: tuple[str, ...]) -> None:
    delete(place, 2)
    told = place.call(*command)
    assert (told.code, "Traceback" in told.err) == (2, False)
    assert "refused: the registry no longer has people/2" in told.err
    assert "steelyard promote" in told.err


def test_a_version_that_was_deleted_is_listed_as_that_and_not_promoted_or_gone_back_to(place: Place) -> None:
    delete(place, 1)
    assert states(place) == {2: "champion", 1: "deleted"}
    assert place.call("show", "people", "1", "--json").json["version"]["state"] == "deleted"
    assert place.call("promote", "people", "1").refused("the registry no longer has version 1 of people")
    assert place.call("rollback", "people", "--to", "1").refused("the registry no longer has version 1 of people")
    assert place.call("rollback", "people").refused("version 1 of people, the champion before, is gone", "none")
    assert alias_of(place) == 2
    assert not ran(run(place, *OF_2)), "it reigns as before"


def test_a_run_of_the_champion_that_was_deleted_registers_and_promotes_it_again(place: Place) -> None:
    delete(place, 2)
    assert states(place) == {2: "deleted", 1: "was champion"}
    told = run(place, *OF_2)
    assert ran(told) == {"register", "promote"}
    assert (told["version"], told["decision"]["promoted"], alias_of(place)) == (3, True, 3)
    assert "the registry no longer has version 2, the champion until now" in told["decision"]["reason"]
    assert states(place) == {3: "champion", 2: "deleted", 1: "was champion"}
    assert is_settled(place, told, *OF_2)


@pytest.mark.slow
def test_the_next_version_that_passes_takes_the_place_of_a_champion_that_was_deleted(place: Place) -> None:
    delete(place, 2)
    told = run(place)
    assert (told["version"], told["decision"]["promoted"], alias_of(place)) == (1, True, 1)
    assert "the registry no longer has version 2" in told["decision"]["reason"]
    assert is_settled(place, told)
    delete(place, 1)
    other = run(place, "--set", "train.optimizer.lr=0.07")
    assert (other["version"], other["decision"]["promoted"]) == (3, True), other["decision"]
    assert is_settled(place, other, "--set", "train.optimizer.lr=0.07")


def test_a_person_may_promote_another_in_the_place_of_a_champion_that_was_deleted(place: Place) -> None:
    delete(place, 2)
    assert place.call("promote", "people", "1", code=0)
    assert (states(place), alias_of(place)) == ({2: "deleted", 1: "champion"}, 1)


def test_where_the_champion_was_deleted_a_version_that_fails_its_smoke_test_leaves_none(place: Place) -> None:
    delete(place, 2)
    flip(folder_of(place, 1) / "artifacts" / "model.onnx")
    assert place.call("promote", "people", "1").refused("failed its smoke test", "the champion is none, as before")
    assert alias_of(place) is None
    moves = Releases(ledger_at(Home(place.home).ledger), "people").moves()
    assert [move.state for move in moves] == ["done", "done", "undone"]


def test_a_number_that_an_older_registry_gives_again_is_passed_over_and_nothing_is_taken_for_champion(
    place: Place,
) -> None:
    figures = {one["version"]: one["value"] for one in place.call("list", "people", "--json", code=0).json}
    put_back_before_2(place)
    rejected = ("--set", "train.optimizer.lr=0.07", "--set", "gate.floor=1.0")
    told = run(place, *rejected)
    assert (told["version"], told["decision"]["promoted"], alias_of(place)) == (3, False, 1)
    rows = place.call("list", "people", "--json", code=0)
    assert {one["version"]: one["state"] for one in rows.json} == {3: "rejected", 2: "deleted", 1: "was champion"}
    assert {one["version"]: one["value"] for one in rows.json if one["version"] < 3} == figures
    assert "names version 1 of people, the record says version 2" in rows.err
    again = run(place, *rejected)
    assert (ran(again), again["version"], again["decision"]["promoted"]) == (set(), 3, False)


def put_back_before_2(place: Place) -> None:
    """Make the registry what it was before version 2 was made."""
    with closing(sqlite3.connect(Home(place.home).mlflow_db)) as connection:
        for table in ("model_versions", "model_version_tags"):
            connection.execute(f"DELETE FROM {table} WHERE version = 2")
        connection.execute("UPDATE registered_model_aliases SET version = 1")
        connection.commit()


def test_what_was_rolled_back_is_not_promoted_again_where_the_registrys_model_was_deleted(place: Place) -> None:
    assert place.call("rollback", "people", "--reason", "it was rude", code=0)
    connect(Home(place.home)).delete_registered_model("people")
    told = run(place, *OF_2)
    assert (told["version"], told["decision"]["promoted"], alias_of(place)) == (1, False, None)
    assert "version 2 of the registry that was lost was rolled back on" in told["decision"]["reason"]
    assert "it was rude" in told["decision"]["reason"]
    assert is_settled(place, told, *OF_2)
    assert run(place)["decision"]["promoted"], "nobody said anything against that one"
    assert place.call("promote", "people", "1").refused("barred: version 2 of the registry that was lost")
    assert run(place, *OF_2, "--force", "promote")["decision"]["promoted"]


def test_a_list_says_where_the_registry_can_not_be_asked(place: Place) -> None:
    Home(place.home).mlflow_db.write_bytes(b"This is no database at all." * 100)
    told = place.call("list", "people", "--json", code=0)
    assert told.err.startswith("versions that were deleted in MLflow aren't told: MLflow's database is damaged")
    assert told.json[0]["state"] == "champion"


@pytest.mark.parametrize("name", ["artifacts/model.onnx", "served.py"])
@pytest.mark.parametrize("command", [("predict", "people", "people.csv"), ("serve", "people")])
def test_a_damaged_champion_answers_nobody(place: Place, command: tuple[str, ...], name: str) -> None:
    flip(folder_of(place, 2) / name)
    told = place.call(*command, code=2)
    assert "refused: the files of people/2 in the registry aren't those that were released" in told.err
    assert "`steelyard verify people 2`" in told.err
    assert "Traceback" not in told.err
