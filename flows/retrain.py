"""The whole way of a model, from its data to its release.

`run` is what the stages are called through: `tasks.runner` has one that runs them in Prefect, and one that plans.
"""

from dataclasses import dataclass, replace

from components.compression.candidates import candidates
from components.compression.config import Prune
from components.planning.machine import device_kind, this_machine, usable_cores
from components.planning.source import Source
from components.recipe import Recipe
from components.training.config import TrainConfig
from components.workers import Worker
from tasks.convert import convert
from tasks.evaluate import evaluate, evaluate_test
from tasks.evidence import Evidence
from tasks.export import export
from tasks.gate import gate, opponent
from tasks.in_mlflow import candidates_measured, data_read
from tasks.ingest import ingest
from tasks.profile import profile
from tasks.promote import Promoted, promote
from tasks.prune import prune
from tasks.quantize import quantize
from tasks.register import Registered, register
from tasks.report import Reported, report
from tasks.runner import Run
from tasks.select import select
from tasks.split import continued, split
from tasks.train import Trained, train

STAGES = (
    ingest,
    split,
    train,
    evaluate,
    prune,
    convert,
    quantize,
    export,
    profile,
    select,
    evaluate_test,
    gate,
    report,
    register,
    promote,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run found, and what became of it."""

    evidence: Evidence
    reported: Reported
    registered: Registered
    promoted: Promoted


def retrain(recipe: Recipe, source: Source, run: Run) -> Outcome:
    """Take a model from its data to its release."""
    aim, workers = recipe.aim, recipe.workers
    config, tuning = (settled(recipe.train, worker) for worker in (workers.train, workers.prune))

    data = run(ingest, recipe.data, source=source)
    before = run.ask(continued, recipe.split, data)
    splits = run(split, recipe.split, data=recipe.data, task=recipe.task, dataset=data, previous=before)
    run.note(data_read, splits)

    trained = run(train, config, aim=aim, prepare=recipe.prepare, splits=splits)
    run(evaluate, recipe.evaluate, aim=aim, trained=trained, splits=splits)

    files = candidates(recipe.prune, recipe.quantize)
    models: dict[Prune | None, Trained] = {None: trained} | {
        point.prune: run(prune, point.prune, name=point.name, aim=aim, config=tuning, trained=trained, splits=splits)
        for point in files
        if point.prune and not point.quantize
    }
    converted = {
        point.prune: run(convert, recipe.export.opset, name=point.name, trained=models[point.prune])
        for point in files
        if not point.quantize
    }
    graphs = {
        point.name: run(quantize, point.quantize, name=point.name, aim=aim, graph=converted[point.prune], splits=splits)
        if point.quantize
        else converted[point.prune]
        for point in files
    }
    exported = tuple(
        run(
            export,
            recipe.export,
            name=point.name,
            model=recipe.model,
            aim=aim,
            decimal=recipe.data.decimal,
            graph=graphs[point.name],
            splits=splits,
        )
        for point in files
    )

    machine = this_machine()
    profiled = run(
        profile, recipe.profile, aim=aim, figures=recipe.evaluate, exported=exported, machine=machine, splits=splits
    )
    selected = run(select, recipe.select, metric=aim.metric, exported=exported, profiled=profiled)
    run.note(candidates_measured, metric=aim.metric, exported=exported, profiled=profiled, selected=selected)
    tested = run(
        evaluate_test,
        recipe.evaluate,
        aim=aim,
        balanced=recipe.train.balanced,
        exported=exported,
        selected=selected,
        splits=splits,
    )

    champion = run.ask(opponent, selected)
    judged = run(gate, recipe.gate, aim=aim, selected=selected, tested=tested, champion=champion, splits=splits)
    evidence = Evidence(
        splits=splits,
        models=tuple(models.values()),
        exported=exported,
        machine=machine,
        profiled=profiled,
        selected=selected,
        tested=tested,
        judged=judged,
    )
    reported = run(report, recipe, evidence)
    registered = run(register, recipe, evidence, reported=reported)
    promoted = run(promote, registered=registered, judged=judged)
    return Outcome(evidence=evidence, reported=reported, registered=registered, promoted=promoted)


def settled(config: TrainConfig, worker: Worker | None) -> TrainConfig:
    """Return the config with what is found rather than given: the device and the threads decide the result's bytes.

    Of a worker that isn't known yet they are what is asked of it.
    """
    if worker is not None and config.device == "auto":
        config = replace(config, device="cuda" if worker.gpus else "cpu")
    device, processes = device_kind(config.device), config.distributed.processes
    if device == "mps" and processes > 1:  # found, not asked for: that the config itself refuses
        device = "cpu"
    asked = worker.cpus if worker is not None else None
    cores = max(1, (asked or usable_cores()) // processes) if device == "cpu" else None
    return replace(config, device=device, threads=config.threads or cores)
