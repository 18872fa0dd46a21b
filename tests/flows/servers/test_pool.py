"""The pool's command runs what a worker begins by the worker's own Python, however that was started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.servers.pool import PYTHON, TEMPLATE

WORKER = """
import json, shlex, subprocess, sys

command = json.load(open(sys.argv[1]))["variables"]["properties"]["command"]["default"]
words = shlex.split(command.replace("-P -m flows.engine", '-c "import sys; print(sys.prefix)"'))
print(subprocess.run(words, capture_output=True, text=True, check=True, cwd=sys.argv[2]).stdout.strip())
"""


def prefix_of_a_stage(python: str, folder: Path, *, start: Path, **variables: str) -> str:
    """Start a worker by that word, from a folder of its own; return where the Python is that its stages run by."""
    command = [python, "-P", "-c", WORKER, str(TEMPLATE), str(folder)]
    told = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}
    told = {name: value for name, value in told.items() if value}
    return subprocess.run(command, env=told, cwd=start, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("started", ["as the whole path", "as a relative path", "by its name"])
def test_a_stage_runs_by_the_python_of_its_worker(started: str, tmp_path: Path) -> None:
    place = Path(sys.executable)
    start = place.parent.parent if started == "as a relative path" else tmp_path
    words = {
        "as the whole path": str(place),
        "as a relative path": str(place.relative_to(place.parent.parent)),
        "by its name": place.name,
    }
    assert prefix_of_a_stage(words[started], tmp_path, start=start, **{PYTHON: ""}) == sys.prefix


def test_a_python_that_is_named_runs_it(tmp_path: Path) -> None:
    base = Path(sys.base_prefix) / "bin" / "python3"
    assert prefix_of_a_stage(sys.executable, tmp_path, start=tmp_path, **{PYTHON: str(base)}) == sys.base_prefix


def test_the_command_is_the_engine_and_the_template_that_of_infra() -> None:
    told = json.loads(TEMPLATE.read_text("utf-8"))
    assert told["variables"]["properties"]["command"]["default"].endswith("-P -m flows.engine'")
    assert told["job_configuration"]["command"] == "{{ command }}"
    assert (Path(__file__).parents[3] / "infra" / "process-pool.json").samefile(TEMPLATE)
