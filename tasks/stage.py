"""What every stage shares: its key, the look for a hit, the lease, the work, the commit.

A stage is a function of a workspace and typed inputs (frozen dataclasses, artifacts, plain values) that returns a
frozen dataclass. Nothing here imports torch, prefect or mlflow, so that a plan costs no start-up time.
"""

import gc
import hashlib
import inspect
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar, cast, get_type_hints

from components.home import Home
from components.models.config import Custom
from components.planning.closure import code_of
from components.planning.held import held
from components.planning.key import Parts, canonical, key_of, parts_of, strings
from components.planning.ledger import Lease, LeaseLost, Ledger, Record
from components.planning.mirror import Mirror
from components.recipe_file import without_secrets
from components.store.artifact import Artifact
from components.store.disk import full_disk_refused
from components.store.store import Stamps, Store
from tasks.tracker import Silent, Tracker

if TYPE_CHECKING:
    from pydantic import TypeAdapter

P = ParamSpec("P")
R = TypeVar("R")
Inputs = dict[str, object]
POLL_SECONDS = 0.5
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """Where DVC keeps the versions of data sets: a folder, or `s3://bucket/prefix`."""

    url: str
    endpoint_url: str | None = None  # of S3; None: what AWS's own settings say, or else Amazon's


@dataclass(frozen=True, kw_only=True, slots=True)
class Yard:
    """Where a run works: its state, its name, and how it was asked to treat the cache."""

    home: Home
    store: Store
    ledger: Ledger
    remote: Remote
    model: str
    run: str = ""
    tracker: Tracker = field(default_factory=Silent)
    force: frozenset[str] = frozenset()  # stages to run though they are recorded
    verify: bool = False  # hash every output of a hit, not only those whose stamp changed
    travels: bool = False  # the store is elsewhere, and checkpoints go there: another machine may take a stage up
    registry_uri: str | None = None  # of MLflow; None: the database in the home
    lease_seconds: float = 15.0

    @property
    def registry(self) -> str:
        """Where the registry is, without what may be secret; "" for the home's own."""
        return without_secrets(self.registry_uri or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """What a stage's function is given: a folder of its own, the store, a logger and a tracker.

    The folder survives a killed worker, and the next attempt at the same key on this machine finds it as it was; on
    another machine it finds `checkpoints`, where the store is one that both use. `yard` is for the
    stages that change the world outside the store.
    """

    folder: Path
    yard: Yard
    log: logging.Logger

    @property
    def checkpoints(self) -> Path:
        """The part of the folder that another machine finds as well. Its files are replaced as wholes."""
        return self.folder / "checkpoint"

    @property
    def tracker(self) -> Tracker:
        """Where live figures go."""
        return self.yard.tracker

    def open(self, artifact: Artifact) -> Path:
        """Return where the artifact can be read. It must not be changed."""
        return self.yard.store.get(artifact)

    def keep(self, path: Path) -> Artifact:
        """Put a file or folder into the store."""
        return self.yard.store.put(path)


@dataclass(frozen=True)
class Stage(Generic[P, R]):
    """A function with an identity: its name, its code, the libraries that decide its result.

    `settled` belongs to stages that are never cached because they change the world: it says whether the actual
    state is the wanted one already, and returns the outputs then.
    """

    function: Callable[Concatenate[Workspace, P], R]
    libraries: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # read beside the code, as paths from the repository's root
    retries: int = 0
    settled: Callable[..., R | None] | None = None  # of a yard, and the stage's own inputs

    @property
    def name(self) -> str:
        """The function's name: the stage's word everywhere."""
        return self.function.__name__

    @cached_property
    def _returns(self) -> type:
        returns = self.function.__annotations__["return"]
        return cast(type, get_type_hints(self.function)["return"] if isinstance(returns, str) else returns)

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Inputs:
        """Return the inputs by name."""
        bound = inspect.signature(self.function).bind(None, *args, **kwargs)
        bound.apply_defaults()
        return dict(list(bound.arguments.items())[1:])

    def label(self, inputs: Inputs) -> str:
        """Return the stage's name, with the name of the candidate where it has one."""
        name = inputs.get("name")
        return f"{self.name} {name}" if isinstance(name, str) else self.name

    def parts(self, inputs: Inputs) -> Parts:
        """Return what the key of these inputs is made of."""
        named = set(strings(canonical(inputs)))
        entry = f"{self.function.__module__}:{self.name}"
        code = code_of(entry, named=named, also=_user_code(inputs), types=_classes(inputs))
        files = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest()[:16] for name in self.files}
        return parts_of(inputs, stage=self.name, code=code | files, libraries=self.libraries)

    def outputs(self, record: Record) -> R:
        """Return the recorded outputs as what the function returned. Raises ValueError where they aren't that."""
        return cast(R, _adapter(self._returns).validate_python(record.outputs))


