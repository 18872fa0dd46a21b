import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from components.recipe_file import read
from components.task import JUDGED_BY
from flows.cli import app

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
HEAVY = (
    "torch",
    "prefect",
    "mlflow",
    "dvc",
    "pandas",
    "sklearn",
    "onnx",
    "onnxruntime",
    "pydantic",
    "sqlalchemy",
    "psycopg2",
    "boto3",
)
LIGHT = [
    "components.recipe_file",
    "components.recipe_schema",
    "components.home",
    "components.production",
    "components.settings",
    "components.planning.ledger",
    "flows.servers.environment",
    "flows.servers.production",
    "flows.servers.services",
    "flows.state",
    *(f"components.{path.parent.name}.config" for path in sorted((ROOT / "components").glob("*/config.py"))),
]


def code_files() -> list[Path]:
    return [path for folder in ("flows", "tasks", "components") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_layers_are_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_what_the_command_line_and_the_planner_read_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""


def test_there_are_shipped_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_a_recipe_named_after_its_file(path: Path) -> None:
    assert read(path).model == path.stem


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_dvc_builds_the_data_of_every_shipped_recipe(path: Path) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    built = {ROOT / "data" / name for name in stages["data"]["foreach"]}
    assert Path(read(path).data.source) in built


def test_what_dvc_has_built_is_of_the_code_of_today() -> None:
    """Else a run builds it anew, and leaves a changed dvc.lock behind."""
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    for name, stage in stages.items():
        for given in stage["deps"]:
            digest = hashlib.md5((ROOT / given["path"]).read_bytes()).hexdigest()
            assert digest == given["md5"], f"`dvc repro {name}`, and commit dvc.lock"


def test_every_make_command_in_the_texts_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert targets == {"env", "run", "test", "lint", "types", "bench", "up", "down"} | targets
    for name in ("README.md", "CONTRIBUTING.md"):
        for line in re.findall(r"(?:^|`)make ((?:[a-z]+ ?)+)(?=`|$)", (ROOT / name).read_text(), re.MULTILINE):
            assert set(line.split()) <= targets, name


def test_every_command_of_the_makefile_has_a_comment() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"^[a-z]+:", line):
            assert lines[number - 1].startswith("# "), line


def test_no_file_of_code_is_longer_than_an_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in code_files()
        if (count := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_no_name_hides_a_library_or_says_nothing() -> None:
    pointless = {"utils", "common", "helpers", "misc"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    libraries = {re.split(r"[=<>]", name)[0].replace("-", "_") for name in declared}
    names = {path.stem for path in code_files()} | {path.parent.name for path in code_files()}
    assert not names & (pointless | libraries)


def test_the_lock_names_no_build_of_one_machine() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.findall(r"^[a-z].*(?:\+cpu|\+cu|@ |://)", lock, re.MULTILINE)


def test_every_command_of_the_readme_exists_with_its_options() -> None:
    commands = get_command(app)
    assert isinstance(commands, TyperGroup)
    lines = re.findall(r"^\.venv/bin/steelyard (.+?)(?:\s+#.*)?$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert len(lines) >= 8
    for line in lines:
        name, *rest = line.split()
        command = commands.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


def test_the_readmes_results_are_those_of_the_benchmarks() -> None:
    from benchmarks.readme import lines

    assert "\n".join(lines()) in (ROOT / "README.md").read_text("utf-8"), "python -m benchmarks.readme prints them"


def test_the_gates_promise_is_simulated_for_every_figure_that_a_recipe_may_be_judged_by() -> None:
    from benchmarks.frame import RESULTS
    from benchmarks.gate import ERRORS, FIGURES

    judging = {metric for metrics in JUDGED_BY.values() for metric in metrics}
    assert judging == {"accuracy", *FIGURES, *ERRORS}
    for name in ("gate", "gate_bunches"):
        measured = {row["metric"] for row in json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]}
        assert measured == judging, f"python -m benchmarks.{name} measures them"
