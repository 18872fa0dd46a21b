"""What a worker is asked to do, as a file in the store: the stage, its inputs, and the key that both must find."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints

from components.aim import Aim
from components.data.config import DataConfig
from components.errors import Problem, Refusal, refuse
from components.planning.key import Json, Parts, key_of
from components.recipe_file import public_source
from components.store.artifact import Artifact
from components.store.store import Store
from tasks.stage import Inputs, Stage

HOME = "tasks."  # where stages are: no other module is imported at a caller's word


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One stage for one run."""

    stage: str  # as its module says it: "tasks.train:train"
    inputs: dict[str, Json]
    parts: Parts  # of the key, as the caller found them
    model: str
    run: str
    force: bool

    @property
    def key(self) -> str:
        """The key of the result."""
        return key_of(self.parts)


def request_of(stage: Stage[Any, Any], inputs: Inputs, *, model: str, run: str, force: bool) -> Request:
    """Return the request for a stage's result."""
    from pydantic import TypeAdapter

    kinds = get_type_hints(stage.function)
    given = {name: _public(value) for name, value in inputs.items()}
    return Request(
        stage=f"{stage.function.__module__}:{stage.name}",
        inputs={name: TypeAdapter(kinds[name]).dump_python(value, mode="json") for name, value in given.items()},
        parts=stage.parts(inputs),
        model=model,
        run=run,
        force=force,
    )


def put(request: Request, store: Store, folder: Path) -> Artifact:
    """Put the request into the store; `folder` is for a file on the way there."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as own:  # another run may ask for the same
        file = Path(own) / "request.json"
        file.write_text(json.dumps(asdict(request)), "utf-8")
        return store.put(file)


def got(artifact: Artifact, store: Store) -> Request:
    """Have a request from the store. Raises Refusal where it isn't there."""
    try:
        content = store.get(artifact).read_text("utf-8")
    except FileNotFoundError:
        what, do = "the request isn't in the store that it uses", "`steelyard doctor` compares its settings with yours"
        raise refuse(what, where="worker", do=do) from None
    return Request(**json.loads(content))


def _public(value: object) -> object:
    """Return an input without what only `ingest` needs of it: where the data lies, perhaps with a password."""
    match value:
        case DataConfig():
            return replace(value, source=public_source(value.source))
        case Aim():
            return replace(value, data=replace(value.data, source=public_source(value.data.source)))
        case _:
            return value


def understood(request: Request) -> tuple[Stage[Any, Any], Inputs]:
    """Return the stage and its inputs.

    Raises:
        Refusal: the key isn't the caller's: this process has other code or libraries.
    """
    from pydantic import TypeAdapter

    module, _, name = request.stage.partition(":")
    if not module.startswith(HOME):
        raise Refusal([Problem(what=f"'{request.stage}' is no stage", where="request")])
    stage = getattr(import_module(module), name)
    if not isinstance(stage, Stage):
        raise Refusal([Problem(what=f"'{request.stage}' is no stage", where="request")])
    kinds = get_type_hints(stage.function)
    inputs = {name: TypeAdapter(kinds[name]).validate_python(value) for name, value in request.inputs.items()}
    _check(stage.parts(inputs), request.parts)
    return stage, inputs


def _check(here: Mapping[str, str], there: Mapping[str, str]) -> None:
    names = [name for name in {**there, **here} if here.get(name) != there.get(name)]
    problems = [
        Problem(
            what=f"{name} is {here.get(name, 'not there')} on the worker, {there.get(name, 'not there')} in the run",
            where="worker",
            do="bring both to the same version of the code and of its libraries",
        )
        for name in names[:5]
    ]
    if problems:
        raise Refusal(problems)
