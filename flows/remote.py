"""The flows that a worker runs: one stage, asked for by a run in another process, and what `doctor` asks."""

import json
import logging
import os
import resource
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from types import FrameType
from typing import Any, Final, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from components.errors import refuse
from components.every import every
from components.gpus import asked_for, taken
from components.home import Home, find_home
from components.planning.held import RUN, Taken, living
from components.planning.machine import gpus
from components.store.artifact import Artifact
from flows.console import Pace, epoch_line, resumed_line
from flows.running import yard_of
from flows.servers.backend import enter_record
from tasks.living.pulse import pulse
from tasks.living.stopping import Stop, Stopped, stoppable
from tasks.perform import perform
from tasks.remote.asker import GONE, TURN_SECONDS, Asker
from tasks.remote.attempt import LOGGER, lease_of
from tasks.remote.endings import ABANDONED, name_of, over
from tasks.remote.patience import reached
from tasks.remote.request import Request, got, understood
from tasks.stage import Yard
from tasks.tracker import Figures
from tasks.tracking.runs import joined

MEMORY: Final = "STEELYARD_MEMORY_GB"  # what was asked for, as the pool's template passes it on
GPUS: Final = "STEELYARD_GPUS"
AGAIN_SECONDS: Final = 5.0  # a limit that went unheard, say in a finalizer, is said again
MESSAGE: Final = 2000  # letters of what went wrong, in Prefect
WORKER_SECONDS: Final = 15.0  # for a worker to end a process of its own that was cancelled; it is surer to be heard
DEAF_SECONDS: Final = 10.0  # for Python's next line, when this process is to end: nothing of its is lost


@flow(name="stage", persist_result=False, validate_parameters=False)
def stage(request: dict[str, Any], minutes: float | None) -> State[None]:
    """Do what the request in the store asks for, and leave its record in the ledger.

    `request` is an Artifact as a dictionary, `minutes` the time that the stage may take.
    """
    try:
        log = _log()
        yard = reached(lambda: _met(find_home()), say=log.info)
        with (
            _alive(yard),
            stoppable(deaf_seconds=DEAF_SECONDS) as stop,
            pulse(flow_run.id, stop, patience=WORKER_SECONDS),
        ):
            try:
                asked = reached(lambda: got(Artifact(**request), yard.store), say=log.info)
                return _done(asked, yard, stop, log, minutes=minutes)
            finally:
                APILogHandler().flush()  # before the run that waits hears of the end
    except Stopped as stopped:
        return Cancelled(name=ABANDONED if str(stopped) == GONE else "Cancelled", message=str(stopped))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what libraries in Rust raise where memory is short is no Exception
        name = name_of(error)
        if name is None:
            raise
        return Failed(name=name, message=str(error)[:MESSAGE])


@flow(name="doctor", persist_result=False, validate_parameters=False)
def doctor(blob: str, lease: str) -> State[None]:
    """Look at what a stage needs from here, and tell it in the message of the end."""
    from flows.doctor.workers import opinion

    found = opinion(find_home(), blob=blob, lease=lease)
    return Completed(name="Examined", message=json.dumps([asdict(one) for one in found]))


def _log() -> logging.Logger:
    """Return the log that is shown where the run was started."""
    said = logging.LoggerAdapter(logging.getLogger(LOGGER), cast(Any, get_run_logger()).extra)
    return cast(logging.Logger, said)  # it has all that a logger is asked for


def _met(home: Home) -> Yard:
    """Return where to work. Its ledger has answered, and is waited for from then on."""
    yard = yard_of(home, "")
    yard.ledger.now()
    return yard


