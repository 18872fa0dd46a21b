"""The files of a version: the model, what is asked of it, the report, and the chain of digests that it came by."""

import hashlib
import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING

from components.models.config import Custom
from components.planning.closure import code_of
from components.planning.key import canonical, strings
from components.recipe import Recipe
from components.store.artifact import Artifact
from tasks.evidence import Evidence
from tasks.stage import Workspace

if TYPE_CHECKING:
    from components.release.provenance import Link
    from tasks.registry import Bundle

TRIAL_ROWS = 8
CODE = tuple(f"tasks.{name}:{name}" for name in ("split", "train", "prune", "convert", "quantize", "export"))


def bundle(here: Workspace, recipe: Recipe, evidence: Evidence, *, page: Artifact) -> "Bundle":
    """Lay the files out under the names that they will have in the version."""
    from components.data.preparing.invented import invented
    from components.models.model import read_preparation
    from components.recipe_file import public, to_yaml
    from components.release.provenance import build
    from components.release.serving import example, signature
    from components.release.trial import trial
    from components.runtimes.feeds import predict
    from components.runtimes.table import RUNTIMES
    from tasks.registry import Bundle

    selected, splits = evidence.selected, evidence.splits
    folder = here.folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    preparation = read_preparation(here.open(selected.model))
    columns, target = recipe.data.columns, recipe.data.target
    # Not rows of the data, which may be a customer's: these files go wherever the release goes.
    rows = invented(preparation, columns, count=TRIAL_ROWS, seed=recipe.seed)
    records = example(rows, columns, target=target, count=TRIAL_ROWS)
    outputs = predict(RUNTIMES[selected.runtime](here.open(selected.onnx), threads=1), preparation, rows)
    trial(records, outputs, preparation.target).write(folder / "trial.json")
    copies = {"model.onnx": selected.onnx, "report.html": page, "data.dvc": splits.dataset.dvc_file}
    for name, artifact in copies.items():
        shutil.copyfile(here.open(artifact), folder / name)
    if classes := evidence.tested.selected.classes:
        figures = [asdict(one) for one in classes]
        (folder / "classes.json").write_text(json.dumps(figures, ensure_ascii=False, indent=1), "utf-8")
    (folder / "recipe.yaml").write_text(to_yaml(public(recipe)), "utf-8")
    (folder / "provenance.json").write_bytes(build(links(recipe, evidence), subject="model.onnx"))
    spoken = signature(columns, target=target, task=recipe.task, classes=preparation.target.classes)
    files = {"onnx": folder / "model.onnx"} | {path.stem: path for path in folder.iterdir() if path.suffix != ".onnx"}
    return Bundle(
        files=files,
        inputs=[(one.name, one.type, one.required) for one in spoken.inputs],
        outputs=[(one.name, one.type, one.required) for one in spoken.outputs],
        example=records[:3],
    )


def links(recipe: Recipe, evidence: Evidence) -> "tuple[Link, ...]":
    """Return what the release came by, from its data to the gate."""
    from components.release.provenance import Link

    splits, selected, chosen = evidence.splits, evidence.selected, evidence.chosen
    data, judgement = splits.dataset, evidence.judged.judgement
    return (
        Link(name="data", artifacts={"data": data.folder.digest}, facts={"dvc_md5": data.dvc_md5, "rows": data.rows}),
        Link(name="split", artifacts={"assignments": splits.assignments.digest}, facts=dict(splits.rows)),
        Link(name="code", facts={"sha256": code_digest(recipe)}),
        Link(name="seeds", facts={"training": recipe.seed, "split": recipe.split.seed}),
        Link(name="checkpoint", artifacts={"checkpoint": chosen.model.digest}, facts={"parameters": chosen.parameters}),
        Link(name="candidate", facts={"name": selected.name, "runtime": selected.runtime}),
        Link(
            name="onnx", artifacts={"model.onnx": selected.onnx.digest}, facts={"size_bytes": selected.onnx.size_bytes}
        ),
        Link(name="gate", facts={"decision": judgement.decision, "reason": judgement.reason, "rows": judgement.rows}),
    )


def code_digest(recipe: Recipe) -> str:
    """Return one digest of the code that decides a model of this recipe."""
    named, network = set(strings(canonical(recipe))), recipe.network
    own = [network.path] if isinstance(network, Custom) else []
    code = {entry: code_of(entry, named=named, also=own) for entry in CODE}
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()
