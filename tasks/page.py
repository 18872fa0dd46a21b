"""What of the stages' outputs goes where on the report's page."""

import time
from importlib.metadata import version

from components.compression.candidates import UNCOMPRESSED, Measurement
from components.data.classes import in_order
from components.data.config import SplitConfig
from components.data.splitting.purposes import PARTS
from components.evaluation.metrics import Evaluation
from components.gate.judgement import Judgement
from components.models.config import MLP
from components.planning.machine import Machine
from components.recipe import Recipe
from components.recipe_file import public, to_yaml
from components.release.provenance import seal
from components.report.page import (
    Answer,
    Baseline,
    BatchParity,
    Bin,
    Calibration,
    Candidate,
    Check,
    ClassChange,
    ClassScore,
    ClassShare,
    Column,
    Comparison,
    Confused,
    Confusion,
    Curve,
    Data,
    Decision,
    Fact,
    Front,
    LayerError,
    LayerSize,
    Link,
    Outcome,
    Page,
    Parity,
    Part,
    PerClass,
    Residuals,
    Score,
    Timing,
    Training,
)
from tasks.bundle import links
from tasks.evaluate import Tested
from tasks.evidence import Evidence
from tasks.export import Exported
from tasks.profile import Profiled
from tasks.select import Selected
from tasks.split import Splits
from tasks.train import Trained

OUTCOMES: dict[str, Outcome] = {"yes": "passed", "no": "refused", "not enough evidence": "held"}
ANSWERS: dict[str, Answer] = {"passed": "yes", "failed": "no", "unclear": "not enough evidence"}
LIBRARIES = ("torch", "onnx", "onnxruntime", "torch-pruning", "numpy", "scikit-learn", "prefect", "mlflow", "dvc")


def page(recipe: Recipe, evidence: Evidence, *, run: str) -> Page:
    """Return the page."""
    selected, tested, judgement = evidence.selected, evidence.tested, evidence.judged.judgement
    return Page(
        decision=_decision(recipe, evidence, run=run),
        comparison=_comparison(judgement),
        checks=tuple(Check(name=one.name, answer=ANSWERS[one.status], detail=one.text) for one in judgement.checks),
        front=_front(recipe, evidence.profiled, selected),
        network=_network(evidence),
        members=recipe.network.members if isinstance(recipe.network, MLP) else 1,
        training=tuple(_training(recipe, one) for one in evidence.models if one.history),
        scores=_scores(tested),
        class_scores=_class_scores(tested.selected),
        confusion=_confusion(tested.selected),
        confused=_confused(tested.selected),
        residuals=_residuals(recipe, tested.selected),
        per_class=_per_class(tested, judgement),
        baselines=tuple(
            Baseline(name=_simple(name, tested.column), quality=figures[recipe.judged_by], lead=tested.leads.get(name))
            for name, figures in tested.baselines.items()
            if recipe.judged_by in figures
        ),
        calibration=_calibration(tested.selected),
        parity=_parity(evidence.chosen),
        quantization=tuple(LayerError(name=name, sqnr_db=value) for name, value in evidence.chosen.errors_db.items()),
        data=_data(recipe, evidence.splits),
        provenance=tuple(
            Link(name=one.name, digest=next(iter(one.artifacts.values()), one.digest), detail=_said(one.facts))
            for one in seal(links(recipe, evidence))
        ),
        recipe=to_yaml(public(recipe)),
        environment=_environment(recipe, evidence.machine),
    )


def _decision(recipe: Recipe, evidence: Evidence, *, run: str) -> Decision:
    selected, tested, judgement = evidence.selected, evidence.tested, evidence.judged.judgement
    size = recipe.select.batch_size
    seen = judgement.comparison
    return Decision(
        outcome=OUTCOMES[judgement.decision],
        model=recipe.model,
        version="",
        date=time.strftime("%-d %B %Y, %H:%M UTC", time.gmtime()),
        reason=judgement.reason,
        task=recipe.task,
        metric=recipe.judged_by,
        quality=tested.selected.of(recipe.judged_by),
        test_rows=tested.selected.rows,
        test_bunches=tested.selected.bunches,
        selected=selected.name,
        size_bytes=selected.onnx.size_bytes,
        latency_ms=selected.measurement.latency_ms[size],
        batch_size=size,
        speedup=selected.measurement.speedup[size],
        uncompressed_size_bytes=selected.uncompressed.size_bytes,
        confidence=recipe.evaluate.confidence,
        timing_confidence=recipe.profile.confidence,
        rows_needed=seen.rows_needed if seen and judgement.decision == "not enough evidence" else None,
        run=run,
        beware=evidence.cautions(recipe),
    )


