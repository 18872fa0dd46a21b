"""A run that is killed goes on from there, and ends with the same bytes as one that never was."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.tables import with_tables
from tests.torture.runs import Ended, interrupt, left_running, mlflow_status, run, write_recipe

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("torture")]
ROOT = Path(__file__).parent.parent.parent
# Text after which the run is in the middle of: training, the same training, fine-tuning, the release.
MOMENTS = ("train epoch 5", "train epoch 9", "pruned-50 epoch 2", "select")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return with_tables(tmp_path / "home")


@pytest.fixture(scope="module")
def undisturbed(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = run(recipe, with_tables(tmp_path_factory.mktemp("undisturbed") / "home"))
    assert ended.code == 0, ended.said
    return ended


def test_a_run_killed_at_four_moments_ends_with_the_same_files(recipe: Path, undisturbed: Ended, home: Path) -> None:
    moments = random.Random(11)
    said = []
    for moment in MOMENTS:
        killed = run(recipe, home, kill_after=moment, delay=moments.uniform(0, 0.1))
        assert killed.code == -signal.SIGKILL, killed.said
        said.append(killed.said)
    assert "train epoch 3:" not in said[1], "training started from the beginning, not from its checkpoint"
    ended = run(recipe, home)
    assert ended.code == 0, ended.said
    assert ended.digests == undisturbed.digests
    assert ended.result is not None
    cached = {stage["name"]: stage["cached"] for stage in ended.result["stages"]}  # type: ignore[attr-defined]
    assert cached["train"], "the training that was done before the kill is not done again"
    assert ended.result["decision"]["promoted"]  # type: ignore[index]


@pytest.mark.slow
def test_a_plain_script_of_the_same_components_writes_the_same_files(
    recipe: Path, undisturbed: Ended, tmp_path: Path
) -> None:
    script = [sys.executable, "-m", "benchmarks.plain", str(recipe), str(tmp_path / "plain")]
    subprocess.run(script, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT)
    files = (tmp_path / "plain").glob("*.onnx")
    assert {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == undisturbed.digests


@pytest.mark.slow
def test_ctrl_c_at_any_stage_stops_all_of_it_and_the_next_run_ends_with_the_same_files(
    recipe: Path, undisturbed: Ended, home: Path
) -> None:
    for stage, times in (("ingest", 1), ("quantize", 2), ("register", 1)):
        stopped = interrupt(recipe, home, at=f" {stage}", times=times)
        assert stopped.code == 130, stopped.said
        assert "Traceback" not in stopped.said
        assert "the next run goes on from there" in stopped.said
        assert left_running(home) == []
        assert mlflow_status(home) == "KILLED"
    ended = run(recipe, home)
    assert ended.code == 0, ended.said
    assert ended.digests == undisturbed.digests


@pytest.mark.slow
def test_a_run_ended_by_sigterm_leaves_nothing_running(recipe: Path, home: Path) -> None:
    stopped = run(recipe, home, kill_after="train epoch 3", sig=signal.SIGTERM)
    assert stopped.code == 143, stopped.said
    assert "Traceback" not in stopped.said
    assert "the next run goes on from there" in stopped.said
    assert left_running(home) == []
    assert mlflow_status(home) == "KILLED"
