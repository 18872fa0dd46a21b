"""What becomes of runs that no process is at any more, by the automations of a real Prefect server."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tasks.living import watch
from tasks.living.signs import SILENT
from tasks.living.watch import CANCELLED, NAME, UNENDED, keep_watch
from tasks.remote.rows import TAG
from tests.servers.faults import wait_until
from tests.tasks.living.conftest import Begin

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, client: "SyncPrefectClient") -> Iterator[None]:
    """The least that Prefect waits. The server is other tests' as well: nothing of it stays there."""
    monkeypatch.setattr(watch, "SILENT_SECONDS", 10.0)
    yield
    for name in (NAME, CANCELLED):
        for one in client.read_automations_by_name(name):
            client.delete_automation(one.id)


def test_a_dead_run_comes_to_its_end_also_where_it_was_cancelled_and_no_other_is_touched(
    client: "SyncPrefectClient", begin: Begin
) -> None:
    from prefect.states import Cancelling, Running

    before, died = begin(Cancelling(), TAG), begin(Running(), TAG)
    theirs = [begin(Cancelling()), begin(Running())]
    keep_watch(client)
    later = begin(Cancelling(), TAG)
    theirs.append(begin(Cancelling(), "another team's"))

    def told(run: object) -> tuple[str, str]:
        state = client.request("GET", f"/flow_runs/{run}").json()["state"]
        return state["type"], state["message"]

    wait_until(lambda: told(later)[0] != "CANCELLING", seconds=60)
    wait_until(lambda: told(before)[0] != "CANCELLING" and told(died)[0] != "RUNNING", seconds=60)
    assert told(later) == told(before) == ("CANCELLED", UNENDED)
    assert told(died) == ("CRASHED", SILENT)
    assert [told(run)[0] for run in theirs] == ["CANCELLING", "RUNNING", "CANCELLING"]


def test_an_automation_that_is_as_it_should_be_is_left_alone(client: "SyncPrefectClient") -> None:
    def made() -> list[dict[str, object]]:
        keep_watch(client)
        found: list[dict[str, object]] = client.request("POST", "/automations/filter").json()
        return found

    first = made()
    assert {one["name"] for one in first} >= {NAME, CANCELLED}
    assert made() == first
