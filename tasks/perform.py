"""How a stage gets done: the look for a hit, the lease, the work, the commit. Nothing heavy is imported here either."""

import gc
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

from components.disk import full_disk_refused
from components.planning.held import held
from components.planning.key import Parts, key_of
from components.planning.ledger import Lease, LeaseLost, Record
from components.planning.mirror import Mirror
from components.planning.nested import nested
from components.store.artifact import Artifact
from components.store.store import Stamps, Store
from tasks.stage import Inputs, Stage, Workspace, Yard

P = ParamSpec("P")
R = TypeVar("R")
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """What became of a stage in a run."""

    stage: str
    label: str
    key: str
    outputs: R
    cached: bool
    seconds: float


def find(stage: Stage[P, R], inputs: Inputs, yard: Yard) -> Done[R] | None:
    """Return the stage's outputs if they are there, whole, from an earlier time."""
    label = stage.label(inputs)
    if stage.settled is not None:
        if stage.name in yard.force:
            return None
        outputs = stage.settled(yard, **inputs)
        return None if outputs is None else Done(stage.name, label, stage.name, outputs, True, 0.0)
    return recorded(stage, label, key_of(stage.parts(inputs)), yard)


def begun(stage: Stage[P, R], inputs: Inputs, yard: Yard) -> bool:
    """Say whether an attempt that was stopped left checkpoints, from which the next one goes on."""
    if stage.settled is not None:
        return False
    key = key_of(stage.parts(inputs))
    here = any(True for _ in (yard.home.work / key).glob("*/checkpoint/*"))
    return here or (yard.travels and yard.ledger.checkpoint(key) is not None)


def perform(stage: Stage[P, R], inputs: Inputs, yard: Yard, *, log: logging.Logger) -> Done[R]:
    """Return the stage's outputs: from the record, or from another worker that is at it, or by doing the work."""
    if stage.settled is not None:
        return _settle(stage, inputs, yard, log)
    label, parts = stage.label(inputs), stage.parts(inputs)
    key = key_of(parts)
    while True:
        since = time.monotonic()
        if hit := taken(stage, label, key, yard):
            return hit
        lease = _lease(f"stage {key}", label, yard, log, since=since)
        try:
            # Between the look and the lease the other worker may have ended: look again before working.
            if hit := taken(stage, label, key, yard):
                return hit
            _tell_of_loss(stage, label, key, yard, log)
            return _do(stage, inputs, yard, parts=parts, lease=lease, log=log)
        except LeaseLost:
            log.warning("%s: took longer than its lease, and another worker took it over", label)
        finally:
            yard.ledger.release(lease)


def _tell_of_loss(stage: Stage[P, R], label: str, key: str, yard: Yard, log: logging.Logger) -> None:
    """Say so where it was done before, and the store no longer has the result as it was: a disk may be failing."""
    if stage.name not in yard.force and yard.ledger.record(key) is not None:
        said = f"{label}: what it made before is damaged or gone, so it is done again"
        log.warning(said)
        yard.tracker.say(f"{'':10}{said}")


def _settle(stage: Stage[P, R], inputs: Inputs, yard: Yard, log: logging.Logger) -> Done[R]:
    """Make the actual state the wanted one, if it isn't: one run of a model at a time."""
    if done := find(stage, inputs, yard):
        return done
    lease = _lease(f"{stage.name} of {yard.model}", stage.label(inputs), yard, log, since=time.monotonic())
    try:
        with held(lease, yard.ledger, seconds=yard.lease_seconds):
            return find(stage, inputs, yard) or _do_uncached(stage, inputs, yard, log)
    finally:
        yard.ledger.release(lease)


def _lease(name: str, label: str, yard: Yard, log: logging.Logger, *, since: float) -> Lease:
    """Wait for the right to do the work. The ledger was asked at `since`, by time.monotonic(), and has answered.

    Where the ledger was away, the worker that is at it couldn't renew its lease: it is given the time to.
    """
    slow, pause = yard.lease_seconds / 3, min(POLL_SECONDS, yard.lease_seconds / 3)
    waiting, patient_until = False, 0.0
    while True:
        now, answered = yard.ledger.now(), time.monotonic()
        if answered - since > slow + pause:
            patient_until = answered + yard.lease_seconds
        since, over_by = answered, 0.0 if answered < patient_until else now + slow
        if lease := yard.ledger.acquire(name, seconds=yard.lease_seconds, over_by=over_by):
            return lease
        if not waiting:
            said = f"{label}: another run is at it, or was a moment ago: waiting for its result"
            log.info(said)
            yard.tracker.say(f"{'':10}{said}")
        waiting = True
        time.sleep(pause)


def taken(stage: Stage[P, R], label: str, key: str, yard: Yard) -> Done[R] | None:
    """Return what is recorded under the key as what is used now.

    Its use is noted before its outputs are looked at: `reap`, which removes what was last used long ago, either sees
    that, or was faster, and then there is no record.
    """
    return recorded(stage, label, key, yard) if yard.ledger.note_use(yard.model, label, key) else None