def _comparison(judgement: Judgement) -> Comparison | None:
    seen = judgement.comparison
    if seen is None or seen.difference is None or judgement.champion is None:
        return None
    name = f"champion, {judgement.champion}"
    return Comparison(
        against="champion",
        name=name,
        gain=seen.difference,
        limit=-judgement.margin,
        answer="yes" if seen.shown else "no" if seen.worse else "not enough evidence",
        confidence=judgement.confidence,
    )


def _front(recipe: Recipe, profiled: Profiled, selected: Selected) -> Front:
    return Front(
        candidates=tuple(
            Candidate(
                name=one.name,
                verdict=selected.verdicts[one.name],
                quality=one.quality,
                size_bytes=one.size_bytes,
                timings=_timings(one),
                runtime=profiled.runtimes[one.name],
            )
            for one in profiled.measurements
        ),
        selected=selected.name,
        uncompressed=UNCOMPRESSED,
        batch_size=recipe.select.batch_size,
        objective=recipe.select.objective,
        reason=selected.reason,
        quality_limit=selected.limit,
    )


def _timings(one: Measurement) -> tuple[Timing, ...]:
    return tuple(
        Timing(batch_size=size, latency_ms=value, speedup=None if one.name == UNCOMPRESSED else one.speedup[size])
        for size, value in one.latency_ms.items()
    )


def _simple(name: str, column: str) -> str:
    return f"{column} alone" if name == "one_column" else name.replace("_", " ")


def _training(recipe: Recipe, trained: Trained) -> Training:
    def curves(figure: str) -> tuple[Curve, ...]:
        names = {part: f"{part}_{figure}" for part in ("train", "validation")}
        return tuple(
            Curve(name=part, values=tuple(epoch.get(name, float("nan")) for epoch in trained.history))
            for part, name in names.items()
            if name in trained.history[0]
        )

    return Training(
        title="The uncompressed model" if trained.name == "train" else f"Again after pruning: {trained.name}",
        loss=curves("loss"),
        metric=curves(recipe.judged_by),
        metric_name=recipe.judged_by,
        best_epoch=trained.best_epoch + 1,
        facts=(
            Fact(name="parameters", value=f"{trained.parameters:,}"),
            Fact(name="epochs", value=str(len(trained.history))),
            Fact(name="time", value=f"{trained.seconds:.1f} s"),
            Fact(name="samples per second", value=f"{trained.samples_per_second:,.0f}"),
            Fact(name="device", value=trained.device),
        ),
    )


def _scores(tested: Tested) -> tuple[Score, ...]:
    return tuple(
        Score(metric=metric, selected=value, uncompressed=tested.uncompressed.figures.get(metric))
        for metric, value in tested.selected.figures.items()
    )


def _confusion(evaluation: Evaluation) -> Confusion | None:
    if not evaluation.confusion:
        return None
    return Confusion(classes=tuple(one.name for one in evaluation.classes), counts=evaluation.confusion)


def _class_scores(evaluation: Evaluation) -> tuple[ClassScore, ...]:
    return tuple(
        ClassScore(
            name=one.name,
            rows=one.support,
            predicted=one.predicted,
            precision=one.precision,
            recall=one.recall,
            f1=one.f1,
        )
        for one in evaluation.classes
    )


def _confused(evaluation: Evaluation) -> tuple[Confused, ...]:
    rows = {one.name: one.support for one in evaluation.classes}
    return tuple(
        Confused(actual=one.true, predicted=one.predicted, rows=one.rows, of=rows[one.true])
        for one in evaluation.confused
    )


def _residuals(recipe: Recipe, evaluation: Evaluation) -> Residuals | None:
    if evaluation.residuals is None:
        return None
    seen = evaluation.residuals
    return Residuals(target=recipe.data.target, true=seen.true, predicted=seen.predicted)