def _done(request: Request, yard: Yard, stop: Stop, log: logging.Logger, *, minutes: float | None) -> State[None]:
    """Do it for a run that lives: that is looked at before GPUs are waited for, which may take days, and meanwhile."""
    asker = Asker(yard.ledger, RUN + request.run, stop)
    if not asker.begins():
        return Cancelled(name=ABANDONED, message=GONE)
    name = request.stage.rpartition(":")[2]
    with (
        every(TURN_SECONDS, asker.look, name="the run that waits"),
        _gpus(log, stage=name),
        _limits(minutes, stage=name),
    ):
        asked, inputs = understood(request)
        force = frozenset([asked.name]) if request.force else frozenset()
        with joined(yard.home, request.run, uri=enter_record(yard.home)) as tracking:
            told = _Told(tracking, log)
            working = replace(yard, model=request.model, force=force, run=request.run, tracker=told)
            done = perform(asked, inputs, working, log=cast(logging.Logger, get_run_logger()))
    return Completed(name="Cached" if done.cached else "Completed")


@contextmanager
def _alive(yard: Yard) -> Iterator[None]:
    """Hold the lease by which the run that waits knows that this process lives."""
    try:
        with living(lease_of(flow_run.id), yard.ledger, seconds=yard.lease_seconds):
            yield
    except Taken:
        raise refuse("this run is worked at by another process already", where=str(flow_run.id)) from None


@contextmanager
def _gpus(log: logging.Logger, *, stage: str) -> Iterator[None]:
    """Let this process see the GPUs that were asked for, no others, and no other stage on this machine see them."""
    wanted, there = int(os.environ.get(GPUS) or 0), gpus()
    if not wanted:
        yield
        return
    if len(there) < wanted:
        what = f"{asked_for(wanted)}, and the worker's process sees {len(there)}"
        do = f"lower workers.{stage}.gpus, or let workers.{stage}.pool name one whose workers have them"
        raise refuse(what, where=stage, do=do)
    with taken(wanted, of=there, say=log.info) as names:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)  # torch isn't loaded yet
        _check_torch(wanted, stage=stage)
        yield


def _check_torch(wanted: int, *, stage: str) -> None:
    import torch

    if torch.cuda.device_count() < wanted:
        what = f"{asked_for(wanted)}, and PyTorch on the worker can use {torch.cuda.device_count()}"
        raise refuse(what, where=stage, do="install a build of PyTorch for its GPUs there, or look at their driver")


@contextmanager
def _limits(minutes: float | None, *, stage: str) -> Iterator[None]:
    """Keep this process to what was asked for it."""
    gigabytes = float(os.environ.get(MEMORY) or 0)
    if gigabytes:
        # The allocator of pyarrow, which isn't loaded yet, takes a gigabyte at once, and uses little of it.
        os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        resource.setrlimit(resource.RLIMIT_DATA, (int(gigabytes * 1e9), resource.RLIM_INFINITY))

    def rung(_signal: int, _frame: FrameType | None) -> None:
        raise _Over

    before = signal.signal(signal.SIGALRM, rung)
    signal.setitimer(signal.ITIMER_REAL, 60 * (minutes or 0), AGAIN_SECONDS)  # 0 is never
    try:
        yield
    except _Over:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise over(minutes or 0, stage=stage) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Over(BaseException):
    """The time is up. No `except Exception` on the way may take this for its own: those of logging do."""


@dataclass(frozen=True, slots=True)
class _Told:
    """Passes figures on to where they are kept, and says them in the log, for the run that waits to show."""

    kept: Figures
    log: logging.Logger
    pace: Pace = field(default_factory=Pace)

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Pass on the figures of an epoch; the first says how long it takes."""
        self.kept.metrics(values, step=step)
        for line in (epoch_line(values, step=step), *self.pace.told()):
            self.say(line)

    def past(self, name: str, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Pass on what another process had done, perhaps without sending it, and say where it goes on."""
        for epoch, values in enumerate(epochs):
            self.kept.metrics(values, step=epoch)
        self.say(resumed_line(name, epochs=len(epochs), step=step))

    def progress(self, step: int, steps: int, what: str = "") -> None:
        """Keep quiet, a line a step is too much; but for one in a long epoch, that says how long it takes."""
        for line in self.pace.step(step, steps, what):
            self.say(line)

    def say(self, line: str) -> None:
        """Say a line."""
        self.log.info("%s", line)