def stage(
    *,
    libraries: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
    retries: int = 0,
    settled: Callable[..., object] | None = None,
) -> Callable[[Callable[Concatenate[Workspace, P], R]], Stage[P, R]]:
    """Make a stage of a function. The function stays as it is, at `.function`."""

    def made(function: Callable[Concatenate[Workspace, P], R]) -> Stage[P, R]:
        return Stage(
            function,
            libraries=libraries,
            files=files,
            retries=retries,
            settled=cast(Callable[..., R | None] | None, settled),
        )

    return made


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
            return taken(stage, label, key, yard) or _do(stage, inputs, yard, parts=parts, lease=lease, log=log)
        except LeaseLost:
            log.warning("%s: took longer than its lease, and another worker took it over", label)
        finally:
            yard.ledger.release(lease)


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
            log.info("%s: another worker is at it; waiting for its result", label)
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


def artifacts(value: object) -> Iterator[Artifact]:
    """Yield every artifact within a stage's outputs."""
    match value:
        case Artifact():
            yield value
        case dict():
            for entry in value.values():
                yield from artifacts(entry)
        case list() | tuple():
            for entry in value:
                yield from artifacts(entry)
        case _ if is_dataclass(value) and not isinstance(value, type):
            for one in fields(value):
                yield from artifacts(getattr(value, one.name))


def _do(stage: Stage[P, R], inputs: Inputs, yard: Yard, *, parts: Parts, lease: Lease, log: logging.Logger) -> Done[R]:
    key, label = key_of(parts), stage.label(inputs)
    folder = _own_folder(yard.home.work / key, lease)
    here, started = Workspace(folder=folder, yard=yard, log=log), time.monotonic()
    with held(lease, yard.ledger, seconds=yard.lease_seconds):
        try:
            with full_disk_refused(folder), _travelling(here, key, lease), _cycles_freed():
                made = stage.function(here, **inputs)  # type: ignore[call-arg,arg-type]
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
            outputs=json.loads(json.dumps(asdict(made))),  # type: ignore[call-overload]
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
        outputs = stage.function(here, **inputs)  # type: ignore[call-arg,arg-type]
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


def _user_code(inputs: Inputs) -> list[str]:
    """Return the import paths of the user's own networks among the inputs."""
    return [value.path for value in _dataclasses(inputs) if isinstance(value, Custom)]


def _classes(inputs: Inputs) -> list[str]:
    """Return where the classes of the inputs are defined: their methods are code that the stage may call."""
    classes = {type(value) for value in _dataclasses(inputs)}
    return sorted(f"{one.__module__}:{one.__qualname__}" for one in classes)


def _dataclasses(value: object) -> Iterator[object]:
    match value:
        case Mapping():
            for entry in value.values():
                yield from _dataclasses(entry)
        case list() | tuple():
            for entry in value:
                yield from _dataclasses(entry)
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield value
            for one in fields(value):
                yield from _dataclasses(getattr(value, one.name))


@cache
def _adapter(returns: type) -> "TypeAdapter[object]":
    from pydantic import TypeAdapter

    return TypeAdapter(returns)
