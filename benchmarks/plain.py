"""The main job as a person would write it by hand: `python -m benchmarks.plain RECIPE FOLDER [KEY=VALUE ...]`.

Steelyard's components one after the other, a data set in DVC, and a registered version with the alias `champion` in
MLflow's own file. That file and the data lie beside FOLDER, for the scripts that come after. No stages, keys, leases
or store, no Prefect, no report, no provenance: nothing of it is cached, resumed or proven. What `steelyard run` takes
longer than this is what those cost.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd

from components.compression.candidates import UNCOMPRESSED, Candidate, Measurement, candidates, select, verdicts
from components.compression.config import Prune
from components.compression.layer_errors import layer_errors
from components.compression.pruning import PRUNERS, finetuning
from components.compression.quantization import quantize
from components.data.load import load
from components.data.packing.pack import pack
from components.data.preparing.invented import invented
from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import encode_target
from components.data.preparing.prepare import fit as fit_preparation
from components.data.rows import Rows
from components.data.splitting.purposes import Part, Purpose, rows_of
from components.data.splitting.split import split
from components.evaluation.latency import latency_over_sessions
from components.evaluation.metrics import Evaluation, evaluate, lead
from components.export.canonical import canonical_bytes
from components.export.layers import layers
from components.export.metadata import metadata
from components.export.parity import check, parity, reference
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.gate.gate import Standing, judge
from components.models.model import Model, ModelSpec, build, save
from components.planning.machine import device_kind, usable_cores
from components.recipe import Recipe
from components.recipe_file import read
from components.release import served
from components.release.serving import example
from components.runtimes.feeds import Session, core_batches, predict, repeated
from components.runtimes.table import RUNTIMES
from components.training.from_rows import examples, few
from components.training.linear_start import start_linear_
from components.training.loop import fit
from tasks.stage import Remote
from tasks.versioning import snapshot

ROWS = 8  # with which the registered version is tried
Read = Callable[[Part, Purpose], Rows]


@dataclass(frozen=True, slots=True)
class Watch:
    """Writes the figures of each epoch to MLflow, as they come."""

    name: str

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Nothing is resumed."""

    def step(self, *, step: int, steps: int) -> None:
        """Nobody watches."""

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Log the epoch."""
        mlflow.log_metrics({f"{self.name}.{key}": value for key, value in metrics.items()}, step=epoch)


def release(recipe: Recipe, folder: Path) -> None:
    """Take the model from its data to the alias `champion`."""
    data, parts = folder.parent / "dvc" / "data", folder.parent / "assignments.parquet"
    if not parts.exists():
        pack(recipe.data, data, source=Path(recipe.data.source))
        snapshot(data, workspace=data.parent, remote=Remote(url=str(folder.parent / "remote")))
        split(recipe.split, recipe.data, data, parts, task=recipe.task)

    def rows(part: Part, purpose: Purpose) -> Rows:
        return load(data, rows_of(parts, part, purpose=purpose), recipe.data.columns)

    preparation = fit_preparation(recipe.prepare, recipe.data, rows("train", "fit"), task=recipe.task)
    models = trained(recipe, preparation, rows, folder)
    files = exported(recipe, preparation, models, rows, folder)
    chosen = select(recipe.select, recipe.judged_by, measured(recipe, preparation, files, rows)).name
    register(recipe, preparation, files[chosen], tested(recipe, preparation, files, chosen, rows))


def trained(recipe: Recipe, preparation: Preparation, rows: Read, folder: Path) -> dict[Prune | None, Model]:
    """Return the trained model, and what is left of it by each way of pruning."""
    device = device_kind(recipe.train.device)
    config = replace(recipe.train, device=device, threads=recipe.train.threads or usable_cores())
    learned, stopping = examples(preparation, rows("train", "fit")), examples(preparation, rows("validation", "stop"))
    spec = ModelSpec(task=recipe.task, network=recipe.network, preparation=preparation)
    whole = build(spec, seed=recipe.seed)
    start_linear_(whole, config, learned, seed=recipe.seed, file=folder / "linear.safetensors")
    models: dict[Prune | None, Model] = {None: whole}
    for method in (None, *recipe.prune):
        how = config if method is None else finetuning(method, config)
        name = "train" if method is None else f"pruned-{method.ratio}"
        if method is not None:
            models[method] = PRUNERS[method.method](whole, method, example=few(learned, rows=2)).model
        if how is not None:
            fit(
                models[method],
                how,
                learned,
                stopping,
                spec=spec,
                metric=recipe.judged_by,
                seed=recipe.seed,
                folder=folder / name,
                observer=Watch(name),
            )
        save(models[method], spec, folder / name / "model")
    judged(
        recipe, preparation, rows("validation", "select"), reference(whole, preparation, rows("validation", "select"))
    )
    return models


def exported(
    recipe: Recipe, preparation: Preparation, models: Mapping[Prune | None, Model], rows: Read, folder: Path
) -> dict[str, Path]:
    """Write the file of each candidate, and compare its answers with PyTorch's."""
    graphs = {method: core(model, preparation, opset=recipe.export.opset) for method, model in models.items()}
    facts = metadata(recipe.model, task=recipe.task, columns=recipe.data.columns, preparation=preparation)
    real = rows("validation", "select").some(recipe.export.parity_rows, seed=recipe.seed)

    def file(point: Candidate) -> Path:
        graph = graphs[point.prune]
        if point.quantize is not None:
            some = rows("train", "calibrate").some(point.quantize.rows_read, seed=recipe.seed)
            feeds = [batch.feeds for batch in core_batches(preparation, some, batch_size=32)]
            graph = quantize(graph, point.quantize, calibration=feeds).core
            layer_errors(graphs[point.prune], graph, feeds)
        written = folder / f"{point.name}.onnx"
        written.write_bytes(canonical_bytes(with_raw_inputs(graph, preparation), metadata=facts))
        check(parity(written, models[point.prune], preparation, real), graph, recipe.export, name=point.name)
        layers(graph)
        return written

    return {point.name: file(point) for point in candidates(recipe.prune, recipe.quantize)}


