"""Work pools: whether they can express what a recipe asks of them, and the flow that their workers run."""

from typing import TYPE_CHECKING, Final

from components.errors import Problem, Refusal, nearest, refuse
from components.workers import Worker

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import WorkPool

FLOW: Final = "stage"
ENTRYPOINT: Final = f"flows.remote.{FLOW}"


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
        do = nearest(worker.pool, names) or "`steelyard up` makes 'local'; others are made with `prefect work-pool`"
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


def deployment_of(client: "SyncPrefectClient", pool: "WorkPool") -> "UUID":
    """Return the deployment of the flow that workers of the pool run, made where it isn't there."""
    flow = client.create_flow_from_name(FLOW)
    return client.create_deployment(
        flow, name=pool.name, work_pool_name=pool.name, entrypoint=ENTRYPOINT, enforce_parameter_schema=False
    )


def is_polled(client: "SyncPrefectClient", pool: str) -> bool:
    """Say whether a worker of the pool has reported of late."""
    return any(worker.status == "ONLINE" for worker in client.read_workers_for_work_pool(pool))
