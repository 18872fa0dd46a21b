"""The registry of models, in MLflow: versions with their files, and the alias `champion`."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from components.errors import Problem, Refusal, refuse
from components.home import Home
from components.reap.marking import Registered
from components.release.files import NEEDED, ONNX, keep_only, loads
from components.release.releases import Release, Releases
from tasks.home_registry import CHAMPION, alias_in_database, folder_at, place_in_database, places_in_database
from tasks.stage import Yard
from tasks.tracking.away import made_once
from tasks.tracking.connecting import Client, connect
from tasks.tracking.runs import Tracking

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import LoggedModel
    from mlflow.models import Model, ModelSignature

UNKNOWN: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's words for: no version, no alias


class Gone(Refusal):
    """The registry has lost a version, or its files aren't where they were put: that says nothing of the version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The files of a version, and how callers speak to it."""

    files: Mapping[str, Path]  # by the name that `served.py` knows them by
    inputs: Sequence[tuple[str, str, bool]]  # name, type, required
    outputs: Sequence[tuple[str, str, bool]]
    example: Sequence[Mapping[str, str | float | bool | None]]


def register(
    tracking: Tracking,
    bundle: Bundle,
    *,
    model: str,
    description: str,
    tags: Mapping[str, str],
    spent: Collection[int] = (),
) -> int:
    """Log the bundle as a pyfunc model from code, register it, and return its version.

    A version that the run has made already is taken, and so is a model that it has logged: an attempt was broken off.
    Numbers that are `spent` on versions of other runs are passed over: a registry that was put back as it was earlier
    gives them once more.
    """
    client = tracking.client

    def made() -> list[int]:
        found = client.search_model_versions(f"name = '{model}' and run_id = '{tracking.run_id}'")
        return sorted(int(one.version) for one in found)

    def find() -> int | None:
        return next((version for version in made() if version not in doubles), None)

    def make() -> int:
        one = client.create_model_version(
            model,
            f"models:/{logged}",
            run_id=tracking.run_id,
            tags=dict(tags),
            description=description,
            model_id=logged,
        )
        return int(one.version)

    doubles = set(spent).intersection(made())
    if before := find():
        _drop(client, model, doubles)
        return before
    logged = _logged(tracking) or _log(tracking, bundle)
    _drop_unfinished(tracking)
    _enter_name(client, model)
    while (version := made_once(make, find=find)) in spent:
        doubles.add(version)
    _drop(client, model, doubles)  # only now: a registry may count from the last one that is there
    return version


def _drop(client: "Client", model: str, doubles: Collection[int]) -> None:
    """Delete the versions that a run made under numbers that are spent."""
    for double in sorted(doubles):
        client.delete_model_version(model, str(double))


def _logged(tracking: Tracking) -> str | None:
    """Return the id of the whole model that the run has logged already, if it has one."""
    return next((str(one.model_id) for one in _models(tracking) if _is_whole(one)), None)


def _drop_unfinished(tracking: Tracking) -> None:
    """Delete the models that the run began and never finished: the answer was lost, and another was made."""
    for one in _models(tracking):
        if not _is_whole(one):
            tracking.client.delete_logged_model(one.model_id)


def _models(tracking: Tracking) -> "list[LoggedModel]":
    of_run = f"source_run_id = '{tracking.run_id}'"
    return list(tracking.client.search_logged_models([tracking.experiment_id], of_run))


def _is_whole(one: "LoggedModel") -> bool:
    from mlflow.entities import LoggedModelStatus

    return one.status == LoggedModelStatus.READY


def _log(tracking: Tracking, bundle: Bundle) -> str:
    """Log the bundle as a pyfunc model from code, and return its id."""
    import mlflow
    import pandas as pd
    from mlflow.models import Model

    from components.release import served

    with mlflow.start_run(run_id=tracking.run_id):
        info = Model.log(
            None,
            _PublicPyfunc,
            name="model",
            flavor_name="pyfunc",
            python_model=served.__file__,
            artifacts={name: str(path) for name, path in bundle.files.items()},
            signature=signature_of(bundle),
            input_example=pd.DataFrame([dict(row) for row in bundle.example]),
            pip_requirements=_requirements(),
        )
    return str(info.model_id)