def measured(
    recipe: Recipe, preparation: Preparation, files: Mapping[str, Path], rows: Read
) -> tuple[Measurement, ...]:
    """Return quality on validation, size and latency of each candidate."""
    runtime, some = RUNTIMES[recipe.profile.runtimes[0]], rows("validation", "select")
    feeds = {size: repeated(preparation, some, batch_size=size) for size in recipe.profile.batch_sizes}

    def opened() -> dict[str, Session]:
        return {name: runtime(file, threads=recipe.profile.threads) for name, file in files.items()}

    timings = latency_over_sessions(UNCOMPRESSED, opened, feeds=feeds, config=recipe.profile, seed=recipe.seed)
    found = tuple(
        Measurement(
            name=name,
            quality=judged(recipe, preparation, some, predict(session, preparation, some)).of(recipe.judged_by),
            size_bytes=files[name].stat().st_size,
            latency_ms=timings[name].latency_ms,
            speedup=timings[name].speedup,
        )
        for name, session in opened().items()
    )
    mlflow.log_dict(dict(verdicts(recipe.select, recipe.judged_by, found)), "verdicts.json")
    return found


def tested(recipe: Recipe, preparation: Preparation, files: Mapping[str, Path], chosen: str, rows: Read) -> bool:
    """Judge the chosen and the uncompressed file on the test rows, beside simple models; say if the first may go."""
    part, runtime = rows("test", "report"), RUNTIMES[recipe.profile.runtimes[0]]
    target, classes = encode_target(preparation, part), preparation.target.classes
    outputs = {name: predict(runtime(files[name], threads=1), preparation, part) for name in {chosen, UNCOMPRESSED}}
    simple: dict[str, npt.NDArray[np.float64]] = {}
    if recipe.evaluate.baselines:
        from components.evaluation.baselines import baselines

        learned = rows("train", "fit")
        simple = baselines(
            recipe.task,
            train=learned,
            part=part,
            preparation=preparation,
            metric=recipe.judged_by,
            seed=recipe.seed,
            balanced=recipe.train.balanced,
        ).outputs
    answers: dict[str, npt.NDArray[np.floating]] = {**outputs, **simple}
    for name, output in answers.items():
        figures = judged(recipe, preparation, part, output).figures
        mlflow.log_metrics({f"test.{name.replace('+', ' ')}.{metric}": one.value for metric, one in figures.items()})
    for output in simple.values():
        lead(
            recipe.evaluate,
            metric=recipe.judged_by,
            task=recipe.task,
            target=target,
            output=outputs[chosen],
            other=output,
            classes=len(classes),
            seed=recipe.seed,
        )
    challenger = Standing(
        name=chosen,
        task=recipe.task,
        target=recipe.data.target,
        classes=classes,
        output=outputs[chosen],
        slowdown=None,
        size_bytes=files[chosen].stat().st_size,
    )
    judgement = judge(
        recipe.gate,
        metric=recipe.judged_by,
        task=recipe.task,
        target=target,
        challenger=challenger,
        champion=None,
        seed=recipe.seed,
    )
    return judgement.decision == "yes"


def register(recipe: Recipe, preparation: Preparation, file: Path, good: bool) -> None:
    """Make the file a version of the registered model, load it again, and name it champion if it is good enough."""
    some = invented(preparation, recipe.data.columns, count=ROWS, seed=recipe.seed)
    table = pd.DataFrame(example(some, recipe.data.columns, target=recipe.data.target, count=ROWS))
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=served.__file__,
        artifacts={"onnx": str(file)},
        input_example=table.head(3),
        pip_requirements=["mlflow", "onnxruntime"],
        registered_model_name=recipe.model,
    )
    mlflow.pyfunc.load_model(f"models:/{recipe.model}/{info.registered_model_version}").predict(table)
    if good:
        mlflow.MlflowClient().set_registered_model_alias(recipe.model, "champion", str(info.registered_model_version))


def judged(recipe: Recipe, preparation: Preparation, rows: Rows, output: npt.NDArray[np.floating]) -> Evaluation:
    """Return the figures of a model's answers to the rows."""
    return evaluate(
        recipe.evaluate,
        task=recipe.task,
        target=encode_target(preparation, rows),
        output=output,
        classes=preparation.target.classes,
        seed=recipe.seed,
    )


def main() -> None:
    """Read the recipe, and do it in a run of MLflow's."""
    recipe, folder = read(Path(sys.argv[1]), changes=sys.argv[3:]), Path(sys.argv[2])
    folder.mkdir(parents=True)
    mlflow.set_tracking_uri(f"sqlite:///{folder.parent}/mlflow.db")
    if mlflow.get_experiment_by_name(recipe.model) is None:
        mlflow.create_experiment(recipe.model, artifact_location=(folder.parent / "artifacts").absolute().as_uri())
    mlflow.set_experiment(recipe.model)
    with mlflow.start_run():
        release(recipe, folder)


if __name__ == "__main__":
    main()
