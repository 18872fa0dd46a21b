"""Which stages run on a worker of a pool instead of in the run's own process, and what they may take there."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

from components.rules import Breach, Ruled, breach

ASKED: Final = ("cpus", "gpus", "memory_gb")  # what a pool's template has to have a word for


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker(Ruled):
    """Where a stage runs. What is asked for must be something that the pool can express: nothing is dropped."""

    pool: str  # a work pool of Prefect's
    cpus: int | None = None  # cores; None: as many as the worker's process may use
    gpus: int | None = None
    memory_gb: float | None = None  # of 1e9 bytes; what takes more ends as out of memory
    wait_minutes: float | None = None  # for a worker to take it up; None: for as long as it takes
    time_limit_minutes: float | None = None  # from its start on a worker
    retries: int = 2  # so often it is begun again on another worker when its own is lost

    def _breaches(self) -> Iterator[Breach]:
        for name in ("cpus", "gpus", "memory_gb", "wait_minutes", "time_limit_minutes"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                yield breach(f"{name} is above 0, or left out", name)
        if not self.pool:
            yield breach("pool is the name of a work pool", "pool")
        if self.retries < 0:
            yield breach("retries is 0 or more", "retries")

    @property
    def asked(self) -> dict[str, str]:
        """What is asked of the pool, by the names that its template has for it."""
        wanted = {name: getattr(self, name) for name in ASKED}
        return {name: f"{value:g}" for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """A worker for each stage that can run elsewhere: those that need nothing but what lies in the store.

    Ingest reads the data where it lies, profile and the gate measure the machine that they run on, and what follows
    changes the registry: these stay with the run.
    """

    split: Worker | None = None
    train: Worker | None = None
    evaluate: Worker | None = None
    prune: Worker | None = None
    convert: Worker | None = None
    quantize: Worker | None = None
    export: Worker | None = None
    evaluate_test: Worker | None = None

    @property
    def named(self) -> dict[str, Worker]:
        """The worker of each stage that has one."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {stage: worker for stage, worker in given.items() if worker is not None}

    def of(self, stage: str) -> Worker | None:
        """Return the worker of a stage, None where it runs in the run's own process."""
        return self.named.get(stage)
