"""A real Prefect server, and runs in it that no process is at."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.servers.prefect import shared_server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

Begin = Callable[..., UUID]  # of a run, by its tags, that has come to this state


@pytest.fixture
def client() -> "Iterator[SyncPrefectClient]":
    from prefect.client.orchestration import SyncPrefectClient

    settings = {"trust_env": False}
    with shared_server() as server, SyncPrefectClient(server.api_url, httpx_settings=settings) as client:
        yield client


@pytest.fixture
def begin(client: "SyncPrefectClient") -> "Iterator[Begin]":
    from prefect import flow

    runs = []

    def begun(state: "State", *tags: str) -> UUID:
        run = client.create_flow_run(flow(name="retrain")(lambda: None), tags=tags)
        runs.append(run.id)
        client.set_flow_run_state(run.id, state, force=True)
        return run.id

    yield begun
    for run in runs:
        client.request("POST", f"/flow_runs/{run}/set_state", json={"state": {"type": "FAILED"}, "force": True})
