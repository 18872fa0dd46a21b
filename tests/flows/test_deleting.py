"""A run whose flow run somebody deletes in Prefect while it is at work.

On a server of its own: for as long as Prefect's tries to write down the tasks of a run that is gone, it loses others'.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.home import Home
from flows.servers.services import temporary
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.servers.faults import wait_until
from tests.servers.tables import with_tables

pytestmark = pytest.mark.slow

# Its first epoch doesn't end before the run was deleted; the run is looked at when it begins, and then so often.
CODE = """
import sys, time
from pathlib import Path
from flows.cli import main
from flows.console import Show
from tasks.living import pulse
pulse.TURN_SECONDS, deleted = float(sys.argv.pop(1)), Path(sys.argv.pop(1))
def metrics(self, values, *, step):
    deleted.with_name("begun").touch()
    while not deleted.exists():
        time.sleep(0.05)
Show.metrics = metrics
main()
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    with temporary(Home(with_tables(tmp_path / "server"))) as server:
        server.ready()
        settings = {"STEELYARD_PREFECT_API_URL": server.api_url}
        yield Place(folder=tmp_path, home=with_tables(tmp_path / "home"), settings=settings)


def deleted(place: Place, *changes: str, seconds: float) -> Told:
    """Run, and delete the run before an epoch of it has ended; it looks at itself after so many seconds."""
    mark = place.folder / "deleted"
    arguments = [str(seconds), str(mark), "run", "recipe.yaml", "--json", *changes]
    command = [sys.executable, "-P", "-c", CODE, *arguments]
    variables = {**place.variables(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=place.folder, env=variables, stdout=pipe, stderr=pipe, text=True) as run:
        wait_until(mark.with_name("begun").exists, seconds=120)
        delete(place.settings["STEELYARD_PREFECT_API_URL"])
        mark.touch()
        out, err = run.communicate()
    assert "Traceback" not in err
    return Told(run.returncode, out, err)


def delete(api_url: str) -> None:
    """Delete the run as Prefect's pages do."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=["people"]))
    with SyncPrefectClient(api_url, httpx_settings={"trust_env": False}) as client:
        (run,) = client.read_flow_runs(flow_run_filter=wanted)
        client.delete_flow_run(run.id)


def test_a_run_that_was_deleted_is_told_so_within_a_pulse_and_refused(place: Place) -> None:
    told = deleted(place, "--set", "train.epochs=900000", seconds=0.5)
    assert told.code == 2, told.err
    assert told.err.endswith(
        "refused: people: its flow run was deleted in Prefect\n  to do:   run again: what was done is kept\n"
    )


def test_a_run_that_was_done_before_it_heard_of_that_is_done(place: Place) -> None:
    told = deleted(place, seconds=600.0)
    assert told.code == 0, told.err
    assert told.json["onnx"]["sha256"]