def _enter_name(client: "Client", model: str) -> None:
    """Have the registry know the model's name; of several who enter it at once, one does."""
    from mlflow.exceptions import MlflowException

    if client.search_registered_models(f"name = '{model}'"):
        return
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


class _PublicPyfunc:
    """MLflow's pyfunc flavor, without the absolute paths that it notes of the machine that saved the model.

    It reads none of them when it loads: only the last part of the code's path, and the artifacts' relative ones.
    """

    @staticmethod
    def save_model(
        *,
        path: str,
        mlflow_model: "Model",
        python_model: str,
        artifacts: Mapping[str, str],
        signature: "ModelSignature",
        input_example: "pd.DataFrame",
        pip_requirements: Sequence[str],
    ) -> None:
        import mlflow

        mlflow.pyfunc.save_model(
            path=path,
            mlflow_model=mlflow_model,
            python_model=python_model,
            artifacts=artifacts,
            signature=signature,
            input_example=input_example,
            pip_requirements=pip_requirements,
        )
        noted = mlflow_model.flavors["python_function"]
        noted["model_code_path"] = Path(noted["model_code_path"]).name
        for artifact in noted["artifacts"].values():
            artifact["uri"] = artifact["path"]
        mlflow_model.artifact_path = "model"
        mlflow_model.save(str(Path(path, "MLmodel")))


def download(model: str, version: int | str, *, into: Path) -> Path:
    """Have the files of a version, or of what an alias such as `champion` names, and return their folder.

    Raises:
        Gone: MLflow no longer knows the version, or what loads it isn't where it was put.
    """
    folder = bring(model, version, into=into)
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise files_gone(f"{named(model, version)} are gone from the registry: {', '.join(missing)}")
    return folder


def bring(model: str, version: int | str, *, into: Path) -> Path:
    """Have those files of a version that are there, and return their folder.

    Raises:
        Gone: MLflow no longer knows the version, or not one of its files is where it was put.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    into.mkdir(parents=True, exist_ok=True)
    name = named(model, version)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}", dst_path=str(into)))
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        do = "`steelyard promote` another one, or `steelyard run RECIPE`, which registers the model anew"
        raise Gone([Problem(what=f"the registry no longer has {name}", do=do)]) from None
    if not any(path.is_file() for path in folder.rglob("*")):  # MLflow takes a folder that isn't there for an empty one
        raise files_gone(f"{name} are gone from the registry")
    return folder


def named(model: str, version: int | str) -> str:
    """Return how MLflow writes a version, or what an alias names."""
    return f"{model}/{version}" if isinstance(version, int) else f"{model}@{version}"


def files_gone(what: str) -> Gone:
    """Return the refusal of a version that lacks files."""
    do = "bring MLflow's artifacts back, or `steelyard run RECIPE`, which registers the model anew"
    return Gone([Problem(what=f"the files of {what}", do=do)])


def as_released(release: Release, *, files: Mapping[str, str], into: Path) -> Path:
    """Have the files of a release, which had those SHA-256 when it was released, and return their folder.

    Raises:
        Gone: they aren't where they were put, or one there isn't the one that was released.
    """
    folder = download(release.model, release.version, into=into)
    keep_only(folder, released=files)
    if not loads(folder, release.onnx, released=files):
        what = f"the files of {release.model}/{release.version} in the registry aren't those that were released"
        do = f"`steelyard verify {release.model} {release.version}` says what became of them; `steelyard run RECIPE "
        do += "--verify` registers them anew"
        raise Gone([Problem(what=what, do=do)])
    return folder


def answers(folder: Path, rows: Sequence[Mapping[str, str | float | bool | None]]) -> "pd.DataFrame":
    """Load a downloaded version as its users do, and return its answers to rows given as records."""
    import mlflow
    import pandas as pd

    found = mlflow.pyfunc.load_model(str(folder)).predict(pd.DataFrame([dict(row) for row in rows]))
    return found if isinstance(found, pd.DataFrame) else pd.DataFrame(found)


def load(folder: Path) -> "Callable[[pd.DataFrame], pd.DataFrame]":
    """Load a downloaded version as its users do, and return what answers a frame of raw rows.

    The answering raises Refusal for rows that the model can't read.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    model = mlflow.pyfunc.load_model(str(folder))

    def answer(rows: "pd.DataFrame") -> "pd.DataFrame":
        try:
            answers: pd.DataFrame = model.predict(rows)
        except MlflowException as error:
            raise refuse(str(error.message), do="mend the rows") from None
        return answers

    return answer