def recorded(stage: Stage[P, R], label: str, key: str, yard: Yard) -> Done[R] | None:
    """Return what is recorded under the key, if all of it is in the store, whole; in a forced run only its own."""
    record = yard.ledger.record(key)
    if record is None or (stage.name in yard.force and record.run != yard.run):
        return None
    try:
        outputs = stage.outputs(record)
    except ValueError:  # recorded when its type was another one
        return None
    kept = list(artifacts(outputs))
    now = [yard.store.stamps(one) for one in kept]
    if not all(yard.store.is_intact(one, record.stamps, hash_all=yard.verify) for one in kept):
        return None
    stamps = {digest: stamp for some in now if some for digest, stamp in some.items()}
    if stamps != record.stamps:  # only the times differ: it was hashed just now, and need not be the next time
        yard.ledger.restamp(key, stamps)
    return Done(stage.name, label, key, outputs, True, record.seconds)


def stand_in(done: Done[R], stage: Stage[P, R], inputs: Inputs, yard: Yard) -> Done[R]:
    """Record what was done in place of what these inputs ask for under their key as well: later runs look for that.

    Where another run is at them by now, or has done them, perhaps on a larger GPU, its result is what later runs find.
    """
    parts = stage.parts(inputs)
    key = key_of(parts)
    if (lease := yard.ledger.acquire(f"stage {key}", seconds=yard.lease_seconds)) is None:
        return done
    try:
        if hit := taken(stage, done.label, key, yard):
            return hit
        if (made := yard.ledger.record(done.key)) is None:
            return done
        # It stays the result of the run that made it, at that time: `why` compares runs by both.
        yard.ledger.commit(lease, replace(made, key=key, parts=parts), model=yard.model)
    except LeaseLost:
        return done
    finally:
        yard.ledger.release(lease)
    return replace(done, key=key)


def artifacts(value: object) -> Iterator[Artifact]:
    """Yield every artifact within a stage's outputs."""
    if isinstance(value, Artifact):
        yield value
        return
    for part in nested(value):
        yield from artifacts(part)


def _do(stage: Stage[P, R], inputs: Inputs, yard: Yard, *, parts: Parts, lease: Lease, log: logging.Logger) -> Done[R]:
    key, label = key_of(parts), stage.label(inputs)
    folder = _own_folder(yard.home.work / key, lease)
    started = time.monotonic()
    with held(lease, yard.ledger, seconds=yard.lease_seconds) as hold:
        here = Workspace(folder=folder, yard=yard, log=log, hold=hold)
        try:
            with full_disk_refused(folder), _travelling(here, key, lease), _cycles_freed():
                made = stage.do(here, inputs)
        except Exception as error:
            if not yard.ledger.holds(lease):  # the folder was taken along by the worker that took over
                raise LeaseLost(lease.name) from error
            raise
        record = Record(
            key=key,
            stage=stage.name,
            label=label,
            model=yard.model,
            run=yard.run,
            outputs=stage.as_recorded(made),
            stamps=_stamps(made, yard.store),
            parts=parts,
            seconds=time.monotonic() - started,
            at=time.time(),
        )
    outputs = stage.outputs(record)  # as every later run will see them: equal keys downstream, now and then
    yard.ledger.commit(lease, record)
    _clear(folder)
    if yard.travels:
        _mirror(here, key).drop()
    return Done(stage.name, label, key, outputs, False, record.seconds)


@contextmanager
def _cycles_freed() -> Iterator[None]:
    """Free what the block leaves in cycles, such as an exporter's copy of the weights: a process may seldom do it."""
    try:
        yield
    finally:
        gc.collect(1)  # what is new since this was done the last time; of libraries each object once


def _travelling(here: Workspace, key: str, lease: Lease) -> AbstractContextManager[None]:
    """Have the checkpoints that another machine left, and let others have those of this one."""
    if not here.yard.travels:
        return nullcontext()
    mirror = _mirror(here, key)
    mirror.bring()
    return mirror.kept(lease)


def _mirror(here: Workspace, key: str) -> Mirror:
    return Mirror(here.checkpoints, key, here.yard.store, here.yard.ledger)


def _do_uncached(stage: Stage[P, R], inputs: Inputs, yard: Yard, log: logging.Logger) -> Done[R]:
    folder = yard.home.work / f"{stage.name}-{yard.run}"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        here = Workspace(folder=folder, yard=yard, log=log)
        outputs = stage.do(here, inputs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Done(stage.name, stage.label(inputs), stage.name, outputs, False, time.monotonic() - started)


def _stamps(outputs: object, store: Store) -> Stamps:
    found: Stamps = {}
    for artifact in artifacts(outputs):
        stamps = store.stamps(artifact)
        if stamps is None:
            raise FileNotFoundError(f"{artifact.name} vanished from the store while its stage ran")
        found |= stamps
    return found


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another attempt, forced, has begun beside it
        folder.parent.rmdir()


def _own_folder(folder: Path, lease: Lease) -> Path:
    """Take over the folder of an earlier attempt, so that a worker that lost its lease no longer finds it."""
    own = folder / lease.token
    earlier = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    if earlier:
        earlier[-1].rename(own)
        for stale in earlier[:-1]:
            shutil.rmtree(stale, ignore_errors=True)
    own.mkdir(parents=True, exist_ok=True)
    return own
