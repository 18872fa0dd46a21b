"""Work pools: whether they can express what a recipe asks of them, and the flows that their workers run."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from components.errors import Problem, Refusal, nearest, refuse
from components.workers import ASKED, Worker

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import WorkPool

STAGE: Final = "stage"
DOCTOR: Final = "doctor"  # what `steelyard doctor` asks of them


def pool_of(client: "SyncPrefectClient", worker: Worker) -> "WorkPool":
    """Return the pool.

    Raises:
        Refusal: it isn't there, or its template has no variable for something that is asked.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        pool = client.read_work_pool(worker.pool)
    except ObjectNotFound:
        names = [one.name for one in client.read_work_pools()]
        what = f"there is no work pool '{worker.pool}'"
        made = "`steelyard up`, or `steelyard up --production`, makes 'local'; others are made with `prefect work-pool`"
        do = nearest(worker.pool, names) or made
        raise refuse(what, where="workers", allowed=", ".join(names), do=do) from None
    known = pool.base_job_template.get("variables", {}).get("properties", {})
    problems = [
        Problem(
            what=f"the pool '{pool.name}' can't express {name}: its template has no such variable",
            where="workers",
            do=f"leave {name} out, or give the pool a template of infra/",
        )
        for name in worker.asked
        if name not in known
    ]
    if problems:
        raise Refusal(problems)
    return pool


def deployment_of(client: "SyncPrefectClient", pool: "WorkPool", *, flow: str = STAGE) -> "UUID":
    """Return the deployment of a flow that workers of the pool run, made where it isn't there as it should be.

    It is looked for first: of twenty runs that wrote it again at once, on SQLite, one was refused for nine minutes.
    """
    from prefect.exceptions import ObjectNotFound

    entrypoint = f"flows.remote.{flow}"
    with suppress(ObjectNotFound):
        found = client.read_deployment_by_name(f"{flow}/{pool.name}")
        if (found.entrypoint, found.work_pool_name, found.enforce_parameter_schema) == (entrypoint, pool.name, False):
            return found.id
    return client.create_deployment(
        client.create_flow_from_name(flow),
        name=pool.name,
        work_pool_name=pool.name,
        entrypoint=entrypoint,
        enforce_parameter_schema=False,
    )


def knows_stages(client: "SyncPrefectClient", pool: "WorkPool") -> bool:
    """Say whether the pool is one for stages: its template can express what they ask, or one was sent there before."""
    from prefect.exceptions import ObjectNotFound

    if set(ASKED) & set(pool.base_job_template.get("variables", {}).get("properties", {})):
        return True
    try:
        return bool(client.read_deployment_by_name(f"{STAGE}/{pool.name}"))
    except ObjectNotFound:
        return False


def why_waiting(client: "SyncPrefectClient", pool: str) -> str:
    """Say why nobody of the pool takes a run up."""
    found = client.read_work_pool(pool)
    if found.is_paused:
        return "it is paused"
    if found.default_queue_id and (queue := client.read_work_queue(found.default_queue_id)).is_paused:
        return f"its queue '{queue.name}' is paused"
    if not is_polled(client, pool):
        return "no worker of it is there"
    return "all of its workers are busy" if is_busy(client, pool) else "its workers do nothing: are they still alive?"


def is_busy(client: "SyncPrefectClient", pool: str) -> bool:
    """Say whether something of the pool is running, or about to."""
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkPoolFilterName

    at_work = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
    of_pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    return bool(client.read_flow_runs(flow_run_filter=at_work, work_pool_filter=of_pool, limit=1))


def is_polled(client: "SyncPrefectClient", pool: str) -> bool:
    """Say whether a worker of the pool has reported of late."""
    return any(worker.status == "ONLINE" for worker in client.read_workers_for_work_pool(pool))
