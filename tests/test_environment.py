"""`make env`, where there is nothing to install and where there must be."""

import os
import shutil
import subprocess
from importlib.util import cache_from_source, find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = ("requirements.lock", "pyproject.toml", "infra/environment.sh")


def program(file: Path, body: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def test_an_environment_is_kept_where_it_was_made_and_made_anew_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    folder, moved, tools = tmp_path / "project", tmp_path / "moved", tmp_path / "tools"
    link = tmp_path / "link"
    for name in READ:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    program(folder / ".venv" / "bin" / "steelyard", "exit 0")
    program(folder / ".venv" / "bin" / "python", "exit 0")
    program(tools / "python3.11", "exit 1")  # of which no environment can be made
    stamp = f'echo "$(cat {" ".join(READ)} | sha256sum) $(pwd -P)" > .venv/.steelyard-stamp'
    subprocess.run(["bash", "-c", stamp], cwd=folder, check=True)

    def made(at: Path) -> bool:
        search = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
        told = subprocess.run([at / READ[-1]], env=search, capture_output=True, text=True, check=False)
        assert told.returncode in (0, 1), told.stderr
        return told.returncode == 0

    assert made(folder)
    link.symlink_to(folder)
    assert made(link), "it is the same folder, by another name"
    assert (folder / ".venv").is_dir()
    folder.rename(moved)
    assert not made(moved)
    assert not (moved / ".venv").exists()


@pytest.mark.parametrize("module", ["sqlalchemy.orm", "sklearn.ensemble", "prefect.server.api.server"])
def test_what_is_installed_is_compiled_also_where_python_may_not_write_it(module: str) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert Path(cache_from_source(spec.origin)).exists(), "each process compiles it anew: remove .venv, and make env"
