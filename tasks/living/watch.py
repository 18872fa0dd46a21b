"""What finds a run that died silently: automations on the Prefect server, which see that no more is heard of it.

Prefect lets a run that is cancelled become Cancelled alone, so there are two.
`python -P -m tasks.living.watch` makes them on the server of PREFECT_API_URL.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tasks.living.signs import ALIVE, CANCELLING, ENDED, LOOKED_FOR, OURS, SILENT, tell, time_of
from tasks.remote.endings import ABANDONED
from tasks.remote.rows import TAG

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import StateType
    from prefect.events.schemas.automations import AutomationCore

NAME: Final = "Steelyard: runs that died silently"
CANCELLED: Final = "Steelyard: cancelled runs that nobody ended"
SILENT_SECONDS: Final = 90.0  # nine signs that didn't come; a run that lives ends within 80 of being cancelled
UNENDED: Final = "cancelled, and its process didn't tell its end: it is gone"
ENDS: Final = frozenset(f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed", "Cancelled"))
PAGE: Final = 200  # runs, the most that Prefect gives at once


def main() -> None:
    """Keep watch at the server of the environment."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        keep_watch(client)


def keep_watch(client: "SyncPrefectClient") -> None:
    """Have the server end a run of which nothing is heard; and look for those that it has as running, or cancelled.

    What was known of these is forgotten where the server was down: one that is still there will give a sign.
    """
    from prefect.client.schemas.objects import StateType

    for wanted in (automation(), of_cancelled()):
        _set_up(client, wanted)
    for kind, event in ((StateType.RUNNING, LOOKED_FOR), (StateType.CANCELLING, CANCELLING)):
        if runs := _in_state(client, kind):
            tell(client, event, runs, at=time_of(client.hello()))


def automation() -> "AutomationCore":
    """Return the one for runs that die. A sign both begins the wait and ends the one before."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=NAME,
        description="Made by `steelyard`. Only Steelyard's own runs give these signs of life; no other run is touched.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            after={ALIVE, LOOKED_FOR},
            expect={ALIVE, ENDED, *ENDS},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=SILENT, force=False)],
    )


def of_cancelled() -> "AutomationCore":
    """Return the one for runs whose cancelling nobody ends: neither they themselves, nor a worker."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    return AutomationCore(
        name=CANCELLED,
        description=f"Made by `steelyard`. Only runs with the tag `{TAG}` are followed; no other run is touched.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification({**OURS}),
            after={"prefect.flow-run.Cancelling", CANCELLING},
            expect={f"prefect.flow-run.{ABANDONED}", *ENDS},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENT_SECONDS),
        ),
        actions=[ChangeFlowRunState(state=StateType.CANCELLED, name="Cancelled", message=UNENDED, force=False)],
    )


def _set_up(client: "SyncPrefectClient", wanted: "AutomationCore") -> None:
    """Make an automation, or bring it up to date. One that a person has paused stays so."""
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return
    for twice in found[1:]:  # of two runs that began at once
        client.delete_automation(twice.id)
    if any(getattr(found[0], part) != getattr(wanted, part) for part in ("description", "trigger", "actions")):
        client.update_automation(found[0].id, wanted.model_copy(update={"enabled": found[0].enabled}))


def _in_state(client: "SyncPrefectClient", kind: "StateType") -> "list[UUID]":
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )

    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[kind]))
    asked = FlowRunFilter(state=state, tags=FlowRunFilterTags(all_=[TAG]))
    found: list[UUID] = []
    while runs := client.read_flow_runs(flow_run_filter=asked, limit=PAGE, offset=len(found)):
        found += [run.id for run in runs]
    return found


if __name__ == "__main__":
    main()
