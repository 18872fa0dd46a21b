"""What a stage is: a function with an identity, where it works, and what its key is made of.

A stage is a function of a workspace and typed inputs (frozen dataclasses, artifacts, plain values) that returns a
frozen dataclass. Nothing here imports torch, prefect or mlflow, so that a plan costs no start-up time.
"""

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, get_type_hints

from components.home import Home
from components.models.config import Custom
from components.planning.closure import code_of
from components.planning.held import Hold
from components.planning.key import Json, Parts, canonical, parts_of, strings
from components.planning.ledger import Ledger, Record
from components.planning.nested import nested
from components.recipe_file import without_secrets
from components.store.artifact import Artifact
from components.store.store import Store
from tasks.tracker import Silent, Tracker

if TYPE_CHECKING:
    from pydantic import TypeAdapter

P = ParamSpec("P")
R = TypeVar("R")
Inputs = dict[str, object]
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """Where DVC keeps the versions of data sets: a folder, or `s3://bucket/prefix`."""

    url: str
    endpoint_url: str | None = None  # of S3; None: what AWS's own settings say, or else Amazon's
    origin: str = ""  # the file that S3's keys were read from, for who is to mend them


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
    hold: Hold = field(default_factory=lambda: Hold(""))  # of the right to do this work, which may be lost to another

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

    def do(self, here: Workspace, inputs: Inputs) -> R:
        """Do the work, of inputs as `bind` returns them."""
        return cast(Callable[..., R], self.function)(here, **inputs)

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

    def as_recorded(self, outputs: R) -> Json:
        """Return what a record keeps of them."""
        recorded: Json = json.loads(json.dumps(asdict(cast(Any, outputs))))  # a dataclass, as every stage returns
        return recorded

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


def _user_code(inputs: Inputs) -> list[str]:
    """Return the import paths of the user's own networks among the inputs."""
    return [value.path for value in _dataclasses(inputs) if isinstance(value, Custom)]


def _classes(inputs: Inputs) -> list[str]:
    """Return where the classes of the inputs are defined: their methods are code that the stage may call."""
    classes = {type(value) for value in _dataclasses(inputs)}
    return sorted(f"{one.__module__}:{one.__qualname__}" for one in classes)


def _dataclasses(value: object) -> Iterator[object]:
    if is_dataclass(value) and not isinstance(value, type):
        yield value
    for part in nested(value):
        yield from _dataclasses(part)


@cache
def _adapter(returns: type) -> "TypeAdapter[object]":
    from pydantic import TypeAdapter

    return TypeAdapter(returns)
