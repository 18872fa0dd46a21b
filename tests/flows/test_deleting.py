"""A run whose flow run somebody deletes in Prefect while it is at work."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from flows.console import Show
from tasks.living import pulse
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.servers.faults import wait_until
from tests.servers.prefect import shared_server
from tests.servers.tables import with_tables

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is
MODEL = "deleted"


def delete(api_url: str) -> None:
    """Delete the run as Prefect's pages do, as soon as it is at work."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[MODEL]))
    with SyncPrefectClient(api_url, httpx_settings={"trust_env": False}) as client:

        def begun() -> "list[FlowRun]":
            return [one for one in client.read_flow_runs(flow_run_filter=wanted) if one.start_time]

        wait_until(begun)
        time.sleep(1)  # for its first look
        client.delete_flow_run(begun()[0].id)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    return Place(folder=tmp_path, home=with_tables(tmp_path / "home"))


def deleted(place: Place, *changes: str) -> Told:
    """Run, and delete the run before an epoch of it has ended."""
    with shared_server() as server, ThreadPoolExecutor(1) as beside:
        deleting = beside.submit(delete, server.api_url)
        with patch.object(Show, "metrics", lambda *_, **__: deleting.result()):
            told = place.call("run", "recipe.yaml", "--json", "--set", f"model={MODEL}", *changes)
        assert deleting.done()
    assert "Traceback" not in told.err
    return told


def test_a_run_that_was_deleted_is_told_so_within_a_pulse_and_refused(place: Place) -> None:
    told = deleted(place, "--set", "train.epochs=900000")
    assert told.code == 2, told.err
    assert told.err.endswith(
        f"refused: {MODEL}: its flow run was deleted in Prefect\n  to do:   run again: what was done is kept\n"
    )


def test_a_run_that_was_done_before_it_heard_of_that_is_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "TURN_SECONDS", 600.0)
    told = deleted(place)
    assert told.code == 0, told.err
    assert told.json["onnx"]["sha256"]
