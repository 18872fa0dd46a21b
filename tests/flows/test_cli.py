"""The command line, on the state that one real run left behind."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from mlflow import MlflowClient
from typer.core import TyperGroup
from typer.main import get_command

from components.home import Home
from flows.cli import app
from flows.tables import REASON_LETTERS
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)
DOCS = Path(__file__).parents[2] / "docs" / "networks.md"
COMMANDS = [
    "init",
    "run",
    "plan",
    "why",
    "up",
    "down",
    "list",
    "show",
    "promote",
    "rollback",
    "serve",
    "predict",
    "report",
    "verify",
    "reap",
    "doctor",
    "data",
    "schema",
]


def started(*arguments: str) -> tuple[str, set[str]]:
    """Return what a new interpreter prints, and the packages that it loads."""
    command = [sys.executable, "-P", "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines()[1:])
    return done.stdout, {name.partition(".")[0] for name in modules}


def test_help_names_every_command_and_loads_next_to_nothing_for_it() -> None:
    (_, at_least), (told, loaded) = started("-c", "pass"), started("-m", "flows.start", "--help")
    known = sys.stdlib_module_names | {"nt", "org"}  # the last two: what other systems than this one have
    assert loaded - at_least - known == {"flows", "components", "typer", "shellingham", "annotated_doc"}
    assert all(f"\n  {name} " in told for name in COMMANDS)
    assert "..." not in told.partition("Commands:")[2], "a summary is cut off at 80 columns"


def test_it_says_its_version(first: Place) -> None:
    assert first.call("--version").out.startswith("steelyard ")


def test_every_command_that_is_promised_is_there() -> None:
    names = {one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands}
    assert names | {one.name for one in app.registered_groups} == set(COMMANDS)


def test_a_run_ends_with_one_json_object_on_its_last_line(first: Place) -> None:
    result = first.told["first"].json
    assert {name: sorted(value) for name, value in result.items() if isinstance(value, dict)} == {
        "decision": ["barred", "gate", "promoted", "reason"],
        "test": ["baseline", "selected"],
        "selected": ["latency_ms", "name", "reason", "runtime", "size_bytes", "speedup"],
        "onnx": ["path", "sha256"],
        "parity": ["max_abs_diff"],
    }
    assert all(sorted(result["selected"][name]) == ["1", "32"] for name in ("latency_ms", "speedup"))
    candidate = {"name", "verdict", "validation", "size_bytes", "latency_ms", "sha256"}
    assert all(candidate <= one.keys() for one in result["candidates"])
    assert all({"name", "cached", "seconds"} <= one.keys() for one in result["stages"])
    assert (result["task"], len(result["flow_run_id"])) == ("classification", 36)
    assert result["test"]["baseline"].keys() == result["test"]["selected"].keys()
    classes = {"name", "support", "predicted", "precision", "recall", "f1"}
    assert len(result["classes"]) == 2
    assert all(classes <= one.keys() for one in result["classes"])
    (kept,) = (first.home / "mlflow" / "artifacts").rglob("classes.json")
    assert json.loads(kept.read_text("utf-8")) == result["classes"], "the version has them, too"
    assert result["model"] == "people"
    assert result["version"] == 1
    assert (result["decision"]["promoted"], result["decision"]["gate"]) == (True, "yes")
    assert {one["name"] for one in result["candidates"]} == {"uncompressed", "int8-dynamic"}
    assert {"accuracy", "f1_macro", "roc_auc"} <= set(result["test"]["selected"])
    assert Path(result["report"]).is_file()
    assert Path(result["onnx"]["path"]).is_file()
    assert len(first.told["first"].out.splitlines()) == 1, first.told["first"].out


def test_a_run_with_nothing_changed_does_nothing_and_says_so(first: Place) -> None:
    told = first.child("run", "recipe.yaml")
    assert "nothing changed" in told.out
    again = first.child("run", "recipe.yaml", "--json").json
    assert all(one["cached"] for one in again["stages"])
    before = first.told["first"].json
    assert [again[name] for name in ("run_id", "flow_run_id", "version", "decision", "onnx")] == [
        before[name] for name in ("run_id", "flow_run_id", "version", "decision", "onnx")
    ]


def test_a_run_has_tags_in_prefect_and_its_stages_have_none_that_they_would_wait_for(first: Place) -> None:
    """For each tag of a task Prefect asks its server for a slot, which takes two seconds."""
    with closing(sqlite3.connect(first.home / "prefect" / "prefect.db")) as database:
        runs = [json.loads(tags) for (tags,) in database.execute("SELECT tags FROM flow_run")]
        stages = {tags for (tags,) in database.execute("SELECT tags FROM task_run")}
    assert all("steelyard" in tags for tags in runs)
    assert stages == {"[]"}


def test_prefect_draws_an_arrow_from_each_stage_whose_outputs_another_takes(first: Place) -> None:
    with closing(sqlite3.connect(first.home / "prefect" / "prefect.db")) as database:
        runs = database.execute("SELECT id, name, task_inputs FROM task_run").fetchall()
    names = {str(UUID(identity)): name for identity, name, _ in runs}
    sources = {name: {names[one["id"]] for one in json.loads(inputs).get("wait_for", [])} for _, name, inputs in runs}
    assert sources["ingest"] == set()
    assert sources["export int8-dynamic"] == {"split", "quantize int8-dynamic"}
    made = {"train", "export uncompressed", "export int8-dynamic", "profile", "select", "evaluate_test", "gate"}
    assert sources["report"] == {"split", *made}, "what the evidence holds, one within the other"
    assert sources["promote"] == {"gate", "register"}


def test_prefect_shows_the_candidates_and_the_report_of_a_run(first: Place) -> None:
    result = first.told["first"].json
    with closing(sqlite3.connect(first.home / "prefect" / "prefect.db")) as database:
        artifacts = dict(database.execute("SELECT key, data FROM artifact"))
    rows = json.loads(json.loads(artifacts["candidates"]))
    assert [row["name"] for row in rows] == [one["name"] for one in result["candidates"]]
    assert result["report"] in artifacts["report"]


def told_mlflow(place: Place, run_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """What MLflow knows of a run: the digest of each part of the data, and the verdict on each candidate."""
    client = MlflowClient(tracking_uri=Home(place.home).mlflow_uri)
    run = client.get_run(run_id)
    children = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    read = {one.tags[0].value: one.dataset.digest for one in run.inputs.dataset_inputs}
    return read, {one.info.run_name: one.data.params["verdict"] for one in children}


@pytest.mark.slow
def test_mlflow_knows_what_each_run_read_and_measured(both: Place, place: Place) -> None:
    """Also of one whose file is a version already, and whose registration is settled by that."""
    said = both.told["second"].json
    verdicts = {one["name"]: one["verdict"] for one in said["candidates"]}
    assert told_mlflow(both, said["run_id"])[1] == verdicts
    changed = ("--set", "train.optimizer.lr=0.03", "--set", "evaluate.resamples=101")
    again = place.child("run", "recipe.yaml", *changed, "--json").json
    assert [path.name for path in (place.home / "mlflow").glob("mlflow.db*")] == ["mlflow.db"], "it was closed"
    assert (again["version"], again["run_id"] == said["run_id"]) == (said["version"], False)
    read, measured = told_mlflow(place, again["run_id"])
    assert read == told_mlflow(both, said["run_id"])[0]
    assert read.keys() == {"train", "validation", "test"}
    assert measured.keys() == verdicts.keys()


def test_a_summary_for_people_names_candidates_decision_and_report(first: Place) -> None:
    out = first.call("run", "recipe.yaml").out
    assert "int8-dynamic" in out
    assert "promoted: " in out
    assert first.told["first"].json["report"] in out
    assert f": {first.told['first'].json['selected']['reason']}\n" in out


def test_another_learning_rate_runs_again_from_train_on(both: Place) -> None:
    cached = {one["name"]: one["cached"] for one in both.told["second"].json["stages"]}
    assert cached["ingest"]
    assert cached["split"]
    assert not cached["train"]
    assert not cached["export uncompressed"]


def test_plan_tells_what_is_cached_and_what_would_run(first: Place) -> None:
    assert "nothing to do" in first.call("plan", "recipe.yaml").out
    lines = first.call("plan", "recipe.yaml", "--set", "train.epochs=4", "--json").json
    states = {line["stage"]: line["state"] for line in lines}
    assert (states["ingest"], states["train"], states["gate"]) == ("cached", "run", "wait")
    assert "expected time: " in first.call("plan", "recipe.yaml", "--set", "train.epochs=4").out.splitlines()[-1]


def test_list_and_show_tell_the_versions_and_their_decisions(both: Place) -> None:
    rows = both.call("list", "--json").json
    assert [(row["version"], row["champion"]) for row in rows] == [(2, True), (1, False)]
    assert [(row["state"], row["reason"]) for row in rows][1] == ("was champion", "version 2 took its place")
    assert rows[0]["decided"] >= rows[0]["at"]
    _, newest, first = both.call("list", "people").out.splitlines()
    assert newest.split()[:2] == ["people", "2"]
    assert f"champion      {rows[0]['decided'][:16].replace('T', ' ')}  people" in newest
    assert first.endswith("version 2 took its place")
    shown = both.call("show", "people", "--json").json
    assert shown["version"]["version"] == 2
    assert [(one["action"], one["replaced"]) for one in shown["decisions"]] == [("promote", 1)]
    assert "promote 2 instead of 1" in both.call("show", "people").out


def test_what_is_not_there_is_refused_with_what_is(both: Place) -> None:
    assert both.call("show", "poeple").refused("'poeple'", "did you mean 'people'?")
    assert both.call("show", "people", "--version", "9").refused("no version 9", "1, 2")
    assert both.call("list", "nobody").refused("'nobody'")
    assert both.call("report", "people", "--version", "9").refused("no version 9")
    assert both.call("serve", "people", "9").refused("no version 9")


def test_a_version_is_a_word_or_named(both: Place) -> None:
    for version in (("1",), ("--version", "1"), ("1", "--version", "1")):
        assert both.call("show", "people", *version, "--json").json["version"]["version"] == 1
        assert "the chain holds" in both.call("verify", "people", *version).out
        page = Path(both.call("report", "people", *version).out.strip())
        assert page.read_bytes() == Path(both.told["first"].json["report"]).read_bytes()
    assert both.call("show", "people", "1", "--version", "2").refused("versions 1 and 2", "name one of them")


def test_each_command_that_takes_a_version_takes_it_as_a_word_and_named() -> None:
    commands = get_command(app)
    assert isinstance(commands, TyperGroup)
    takes = {
        name: {
            "word" if parameter.param_type_name == "argument" else "named"
            for parameter in command.params
            if {"version", "--version"} & {*parameter.opts}
        }
        for name, command in commands.commands.items()
    }
    both_ways = {"show", "promote", "rollback", "serve", "predict", "report", "verify"}
    assert {name: ways for name, ways in takes.items() if ways} == {name: {"word", "named"} for name in both_ways}


def test_the_version_to_promote_or_to_go_back_to_or_to_ask_is_a_word_or_named(both: Place, tmp_path: Path) -> None:
    for version in (("2",), ("--version", "2")):
        assert "version 2 of people is champion already" in both.call("promote", "people", *version, code=0).err
    for version in (("2",), ("--version", "2"), ("--to", "2")):
        assert both.call("rollback", "people", *version).refused("version 2 of people is champion already")
    assert both.call("promote", "people").refused("needs a version", "steelyard list people")
    for version in (("1",), ("--version", "1")):
        both.call("predict", "people", "people.csv", *version, "--output", str(tmp_path / f"{version[0]}.csv"), code=0)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "--version.csv").read_bytes()


def test_an_empty_home_is_said_to_be_empty_and_stays_so(tmp_path: Path) -> None:
    place = Place(folder=tmp_path, home=tmp_path / "home")
    for told in (place.call("list").out, place.call("data", "list").out, place.call("show", "people").err):
        assert str(place.home) in told
        assert "STEELYARD_HOME" in told
    assert place.call("list", "--json").json == []
    assert place.call("data", "list", "--json").json == []
    assert place.call("show", "people").refused("'people'")
    assert place.call("why", "people", "train").refused("nothing ran yet")
    assert not place.home.exists()


def test_a_list_that_is_piped_tells_reasons_to_their_end(both: Place) -> None:
    reasons = [row["reason"] for row in both.call("list", "people", "--json").json]
    out = both.call("list", "people").out
    assert max(map(len, reasons)) > REASON_LETTERS
    assert all(reason in out for reason in reasons)


def test_rollback_goes_to_the_version_before_and_the_next_run_leaves_it_so(place: Place) -> None:
    told = place.call("rollback", "people", "--reason", "it was rude")
    assert told.code == 0, told.err
    assert [row["state"] for row in place.call("list", "--json").json] == ["rolled back", "champion"]
    assert champion(place) == 1
    again = place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--json", code=0).json
    assert again["version"] == 2
    assert (again["decision"]["promoted"], again["decision"]["barred"]) == (False, True)
    assert again["decision"]["reason"] == "version 2 was rolled back: it was rude"
    assert champion(place) == 1
    place.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--strict", code=3)
    assert place.call("promote", "people", "2").refused("barred", "it was rude", "--force")
    again = place.call("rollback", "people")
    assert again.refused("replaced no other", "allowed: none", "`steelyard promote people 2 --force`")
    assert "--to" not in again.err
    assert place.call("rollback", "people", "--to", "2").refused("barred", "--force")
    assert place.call("promote", "people", "2", "--force").code == 0
    assert champion(place) == 2


def test_promotion_is_compare_and_set(place: Place) -> None:
    assert place.call("promote", "people", "1", "--expected", "1").refused("is version 2, not 1 as expected")
    assert place.call("promote", "people", "1", "--expected", "0").refused("is version 2, not none as expected")
    assert champion(place) == 2
    assert place.call("promote", "people", "1", "--expected", "2", "--reason", "as tried").code == 0
    assert champion(place) == 1
    last = place.call("show", "people", "--json").json["decisions"][-1]
    assert (last["version"], last["replaced"], last["reason"]) == (1, 2, "as tried")


def test_promoting_the_champion_changes_nothing(place: Place) -> None:
    told = place.call("promote", "people", "2")
    assert "already" in told.err
    assert len(place.call("show", "people", "--json").json["decisions"]) == 1
    assert place.call("rollback", "people", "--to", "2").refused("champion already")


def test_the_doctor_finds_nothing_wrong_and_shows_no_secret(both: Place) -> None:
    os.environ["MLFLOW_TRACKING_PASSWORD"] = "hush-hush"
    try:
        told = both.call("doctor", "--json")
    finally:
        del os.environ["MLFLOW_TRACKING_PASSWORD"]
    assert told.code == 0, told.out
    found = {one["name"]: one for one in told.json}
    assert {"python", "torch", "home", "disk", "store", "ledger", "mlflow database", "device"} <= set(found)
    assert "MLFLOW_TRACKING_PASSWORD" in found["variables"]["detail"]
    assert "hush-hush" not in told.out + told.err


def test_the_doctor_names_damaged_databases_and_servers_that_are_gone(place: Place) -> None:
    place.home.joinpath("mlflow", "mlflow.db").write_bytes(b"not a database" * 1000)
    place.home.joinpath("ledger.db").write_bytes(b"not a database" * 1000)
    address = 'prefect_api_url = "http://somebody:hush-hush@127.0.0.1:9/api"\n'
    place.home.joinpath("config.toml").write_text(address)
    told = place.call("doctor", "--json")
    assert told.code == 2
    found = {one["name"]: one for one in told.json}
    assert {found[name]["state"] for name in ("ledger", "mlflow", "prefect server")} == {"bad"}
    assert "config.toml" in found["prefect server"]["detail"]
    assert "hush-hush" not in told.out


def test_data_is_listed_and_comes_back_byte_by_byte(both: Place, tmp_path: Path) -> None:
    (row,) = both.call("data", "list", "--json").json
    assert (row["rows"], row["models"], row["source"]) == (200, ["people"], "people.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("mine")
    there = replace(both, folder=tmp_path)
    for digest, output, name in (
        (row["sha256"][:8], ("--output", "back"), "back"),
        (row["dvc_md5"][:6], (), row["sha256"][:12]),
    ):
        folder = tmp_path / name
        told = there.call("data", "restore", digest, *output)
        assert told.code == 0, told.err
        stored = {path.name: path.read_bytes() for path in (both.home / "store/folders" / row["sha256"]).iterdir()}
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == stored


def test_a_digest_that_is_short_or_unknown_and_a_full_folder_are_refused(both: Place, tmp_path: Path) -> None:
    (row,) = both.call("data", "list", "--json").json
    (tmp_path / "mine").write_text("mine")
    assert both.call("data", "restore", "ab").refused("too short")
    assert both.call("data", "restore", "0" * 64, "--output", str(tmp_path / "x")).refused(
        "no data set", row["sha256"][:12]
    )
    assert both.call("data", "restore", row["sha256"], "--output", str(tmp_path)).refused("something at this place")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_network_in_a_package_beside_the_recipe_is_found_from_any_folder(tmp_path: Path) -> None:
    beside = tmp_path / "project"
    (beside / "mine").mkdir(parents=True)
    (beside / "mine" / "nets.py").write_text("class Good:\n    pass\n", "utf-8")
    (beside / "people.csv").write_text(people(), "utf-8")
    network = "network: {family: custom, path: 'mine.nets:Goood'}"
    text = RECIPE.replace("network: {family: mlp, width: 16, depth: 1}", network)
    (beside / "recipe.yaml").write_text(text, "utf-8")
    place = Place(folder=tmp_path, home=tmp_path / "home")
    assert place.child("run", "project/recipe.yaml", code=2).refused("no 'Goood'", "did you mean 'Good'?")
    assert not (place.home / "prefect").exists(), "it is said before any server starts"


OWN, OF_OWN = (block.split("```")[0] for block in DOCS.read_text("utf-8").split("```python\n")[1].split("```yaml\n"))


def test_a_network_of_ones_own_goes_from_training_to_a_release_that_answers(place: Place, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "nets.py").write_text(OWN, "utf-8")
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    text = RECIPE.replace("network: {family: mlp, width: 16, depth: 1}", OF_OWN)
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    at_work = replace(place, folder=tmp_path)
    result = at_work.call("run", "recipe.yaml", "--json", code=0).json
    assert (result["version"], result["decision"]["promoted"]) == (3, True)
    assert {one["name"] for one in result["candidates"]} == {"uncompressed", "int8-dynamic"}
    assert at_work.call("predict", "people", "people.csv").code == 0
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 201


@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl_c", "sigterm"])
def test_a_stopped_run_ends_with_its_code_and_a_word_and_the_next_run_goes_on(
    place: Place, how: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-P", "-m", "flows.start", "run", "recipe.yaml", "--set", "train.epochs=4"]
    process = subprocess.Popen(command, cwd=place.folder, env=place.variables(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "cached  ingest" in line:
            break
    process.send_signal(how)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code, told
    assert told.splitlines()[-1] == "stopped; what was done is kept, and the next run goes on from there"
    assert champion(place) == 2
    lines = place.call("plan", "recipe.yaml", "--set", "train.epochs=4", "--json").json
    assert lines[0]["state"] == "cached"


def test_ctrl_c_while_the_command_line_is_loaded_ends_it_without_a_word(tmp_path: Path) -> None:
    program = """
