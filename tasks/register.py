"""Make the release a version of the registered model: complete, and frozen from then on."""

import time
from dataclasses import dataclass

from components.evaluation.bunches import rows_in_words
from components.figure import figure
from components.recipe import Recipe
from components.release.releases import Release, Releases
from components.task import Metric
from tasks.answering import answering_code
from tasks.bundle import bundle
from tasks.evidence import Evidence
from tasks.report import Reported
from tasks.smoke import check_answers
from tasks.stage import Workspace, Yard, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A version of the registered model."""

    model: str
    version: int
    run_id: str  # of the MLflow run that it came from


def registered(yard: Yard, recipe: Recipe, evidence: Evidence, **_: object) -> Registered | None:
    """Return the version that holds this very file and the present code, if the registry still has it and its files."""
    from tasks.registry import has

    found = Releases(yard.ledger, recipe.model).of(evidence.selected.onnx, answered_by=answering_code())
    # An older one of the same file is to take the place of one that is lost: it must not prove damaged then.
    there = (one for place, one in enumerate(found) if has(yard, one, hashed=yard.verify or place > 0))
    release = next(there, None)
    if release is None:
        return None
    return Registered(model=recipe.model, version=release.version, run_id=release.run_id)


@stage(settled=registered, retries=1)
def register(here: Workspace, recipe: Recipe, evidence: Evidence, *, reported: Reported) -> Registered:
    """Log the release with all that proves it, register it, then download it, hash it and run it again."""
    from components.release.files import ONNX
    from components.release.provenance import head
    from tasks import registry
    from tasks.tracking.runs import existing

    run, selected, tested = existing(here.yard.run), evidence.selected, evidence.tested
    releases = Releases(here.yard.ledger, recipe.model)
    releases.check_registry(here.yard.registry)
    if not registry.versions(run.client, recipe.model):
        releases.set_aside()  # the registry is new, or was lost
    parts = bundle(here, recipe, evidence, page=reported.page)
    sentence, tags = _told(evidence, recipe.judged_by)
    spent = {one.version for one in releases.all() if one.run_id != here.yard.run}
    version = registry.register(run, parts, model=recipe.model, description=sentence, tags=tags, spent=spent)
    release = Release(
        model=recipe.model,
        version=version,
        run_id=here.yard.run,
        candidate=selected.name,
        runtime=selected.runtime,
        onnx=selected.onnx,
        checkpoint=selected.model,
        provenance=head(parts.files["provenance"].read_bytes()),
        answered_by=answering_code(),
        registry=here.yard.registry,
        assignments=evidence.splits.assignments,
        report=reported.page,
        task=recipe.task,
        target=recipe.data.target,
        classes=tuple(one.name for one in tested.selected.classes),
        metric=recipe.judged_by,
        test={metric: one.value for metric, one in tested.selected.figures.items()},
        latency_ms={str(size): one.value for size, one in selected.measurement.latency_ms.items()},
        size_bytes=selected.onnx.size_bytes,
        at=time.time(),
    )
    files = check_answers(release, version, into=here.folder / "downloaded", files={ONNX: release.onnx.digest})
    releases.add(release, files=files)
    return Registered(model=recipe.model, version=version, run_id=here.yard.run)


def _told(evidence: Evidence, metric: Metric) -> tuple[str, dict[str, str]]:
    """Return what the registry's page says of the version: a sentence, and tags to search by."""
    selected, judgement = evidence.selected, evidence.judged.judgement
    tested = evidence.tested.selected
    quality, confidence = tested.of(metric), 100 * tested.confidence
    rows = rows_in_words(tested.rows, tested.bunches, kind="test ")
    sentence = (
        f"{selected.name} on {selected.runtime}: {metric} {figure(quality.value)} "
        f"({confidence:g} % interval {figure(quality.low)} to {figure(quality.high)}) on {rows}, "
        f"{selected.onnx.size_bytes:,} bytes. Gate: {judgement.decision}, {judgement.reason}"
    )
    tags = {
        "candidate": selected.name,
        "runtime": selected.runtime,
        "onnx_sha256": selected.onnx.digest,
        "data_sha256": evidence.splits.dataset.folder.digest,
        f"test.{metric}": f"{quality.value:.6g}",
        "gate": judgement.decision,
    }
    return sentence, {f"steelyard.{name}": value for name, value in tags.items()}