def alias(client: "Client", model: str) -> int | None:
    """Return the version that the alias `champion` names."""
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(model, CHAMPION).version)
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        return None


def set_alias(client: "Client", model: str, version: int | None) -> None:
    """Let the alias `champion` name the version, or nothing."""
    if version is None:
        client.delete_registered_model_alias(model, CHAMPION)
    else:
        client.set_registered_model_alias(model, CHAMPION, str(version))


def versions(client: "Client", model: str) -> list[int]:
    """Return the versions that the registry has of the model."""
    return sorted(int(one.version) for one in client.search_model_versions(f"name = '{model}'"))


def registered(client: "Client", model: str) -> dict[int, Registered]:
    """Return the versions that the registry has of the model, with what `reap` asks of them."""
    if not (found := client.search_registered_models(f"name = '{model}'")):
        return {}
    aliases = client.get_registered_model(found[0].name).aliases
    return {
        int(one.version): Registered(
            aliases={alias for alias, version in aliases.items() if int(version) == int(one.version)},
            data=one.tags.get("steelyard.data_sha256", ""),
        )
        for one in client.search_model_versions(f"name = '{model}'")
    }


def signature_of(bundle: Bundle) -> "ModelSignature":
    """Return the bundle's columns as MLflow demands them of callers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = cast(Callable[[], AnyType], AnyType)()

    def columns(fields: Sequence[tuple[str, str, bool]]) -> Schema:
        return Schema([ColSpec(any_type if kind == "any" else kind, name, required) for name, kind, required in fields])

    return ModelSignature(inputs=columns(bundle.inputs), outputs=columns(bundle.outputs))


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow", "pyarrow")
    return [f"{name}=={version(name)}" for name in names]


def named_champion(home: Home, model: str, *, uri: str | None) -> int | None:
    """Return the version that the alias `champion` names in the registry at the address; without one, the home's."""
    if uri is None:
        return alias_in_database(home, model)
    return alias(connect(home, uri=uri), model)


def known_versions(home: Home, model: str, *, uri: str | None) -> set[int]:
    """Return the versions that the registry at the address has; without an address, the home's own."""
    if uri is None:
        return set(places_in_database(home, model))
    return set(versions(connect(home, uri=uri), model))


def has(yard: Yard, release: Release, *, hashed: bool) -> bool:
    """Say whether the yard's registry has the version, and its files are where they were put.

    They are looked at, not read, unless they are to be `hashed`: they must be those that were released then.
    """
    released = Releases(yard.ledger, release.model).known_files(release) if hashed else None
    if yard.registry_uri is not None:
        connect(yard.home, uri=yard.registry_uri)
        return _has_files(f"models:/{release.model}/{release.version}", release, released)
    place = place_in_database(yard.home, release.model, release.version)
    if place is None:
        return False
    if (folder := folder_at(place)) is None:
        return _has_files(place, release, released)
    return loads(folder, release.onnx, released=released)


def _has_files(place: str, release: Release, released: Mapping[str, str] | None) -> bool:
    """Say the same of an address of MLflow's: two lists, and a download where there is something to compare with."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        parts = {below: mlflow.artifacts.list_artifacts(f"{place}/{below}".rstrip("/")) for below in ("", "artifacts/")}
    except MlflowException as error:
        if error.error_code not in UNKNOWN:
            raise
        return False
    sizes = {below + Path(one.path).name: one.file_size for below, listed in parts.items() for one in listed}
    if not set(NEEDED) <= sizes.keys() or sizes[ONNX] != release.onnx.size_bytes:
        return False
    if released is None:
        return True
    with tempfile.TemporaryDirectory() as folder:
        return loads(Path(mlflow.artifacts.download_artifacts(place, dst_path=folder)), release.onnx, released=released)
