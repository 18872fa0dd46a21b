"""Signs of life, as events on the Prefect server: of names that nobody else uses, so that no other team's run has them.

Prefect's own heartbeats come every 30 seconds at most, every 180 unless each worker is told otherwise. What would wait
for the next one must not take a run for dead whose worker wasn't told.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tasks.remote.rows import TAG

if TYPE_CHECKING:
    from httpx import Response
    from prefect.client.orchestration import SyncPrefectClient

ALIVE: Final = "steelyard.run.alive"
ENDED: Final = "steelyard.run.ended"  # no further sign comes, and none is missing
LOOKED_FOR: Final = "steelyard.run.looked-for"  # a sign is waited for, from one that may have died long ago
CANCELLING: Final = "steelyard.run.cancelling"  # its end is waited for, though it may have been cancelled long ago
SILENT: Final = "no sign of life: the process is gone"  # the message of a run that the server gave up
# The tag of Steelyard's runs, as Prefect's own events have it.
OURS: Final = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}


def tell(client: "SyncPrefectClient", event: str, runs: Sequence[object], *, at: datetime) -> None:
    """Put an event of each of these runs on the server; `at` is the server's time."""
    client.request("POST", "/events", json=[_event(event, run, at) for run in runs])


def _event(event: str, run: object, at: datetime) -> dict[str, object]:
    resource = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    return {
        "id": str(uuid.uuid4()),
        "event": event,
        "occurred": at.isoformat(),
        "resource": resource,
        "related": [OURS],
    }


def time_of(answer: "Response") -> datetime:
    """Return when the server answered, by its own clock: by this machine's a run might be dead before it began."""
    said = answer.headers.get("date")
    return datetime.now(UTC) if said is None else parsedate_to_datetime(said)
