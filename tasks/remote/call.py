"""Ask a worker for a stage's result, and wait for the record of it: that is the answer, and the only one.

Each attempt is a run of its own in Prefect, known by the run, the key and the attempt: asking twice is asking once.
"""

import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from components.errors import refuse
from components.memory import OutOfMemory
from components.planning.key import key_of
from components.planning.ledger import Record
from components.store.artifact import Artifact
from components.workers import Worker
from tasks.perform import Done, recorded, taken
from tasks.remote.attempt import Attempt
from tasks.remote.endings import Lost
from tasks.remote.patience import Patience
from tasks.remote.pools import deployment_of, pool_of
from tasks.remote.request import put, request_of
from tasks.remote.rows import LEDGER, RUN, TAG
from tasks.stage import Inputs, Stage, Yard

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

P = ParamSpec("P")
R = TypeVar("R")
MORE_MEMORY: Final = 2.0  # as much, once, where it was short


def perform_elsewhere(
    stage: Stage[P, R], inputs: Inputs, yard: Yard, *, worker: Worker, log: logging.Logger
) -> Done[R]:
    """Return the stage's outputs: from the record, or by a worker of the pool.

    Raises:
        Refusal: the pool isn't there or can't express what is asked, none of its workers takes the stage up in time, it
            refused its input, it took more memory than it was given, also when that was doubled, or more of its
            processes went away than it has retries.
        OutOfMemory: it took more than its GPU has.
    """
    from prefect.client.orchestration import get_client

    label, key = stage.label(inputs), key_of(stage.parts(inputs))
    if hit := taken(stage, label, key, yard):
        return hit
    request = request_of(stage, inputs, model=yard.model, run=yard.run, force=stage.name in yard.force)
    patience = Patience(yard.tracker.say)
    with get_client(sync_client=True) as client:
        patience.wait(client.hello)  # from then on the client itself bears a restart
        asked = _Asked(
            client=client,
            request=put(request, yard.store, yard.home.work / "requests"),
            key=key,
            label=label,
            yard=yard,
            log=log,
            before=yard.ledger.record(key),
            forced=request.force,
            patience=patience,
        )
        asked.of(worker)
    found = recorded(stage, label, key, yard)
    if found is None:
        raise RuntimeError(f"{label}: the record that a worker left is gone again")
    return replace(found, cached=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What workers are asked for, until one of them has done it."""

    client: "SyncPrefectClient"
    request: Artifact
    key: str
    label: str
    yard: Yard
    log: logging.Logger
    before: Record | None  # what was recorded when it was asked for: forced, or no longer whole
    forced: bool
    patience: Patience

    def of(self, worker: Worker) -> None:
        """Ask workers of the pool, again where one was lost, and once with more memory where that was short."""
        pool = pool_of(self.client, worker)
        deployment, lost, memory = deployment_of(self.client, pool), 0, worker.memory_gb
        while True:
            flow_run = self.client.create_flow_run_from_deployment(
                deployment,
                parameters={"request": asdict(self.request), "minutes": worker.time_limit_minutes},
                name=f"{self.yard.model} {self.label}",
                tags=[TAG, LEDGER + self.yard.ledger.identity(), RUN + self.yard.run],
                idempotency_key=f"{self.yard.run} {self.key} {lost} {memory}",
                job_variables=replace(worker, memory_gb=memory).asked,
            )
            self._tell(f"asked of pool '{pool.name}'")
            attempt = Attempt(
                self.client,
                self.yard.ledger,
                flow_run.id,
                self.label,
                pool.name,
                self.patience,
                minutes=worker.time_limit_minutes,
                wait_minutes=worker.wait_minutes,
            )
            try:
                attempt.wait(self._done)
                return
            except Lost as error:
                if error.perhaps_memory and memory is not None and memory == worker.memory_gb:
                    memory *= MORE_MEMORY
                    self._tell(f"{error}, perhaps short of memory: once more with {memory:g} GB")
                    continue
                lost += 1
                if lost > worker.retries:
                    also = f", or raise workers.{self._stage}.memory_gb" if error.perhaps_memory and memory else ""
                    do = f"look at the worker's log, then run again: what was done is kept{also}"
                    raise refuse(f"{error}, time and again", where=self.label, do=do) from error
                self._tell(f"{error}: asked again")
            except OutOfMemory as error:
                if error.of == "GPU":
                    raise
                if memory is None or memory != worker.memory_gb:
                    do = f"raise workers.{self._stage}.memory_gb, or make the stage smaller"
                    raise refuse(str(error), where=self.label, do=do) from error
                memory *= MORE_MEMORY
                self._tell(f"{error}: once more with {memory:g} GB")

    @property
    def _stage(self) -> str:
        return self.label.split()[0]

    def _done(self) -> bool:
        record = self.yard.ledger.record(self.key)
        if record is None or (self.forced and record.run != self.yard.run):  # another run may be forced as well
            return False
        return self.before is None or record.at != self.before.at

    def _tell(self, what: str) -> None:
        self.log.info("%s: %s", self.label, what)
        self.yard.tracker.say(f"{'':10}{self.label}: {what}")
