"""A run that lives looks at its state in a real Prefect, and ends where that says so."""

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from httpx import HTTPStatusError

from tasks.living import pulse as module
from tasks.living.deleted import DELETED
from tasks.living.pulse import CANCELLED, Pulse
from tasks.living.stopping import Stop
from tests.clock import Clock
from tests.tasks.living.conftest import Begin

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is


class Told(Stop):
    """Writes down why the process is to end."""

    def __call__(self, why: str) -> None:
        self.why = why


def test_what_was_cancelled_and_goes_on_has_all_its_time_when_it_is_cancelled_again(
    client: "SyncPrefectClient", begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.states import Cancelling, Running

    stop, patience, clock = Told(0.0), 20.0, Clock()
    monkeypatch.setattr(module, "time", clock)
    run = begin(Cancelling())
    pulse = Pulse(client, run, stop, patience)
    pulse.turn()
    client.set_flow_run_state(run, Running(), force=True)
    clock.sleep(patience)
    pulse.turn()
    client.set_flow_run_state(run, Cancelling(), force=True)
    pulse.turn()
    assert stop.why == ""
    clock.sleep(patience)
    pulse.turn()
    assert stop.why == CANCELLED


def test_a_run_that_was_deleted_ends_at_once_and_one_that_a_proxy_does_not_find_goes_on(
    client: "SyncPrefectClient", begin: Begin
) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.states import Running

    stop = Told(0.0)
    run = begin(Running())
    elsewhere = str(client.api_url).replace("/api", "/api/v9")
    with SyncPrefectClient(elsewhere, httpx_settings={"trust_env": False}) as lost, pytest.raises(HTTPStatusError):
        Pulse(lost, run, stop, patience=0.0).turn()
    assert stop.why == ""
    Pulse(client, uuid4(), stop, patience=600.0).turn()
    assert stop.why == DELETED
