"""A run whose flow run somebody deletes in Prefect while it is at work."""

import time
from pathlib import Path
from threading import Thread

import pytest

from tasks.living import pulse
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.servers.prefect import shared_server
from tests.servers.tables import with_tables

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is
MODEL = "deleted"


def delete(api_url: str) -> None:
    """Delete the run as Prefect's pages do, as soon as it is at work."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[MODEL]))
    with SyncPrefectClient(api_url, httpx_settings={"trust_env": False}) as client:
        while not (found := [one for one in client.read_flow_runs(flow_run_filter=wanted) if one.start_time]):
            time.sleep(0.1)
        time.sleep(1)  # for its first look
        client.delete_flow_run(found[0].id)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, "utf-8")
    return Place(folder=tmp_path, home=with_tables(tmp_path / "home"))


def deleted(place: Place, *changes: str) -> Told:
    """Run, and delete the run as it begins."""
    with shared_server() as server:
        thread = Thread(target=delete, args=(server.api_url,), daemon=True)
        thread.start()
        told = place.call("run", "recipe.yaml", "--json", "--set", f"model={MODEL}", *changes)
        thread.join()
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