import os, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
from flows.start import main
main()
"""
    told = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (-signal.SIGINT, "", "")


def test_until_stops_after_a_stage(first: Place) -> None:
    told = first.call("run", "recipe.yaml", "--until", "split", "--json")
    assert told.code == 0
    assert "stopped after split, as asked; nothing changed: every stage up to there was cached" in told.err
    assert "Prefect" not in told.err, "all of it was cached: no server is needed"
    stages = [{"name": name, "cached": True, "seconds": 0.0} for name in ("ingest", "split")]
    assert told.json == {"stopped_after": "split", "stages": stages}


def test_until_says_what_was_done_anew(place: Place) -> None:
    told = place.call("run", "recipe.yaml", "--until", "split", "--set", "split.seed=5", "--json", code=0)
    assert [(one["name"], one["cached"]) for one in told.json["stages"]] == [("ingest", True), ("split", False)]
    assert "stopped after split, as asked" in told.err
    assert "nothing changed" not in told.err
    assert re.search(r"s  split: train \d+, validation \d+, test \d+ rows$", told.err, re.MULTILINE), told.err


def test_the_schema_is_json(first: Place) -> None:
    assert "Recipe" in json.loads(first.call("schema").out)["$defs"]


def champion(place: Place) -> int:
    return next(int(row["version"]) for row in place.call("list", "--json").json if row["champion"])
