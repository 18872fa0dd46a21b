"""What a later run of a model owes to the earlier ones, and what a registration checks of the registry."""

import json
import operator
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from components.gate.wear import sketch
from components.home import Home
from components.planning.ledger import Record, ledger_at
from components.release.releases import Releases
from components.store.artifact import Artifact
from flows.running import yard_of
from tasks import gate, register, registry
from tasks.split import split
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, flip

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("runs")]  # where the Prefect server is
HUSH = "hush-hush-9"


def assignments_of(record: Record) -> Artifact:
    """The assignments that a record of `split` holds."""
    return split.outputs(record).assignments


def parts_of(place: Place) -> dict[int, str]:
    """The part of each row, by its content, as the latest split assigned it."""
    home = Home(place.home)
    record = ledger_at(home.ledger).history("people", "split", limit=1)[0]
    table = pq.read_table(yard_of(home, "people").store.get(assignments_of(record)))
    return dict(zip(table["content"].to_pylist(), table["part"].to_pylist(), strict=True))


def test_the_gate_keeps_which_test_rows_decided(place: Place) -> None:
    home = Home(place.home)
    ledger, store = ledger_at(home.ledger), yard_of(home, "people").store
    (judged, *_) = ledger.history("people", "gate")
    (shared_out, *_) = ledger.history("people", "split")
    assert sketch(store.get(assignments_of(shared_out))) in ledger.decide_by((), challenger="nobody", model="people")
    judgement = cast(dict[str, Any], judged.outputs)["judgement"]
    assert judgement["looks"] >= 1
    assert 0 < next(one["value"] for one in judgement["checks"] if one["name"] == "latency") < 100


def test_a_stratified_split_leaves_earlier_rows_where_they_were(place: Place, tmp_path: Path) -> None:
    before = parts_of(place)
    lines = people(400).splitlines()
    shutil.copy(place.folder / "recipe.yaml", tmp_path)
    added = [lines[0], *lines[201:], *lines[1:201]]  # the new rows first
    (tmp_path / "people.csv").write_text("\n".join(added) + "\n", "utf-8")
    replace(place, folder=tmp_path).call("run", "recipe.yaml", "--until", "split", code=0)
    after = parts_of(place)
    assert len(after) > 1.8 * len(before)
    assert {content: after[content] for content in before} == before


