"""Which processes of workers nobody waits for: decided by leases, and by who their parents are."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from components.reap.garbage import Garbage

START_SECONDS: Final = 180.0  # for a process to take its lease, or to be written down


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process of the home's on this machine, by its environment and its command."""

    pid: int
    created: float  # in seconds since 1970: tells it from a later one with its pid
    flow_run: str = ""  # of Prefect, whose stage it does; else it is a server or a worker that `up` has started
    mark: str = ""  # of such a service
    has_worker: bool = False  # among its parents is a worker

    @property
    def name(self) -> str:
        """What it is called in a list: pid and start."""
        return f"{self.pid} {self.created}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive:
    """What is known to live."""

    flow_runs: AbstractSet[str]  # whose process holds its lease
    runs: AbstractSet[str]  # whose process does
    run_of: Mapping[str, str]  # the run that waits for a flow run; those of which Prefect can't be asked are missing
    services: AbstractSet[str]  # marks of those that are written down


def left_processes(found: Iterable[Process], alive: Alive, *, now: float) -> Iterator[Garbage]:
    """Yield the processes that nobody waits for, and those of services that nobody knows of."""
    for one in found:
        if now - one.created >= START_SECONDS and (why := _left(one, alive)):
            yield Garbage("processes", one.name, None, one.created, note=why)


def _left(one: Process, alive: Alive) -> str:
    if not one.flow_run:
        return "" if one.mark in alive.services else "of an `up` that was broken"
    run = alive.run_of.get(one.flow_run)
    if run is not None and run not in alive.runs:
        return f"the run {run}, which asked for its stage, is gone"
    if not one.has_worker and one.flow_run not in alive.flow_runs:
        return "it has neither a worker nor its lease"
    return ""
