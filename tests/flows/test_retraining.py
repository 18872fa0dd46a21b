"""What a later run of a model owes to the earlier ones, and what a registration checks of the registry."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.home import Home
from components.planning.ledger import ledger_at
from components.release.releases import Releases
from components.store.artifact import Artifact
from flows.running import yard_of
from tests.flows.conftest import people
from tests.flows.place import Place

pytestmark = pytest.mark.slow

FLIPPED = """
import sys
from pathlib import Path
from tasks import registry
from tests.flows.place import flip

register, root = registry.register, Path(sys.argv[1])

def flipped(run, bundle, **told):
    version = register(run, bundle, **told)
    (file,) = (path for path in root.rglob("artifacts/model.onnx") if path.read_bytes() == bundle.files["onnx"].read_bytes())
    flip(file)
    return version

registry.register = flipped
from flows.cli import main
sys.argv = ["steelyard", "run", "recipe.yaml", "--set", "train.optimizer.lr=0.07"]
main()
"""


INTERRUPTED = """
import sys
from prefect import task_engine

def interrupted(*_, **__):
    raise KeyboardInterrupt

task_engine._create_task_run_locally = interrupted
from flows.cli import main
sys.argv = ["steelyard", "run", "recipe.yaml", "--set", "train.optimizer.lr=0.08"]
main()
"""


def parts_of(place: Place) -> dict[int, str]:
    """The part of each row, by its content, as the latest split assigned it."""
    home = Home(place.home)
    record = ledger_at(home.ledger).history("people", "split", limit=1)[0]
    stored = Artifact(**record.outputs["assignments"])  # type: ignore[arg-type,call-overload,index]
    table = pq.read_table(yard_of(home, "people").store.get(stored))
    return dict(zip(table["content"].to_pylist(), table["part"].to_pylist(), strict=True))


def test_a_stratified_split_leaves_earlier_rows_where_they_were(place: Place, tmp_path: Path) -> None:
    before = parts_of(place)
    lines = people(400).splitlines()
    shutil.copy(place.folder / "recipe.yaml", tmp_path)
    added = [lines[0], *lines[201:], *lines[1:201]]  # the new rows first
    (tmp_path / "people.csv").write_text("\n".join(added) + "\n", "utf-8")
    replace(place, folder=tmp_path).child("run", "recipe.yaml", "--until", "split")
    after = parts_of(place)
    assert len(after) > 1.8 * len(before)
    assert {content: after[content] for content in before} == before


def test_a_version_whose_file_was_changed_at_registration_is_refused_and_is_no_release(place: Place) -> None:
    known = [release.version for release in Releases(ledger_at(Home(place.home).ledger), "people").all()]
    command = [sys.executable, "-c", FLIPPED, str(place.folder)]
    root = str(Path(__file__).parents[2])
    told = subprocess.run(
        command,
        cwd=place.folder,
        env={**place.variables(), "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2, told.stderr[-3000:]
    assert "the registry holds another file than was released" in told.stderr
    assert [release.version for release in Releases(ledger_at(Home(place.home).ledger), "people").all()] == known


def test_ctrl_c_while_prefect_begins_a_task_is_ctrl_c(place: Place) -> None:
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=place.folder,
        env=place.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 130, told.stderr[-3000:]
    assert "Traceback" not in told.stderr
    assert "the next run goes on from there" in told.stderr