def _per_class(tested: Tested, judgement: Judgement) -> PerClass | None:
    if judgement.classes:
        changes = tuple(
            ClassChange(name=one.name, rows=one.rows, before=one.champion, after=one.challenger)
            for one in judgement.classes
        )
        return PerClass(before=str(judgement.champion), changes=changes)
    pairs = zip(tested.uncompressed.classes, tested.selected.classes, strict=True)
    changes = tuple(
        ClassChange(name=after.name, rows=after.support, before=before.recall, after=after.recall)
        for before, after in pairs
    )
    return PerClass(before=UNCOMPRESSED, changes=changes) if changes else None


def _calibration(evaluation: Evaluation) -> Calibration | None:
    if not evaluation.calibration:
        return None
    bins = (Bin(confidence=one.confidence, accuracy=one.accuracy, rows=one.rows) for one in evaluation.calibration)
    return Calibration(bins=tuple(bins), error=evaluation.figures["calibration_error"].value)


def _network(evidence: Evidence) -> tuple[LayerSize, ...]:
    (uncompressed,) = (one for one in evidence.exported if one.name == UNCOMPRESSED)
    left = {layer.name: layer for layer in evidence.chosen.layers}
    return tuple(
        LayerSize(
            name=layer.name,
            kind=layer.kind,
            outputs_before=layer.outputs,
            outputs_after=left[layer.name].outputs,
            bytes_before=layer.size_bytes,
            bytes_after=left[layer.name].size_bytes,
        )
        for layer in uncompressed.layers
        if layer.name in left
    )


def _parity(chosen: Exported) -> Parity:
    return Parity(
        batches=tuple(BatchParity(batch_size=size, max_abs_diff=value) for size, value in chosen.parity.items()),
        rows=chosen.parity_rows,
        tolerance=None if chosen.operators else chosen.parity_tolerance,
        batch_diff=chosen.batch_diff,
    )


def _data(recipe: Recipe, splits: Splits) -> Data:
    names = in_order({name for classes in splits.classes.values() for name in classes})
    data = splits.dataset
    return Data(
        parts=tuple(Part(name=part, rows=splits.rows[part]) for part in PARTS),
        classes=tuple(
            ClassShare(name=name, rows=tuple(splits.classes[part].get(name, 0) for part in PARTS)) for name in names
        ),
        columns=tuple(
            Column(name=name, kind=kind, target=name == recipe.data.target, missing=data.missing.get(name, 0))
            for name, kind in recipe.data.columns.items()
        ),
        facts=(
            Fact(name="source", value=data.source),
            Fact(name="rows", value=f"{data.rows:,}"),
            Fact(name="set aside as bad", value=f"{data.quarantined:,}"),
            Fact(name="exact copies of others", value=_copies(splits)),
            Fact(name="SHA-256", value=data.folder.digest),
            Fact(name="DVC", value=data.dvc_md5),
            Fact(name="split", value=_way(recipe.split)),
        ),
    )


def _way(split: SplitConfig) -> str:
    if split.method == "time":
        return f"time, by {split.time_column}: validation from {split.validation_from}, test from {split.test_from}"
    return f"{split.method}, seed {split.seed}" + (f", by {split.group}" if split.group else "")


def _copies(splits: Splits) -> str:
    """Say how many there are, and whether any is on both sides."""
    across = [f"{count:,} of {part}" for part, count in splits.in_train.items() if count]
    if not splits.copies:
        return "none"
    return f"{splits.copies:,}; {' and '.join(across) or 'none of validation or test'} also in train"


def _environment(recipe: Recipe, machine: Machine) -> tuple[Fact, ...]:
    facts = {
        "processor": f"{machine.processor}, {machine.cores} cores",
        "instruction sets": ", ".join(machine.instructions),
        "threads while timed": str(recipe.profile.threads),
        "python": version_of_python(),
        **{name: version(name) for name in LIBRARIES},
    }
    return tuple(Fact(name=name, value=value) for name, value in facts.items())


def version_of_python() -> str:
    """Return Python's version."""
    import platform

    return platform.python_version()


def _said(facts: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in dict(facts).items() if name != "reason")  # type: ignore[call-overload]
