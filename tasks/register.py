"""Make the release a version of the registered model: complete, and frozen from then on."""

import time
from dataclasses import dataclass
from pathlib import Path

from components.errors import refuse
from components.recipe import Recipe
from components.release.releases import Release, Releases
from tasks.bundle import bundle
from tasks.evaluate import Tested
from tasks.export import Exported
from tasks.gate import Judged
from tasks.profile import Profiled
from tasks.report import Reported
from tasks.select import Selected
from tasks.split import Splits
from tasks.stage import Workspace, Yard, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A version of the registered model."""

    model: str
    version: int
    run_id: str  # of the MLflow run that it came from


def registered(yard: Yard, recipe: Recipe, *, selected: Selected, **_: object) -> Registered | None:
    """Return the version that holds this very file, if the registry still has it."""
    from tasks.tracking import version_in_database

    release = Releases(yard.ledger, recipe.model).of(selected.onnx)
    if release is None or not version_in_database(yard.home, recipe.model, release.version):
        return None
    return Registered(model=recipe.model, version=release.version, run_id=release.run_id)


@stage(settled=registered, retries=1)
def register(
    here: Workspace,
    recipe: Recipe,
    *,
    exported: tuple[Exported, ...],
    profiled: Profiled,
    selected: Selected,
    tested: Tested,
    judged: Judged,
    reported: Reported,
    splits: Splits,
) -> Registered:
    """Log the release with all that proves it, register it, then download it, hash it and run it again."""
    from components.release.provenance import head
    from tasks import tracking

    run = tracking.existing(here.yard.run)
    releases = Releases(here.yard.ledger, recipe.model)
    if not tracking.versions(run.client, recipe.model):
        releases.set_aside()  # the registry is new, or was lost
    tracking.record(run, recipe, exported=exported, profiled=profiled, selected=selected, splits=splits)
    parts = bundle(here, recipe, exported=exported, selected=selected, judged=judged, page=reported.page, splits=splits)
    version = tracking.register(run, parts, model=recipe.model)
    release = Release(
        model=recipe.model,
        version=version,
        run_id=here.yard.run,
        candidate=selected.name,
        runtime=selected.runtime,
        onnx=selected.onnx,
        checkpoint=selected.model,
        provenance=head(parts.files["provenance"].read_bytes()),
        assignments=splits.assignments,
        task=recipe.task,
        target=recipe.data.target,
        classes=tuple(one.name for one in tested.selected.classes),
        metric=recipe.judged_by,
        test={metric: one.value for metric, one in tested.selected.figures.items()},
        latency_ms={str(size): one.value for size, one in selected.measurement.latency_ms.items()},
        size_bytes=selected.onnx.size_bytes,
        at=time.time(),
    )
    check_answers(release, version, into=here.folder / "downloaded")
    releases.add(release)
    return Registered(model=recipe.model, version=version, run_id=here.yard.run)


def check_answers(release: Release, version: int | str, *, into: Path) -> None:
    """Download a version, hash its file, load it as its users do, and ask it the rows that it was registered with.

    Raises:
        Refusal: the file isn't the one that was released, or its answers aren't.
    """
    from components.release.trial import Trial, differences
    from components.store.folder import sha256
    from tasks import tracking

    folder = tracking.download(release.model, version, into=into)
    file = folder / "artifacts" / "model.onnx"
    if (found := sha256(file)) != release.onnx.digest:
        raise refuse(
            f"the registry holds another file than was released: {found[:12]} instead of {release.onnx.digest[:12]}",
            where=f"{release.model} version {version}, model.onnx",
            do="don't serve it; look who changed the registry's artifacts, and release again",
        )
    trial = Trial.read(folder / "artifacts" / "trial.json")
    try:
        answers = tracking.answers(folder, trial.rows)
    except Exception as error:  # MLflow and runtimes raise what they like
        raise refuse(f"the registered model can't be asked: {error}", where=f"{release.model} {version}") from error
    if wrong := differences(trial, answers):
        raise refuse(f"the registered model doesn't answer as it should: {wrong}", where=f"{release.model} {version}")