@pytest.mark.slow
def test_a_version_whose_file_was_changed_at_registration_is_refused_and_is_no_release(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = registry.register

    def flipped(run: Any, bundle: Any, **told: Any) -> Any:
        version = honest(run, bundle, **told)
        released = bundle.files["onnx"].read_bytes()
        (file,) = (one for one in place.home.rglob("artifacts/model.onnx") if one.read_bytes() == released)
        flip(file)
        return version

    monkeypatch.setattr(registry, "register", flipped)
    known = [release.version for release in Releases(ledger_at(Home(place.home).ledger), "people").all()]
    told = place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.07")
    assert told.code == 2
    assert (
        "refused: people version 3, artifacts/model.onnx: the registry holds another file than was released" in told.err
    )
    assert [release.version for release in Releases(ledger_at(Home(place.home).ledger), "people").all()] == known


def test_mended_code_of_a_version_reaches_the_next_one_though_its_file_is_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (gate, register):
        monkeypatch.setattr(module, "answering_code", lambda: "mended")
    result = place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--json", code=0).json
    before = place.told["second"].json
    assert (result["onnx"]["sha256"], result["version"]) == (before["onnx"]["sha256"], before["version"] + 1)
    assert result["decision"]["promoted"]
    ran = {one["name"] for one in result["stages"] if not one["cached"]}
    assert ran == {"gate", "report", "register", "promote"}


def test_a_champion_that_the_gate_would_not_let_pass_today_is_not_called_promoted(place: Place) -> None:
    before = place.told["second"].json
    page = Path(before["report"]).read_bytes()
    change = ("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--set", "gate.floor=1.0")
    result = place.call(*change, "--strict", "--json", code=3).json
    assert (result["version"], result["onnx"]["sha256"]) == (before["version"], before["onnx"]["sha256"])
    assert not result["decision"]["promoted"]
    assert "is champion from before, and would not be let pass today" in result["decision"]["reason"]
    assert result["report"] != before["report"]
    assert Path(before["report"]).read_bytes() == page  # of the release: no later run's takes its place
    again = place.call(*change, "--json", code=0).json
    assert all(one["cached"] for one in again["stages"])
    assert again["decision"] == result["decision"]
    (champion,) = (one for one in place.call("list", "people", "--json").json if one["champion"])
    assert champion["version"] == before["version"]


@pytest.mark.slow
def test_a_champion_that_may_have_learned_of_a_group_is_no_opponent(place: Place) -> None:
    told = place.call(
        "run", "recipe.yaml", "--set", "split.method=hash", "--set", "split.group=income", "--json", code=0
    ).json
    assert not told["decision"]["promoted"]
    assert "The split is by groups of 'income', the one before it without any" in told["decision"]["reason"]


@pytest.mark.slow
def test_a_champion_whose_rows_were_written_anew_may_know_the_test_rows(place: Place, tmp_path: Path) -> None:
    shutil.copy(place.folder / "recipe.yaml", tmp_path)
    head, *rows = people().splitlines()
    digits = [re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.3g}", row) for row in rows]
    assert sum(map(operator.ne, digits, rows)) > 0.9 * len(rows)
    (tmp_path / "people.csv").write_text("\n".join([head, *digits]) + "\n", "utf-8")
    told = replace(place, folder=tmp_path).call("run", "recipe.yaml", code=0)
    assert "of the rows that people 2 learned from are in the data as they were" in told.out, told.out


def test_a_champion_of_other_columns_is_not_compared_and_so_not_favoured(place: Place) -> None:
    told = place.call("run", "recipe.yaml", "--set", "data.columns.age=ignore", "--json", code=0).json
    assert "they can't be compared" in told["decision"]["reason"]
    assert not [one for one in told["beware"] if "as they were" in one]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of the table on a server that wants a password, with a token beside it."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "people.csv").write_text(people(), "utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://me:{HUSH}@127.0.0.1:{server.server_port}/people.csv?token={HUSH}"
        server.shutdown()


@pytest.mark.slow
def test_a_registry_elsewhere_is_asked_and_a_secret_of_the_data_is_kept(tmp_path: Path, served: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("people.csv", json.dumps(served)), "utf-8")
    place = Place(folder=tmp_path, home=tmp_path / "home")
    place.home.mkdir()
    (place.home / "config.toml").write_text(f"mlflow_tracking_uri = 'sqlite:///{tmp_path}/registry.db'\n")
    first = place.call("run", "recipe.yaml", "--json", code=0).json
    assert first["decision"]["promoted"]
    assert not (place.home / "mlflow" / "mlflow.db").exists()
    again = place.call("run", "recipe.yaml", "--json", code=0).json
    assert all(one["cached"] for one in again["stages"])
    assert (again["version"], again["decision"]) == (first["version"], first["decision"])
    assert place.call("data", "list", code=0).out

    (place.home / "config.toml").unlink()
    told = place.call("run", "recipe.yaml", code=2)
    assert told.refused("the versions of people are in another registry", "registry.db, not the home's own")
    assert place.call("list", "people", "--json").json[0]["champion"]

    holding = [path for path in place.home.rglob("*") if path.is_file() and HUSH.encode() in path.read_bytes()]
    assert {path.relative_to(place.home).parts[:2] for path in holding} <= {("dvc", "imports")}  # DVC's own note
    assert all(path.parent.stat().st_mode & 0o077 == 0 for path in holding)


def test_who_lost_its_place_can_win_it_again_on_the_same_judgement(place: Place) -> None:
    """Version 1 rose, version 2 took its place: the earlier recipe again, and then the later one."""
    for learning_rate, version in (("0.02", 1), ("0.03", 2)):
        told = place.call("run", "recipe.yaml", "--set", f"train.optimizer.lr={learning_rate}", "--json", code=0).json
        assert (told["version"], told["decision"]["promoted"]) == (version, True), told["decision"]


def test_the_same_decision_by_another_margin_is_told_with_that_margin(place: Place) -> None:
    before = place.told["second"].json["decision"]
    change = ("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--set", "gate.margin=0.45")
    now = place.call(*change, "--json", code=0).json["decision"]
    assert (now["promoted"], before["promoted"]) == (True, True)
    assert "45 points" in now["reason"], now["reason"]


def test_ctrl_c_while_prefect_begins_a_task_is_ctrl_c(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect import task_engine

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(task_engine, "_create_task_run_locally", interrupted)
    told = place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.08", code=130)
    assert "Traceback" not in told.err
    assert "the next run goes on from there" in told.err
