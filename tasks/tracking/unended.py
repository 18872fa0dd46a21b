"""Runs that MLflow shows as running: which those are, and that they have ended, where whoever did them is gone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.tracking.connecting import Client
from tasks.tracking.runs import LEDGER

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """A run without an end."""

    run_id: str
    parent: str  # the run whose lease tells whether it lives: itself, unless it is a child
    name: str
    model: str
    began: float  # seconds since 1970


def open_runs(client: "Client", ledger: str) -> list[Open]:
    """Return the runs without an end that were begun under that ledger, and their children."""
    found = []
    experiments = {str(one.experiment_id): one.name for one in client.search_experiments()}
    for run in _running(client, list(experiments)):
        parent = run.data.tags.get("mlflow.parentRunId", "")
        tags = client.get_run(parent).data.tags if parent else run.data.tags
        if tags.get(LEDGER) == ledger:
            info = run.info
            model, began = experiments[str(info.experiment_id)], info.start_time / 1000
            name = info.run_name or ""
            found.append(Open(run_id=info.run_id, parent=parent or info.run_id, name=name, model=model, began=began))
    return found


def _running(client: "Client", experiments: list[str]) -> "Iterator[Run]":
    token = None
    while experiments:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def began(client: "Client", run_id: str) -> float:
    """Return when a run began, in seconds since 1970: 0 where MLflow doesn't know it."""
    from mlflow.exceptions import MlflowException

    try:
        return float(client.get_run(run_id).info.start_time) / 1000
    except MlflowException:
        return 0.0


def end_open(client: "Client", run_id: str) -> bool:
    """Mark a run as killed, unless it has ended meanwhile: False."""
    if client.get_run(run_id).info.status != "RUNNING":
        return False
    client.set_terminated(run_id, "KILLED")
    return True
