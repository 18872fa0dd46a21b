"""Prefect's rows about runs of ours: which ended long ago, which wait for a worker, and which run asked for one."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from tasks.remote.asker import GONE
from tasks.remote.pools import DOCTOR, STAGE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

TAG: Final = "steelyard"  # of every flow run of ours
LEDGER: Final = "ledger "  # begins the tag that names the ledger of a run: others may use the server as well
RUN: Final = "run "  # begins the tag that names the run which asked for a stage
PAGE: Final = 200  # the most that Prefect gives at once
FLOWS: Final = ("retrain", STAGE, DOCTOR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A flow run that has ended."""

    id: str
    name: str
    ended: float  # in seconds since 1970


def old_rows(client: "SyncPrefectClient", *, before: float, ledger: str | None) -> Iterator[Row]:
    """Yield the flow runs of ours that ended before that. `ledger`: only those of that one."""
    from prefect.client.schemas import filters as by

    flows = by.FlowFilter(name=by.FlowFilterName(any_=list(FLOWS)))
    limit = datetime.fromtimestamp(before, UTC)
    ended = by.FlowRunFilterEndTime.model_validate({"before_": limit, "is_null_": False})
    tags = by.FlowRunFilterTags(all_=[TAG, LEDGER + ledger]) if ledger else None
    wanted, start = by.FlowRunFilter(end_time=ended, tags=tags), 0
    while page := client.read_flow_runs(flow_filter=flows, flow_run_filter=wanted, limit=PAGE, offset=start):
        start += len(page)
        for one in page:
            if one.end_time is not None:
                yield Row(id=str(one.id), name=one.name, ended=one.end_time.timestamp())


def remove_row(client: "SyncPrefectClient", flow_run: str) -> None:
    """Remove a flow run with its tasks; the server then removes its log. One that isn't there is fine."""
    from prefect.exceptions import ObjectNotFound

    with suppress(ObjectNotFound):
        client.delete_flow_run(UUID(flow_run))


def asked_by(client: "SyncPrefectClient", flow_run: str) -> str:
    """Return the run that asked for the stage of a flow run; an empty string where Prefect doesn't know."""
    from prefect.exceptions import ObjectNotFound

    try:
        found: Any = client.read_flow_run(UUID(flow_run))
    except (ObjectNotFound, ValueError):
        return ""
    return _asker(found.tags)


def _asker(tags: Iterable[str]) -> str:
    return next((tag.removeprefix(RUN) for tag in tags if tag.startswith(RUN)), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A flow run that no process has begun."""

    id: str
    name: str
    since: float  # in seconds since 1970
    run: str  # that asked for it


def waiting_rows(client: "SyncPrefectClient", *, ledger: str) -> list[Waiting]:
    """Return the stages that runs of the ledger have asked for, and no process has begun.

    One that is Pending was taken up by a worker, which may have died before it had a process.
    """
    from prefect.client.schemas import filters as by

    waiting = {"tags": {"all_": [TAG, LEDGER + ledger]}, "state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}
    wanted = by.FlowRunFilter.model_validate(waiting)
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(found)):
        found += page
    return [
        Waiting(id=str(one.id), name=one.name, since=one.created.timestamp(), run=run)
        for one in found
        if one.created is not None and (run := _asker(one.tags))
    ]


def withdraw(client: "SyncPrefectClient", flow_run: str) -> bool:
    """Cancel a flow run that no process has begun. False: one has by now, or it is gone."""
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Cancelled

    with suppress(ObjectNotFound):
        state = client.read_flow_run(UUID(flow_run)).state
        if state is not None and (state.is_scheduled() or state.is_pending()):
            client.set_flow_run_state(UUID(flow_run), Cancelled(message=GONE), force=True)
            return True
    return False
