"""What finds a run that died silently: an automation on the Prefect server, which sees that its signs of life end.

`python -P -m tasks.living.watch` makes it on the server of PREFECT_API_URL.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tasks.living.signs import ALIVE, ENDED, LOOKED_FOR, SILENT, tell, time_of
from tasks.remote.rows import TAG

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

NAME: Final = "Steelyard: runs that died silently"
SILENT_SECONDS: Final = 90.0  # nine signs that didn't come
PAGE: Final = 200  # runs, the most that Prefect gives at once


def main() -> None:
    """Keep watch at the server of the environment."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        keep_watch(client)


def keep_watch(client: "SyncPrefectClient") -> None:
    """Have the server call a run crashed whose signs of life end; and look for those that it has as running.

    What was known of these is forgotten where the server was down: one that is still there will give a sign.
    """
    _set_up(client)
    if runs := _running(client):
        tell(client, LOOKED_FOR, runs, at=time_of(client.hello()))


def automation() -> "AutomationCore":
    """Return the automation. A sign both begins the wait and ends the one before."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    ends = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed", "Cancelled")}
    return AutomationCore(
        name=NAME,
        description="Made by `steelyard`. Only Steelyard's own runs give these signs of life; no other run is touched.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            after={ALIVE, LOOKED_FOR},
            expect={ALIVE, ENDED, *ends},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=SILENT, force=False)],
    )


def _set_up(client: "SyncPrefectClient") -> None:
    """Make the automation, or bring it up to date. One that a person has paused stays so."""
    wanted = automation()
    found = client.read_automations_by_name(NAME)
    if not found:
        client.create_automation(wanted)
        return
    for twice in found[1:]:  # of two runs that began at once
        client.delete_automation(twice.id)
    if any(getattr(found[0], part) != getattr(wanted, part) for part in ("description", "trigger", "actions")):
        client.update_automation(found[0].id, wanted.model_copy(update={"enabled": found[0].enabled}))


def _running(client: "SyncPrefectClient") -> "list[UUID]":
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    kinds = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    asked = FlowRunFilter(state=FlowRunFilterState(type=kinds), tags=FlowRunFilterTags(all_=[TAG]))
    found: list[UUID] = []
    while runs := client.read_flow_runs(flow_run_filter=asked, limit=PAGE, offset=len(found)):
        found += [run.id for run in runs]
    return found


if __name__ == "__main__":
    main()
