"""The stages make of their rows what a plain script makes that calls the same components, and nobody else's rows do."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.aim import Aim
from components.compression.config import Int8Static, PruneChannels, SelectConfig
from components.compression.pruning import finetuning, prune_channels
from components.compression.quantization import quantize as quantize_core
from components.data.config import DataConfig, PrepareConfig, SplitConfig
from components.data.load import load as load_rows
from components.data.preparing.prepare import encode_target
from components.data.preparing.prepare import fit as fit_preparation
from components.data.rows import Rows
from components.evaluation.baselines import baselines
from components.evaluation.config import EvaluateConfig
from components.evaluation.interval import Interval
from components.evaluation.metrics import Evaluation, figures, lead
from components.evaluation.metrics import evaluate as measure
from components.export.canonical import canonical_bytes
from components.export.config import ExportConfig
from components.export.metadata import metadata
from components.export.parity import parity, reference
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.figure import figure
from components.gate.config import GateConfig
from components.models.config import MLP
from components.models.model import Model, ModelSpec, build, save
from components.planning.held import Hold
from components.planning.ledger import LeaseLost
from components.planning.machine import this_machine
from components.recipe import Recipe
from components.release.releases import Release
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import core_batches, predict
from components.runtimes.onnx_runtime import OnnxRuntimeSession
from components.runtimes.table import RUNTIMES
from components.store.artifact import Artifact
from components.task import Metric
from components.training.config import AdamW, TrainConfig
from components.training.from_rows import examples, few
from components.training.linear_start import start_linear_
from components.training.loop import fit
from components.training.watch import Silent
from tasks import tracker
from tasks.bundle import code_digest, links
from tasks.convert import Graph, convert
from tasks.evaluate import evaluate, evaluate_test
from tasks.evidence import Evidence
from tasks.export import Exported, export
from tasks.gate import Judged, gate
from tasks.ingest import Dataset
from tasks.page import page
from tasks.profile import Profiled, profile
from tasks.prune import prune
from tasks.quantize import quantize
from tasks.register import _told
from tasks.select import Selected, select
from tasks.split import Splits, split
from tasks.stage import Workspace, Yard
from tasks.train import Trained, train
from tests.components.data.tables import csv, packed
from tests.components.release.test_releases import release
from tests.tasks.tiny import yard_at

if TYPE_CHECKING:
    from tasks.evaluate import Tested  # its name would make pytest look for tests in it

ENDS = {"train": (0, 150), "validation": (150, 200), "test": (200, 280)}
DATA = DataConfig(
    source="", target="y", columns={"x": "number", "z": "number", "c": "category", "t": "ignore", "y": "category"}
)
AIM = Aim(
    task="classification", metric="f1_macro", seed=7, data=DATA, network=MLP(width=32, depth=2, members=2, waves=1)
)
SPLIT = SplitConfig(method="time", time_column="t", validation_from="150", test_from="200")
PREPARE, EXPORT = PrepareConfig(numbers="quantile"), ExportConfig(parity_rows=20)
TRAIN = TrainConfig(epochs=5, batch_size=16, optimizer=AdamW(lr=0.01), threads=1, device="cpu")
PRUNE, QUANTIZE = PruneChannels(finetune_epochs=2, finetune_lr_share=0.1), Int8Static(calibration_rows=40)
FIGURES = EvaluateConfig(resamples=100, confidence=0.8)
PROFILE, GATE = ProfileConfig(batch_sizes=(1, 4), rounds=10), GateConfig(margin=0.3, max_slowdown=None)


def table() -> str:
    """Each part of the rows has numbers and categories of its own, so that it shows which one was read.

    The last row of validation and of test is the copy of one of train, at another time.
    """
    random, lines = np.random.default_rng(5), ["x,z,c,t,y"]
    for row in range(280):
        part = sum(row >= first for first, _ in ENDS.values())
        x, z, c = random.normal(part, 1), random.normal(0, part), f"{'abc'[row % 3]}{part if row % 2 else ''}"
        lines.append(f"{x},{z},{c},{row},{'no' if x - part + z / part + random.normal(0, 0.5) > 0 else 'yes'}")
    for copy, row in ((199, 0), (279, 1)):
        lines[1 + copy] = lines[1 + row].replace(f",{row},", f",{copy},")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A yard with a data set, and folders to work in."""

    root: Path
    yard: Yard
    dataset: Dataset

    def workspace(self, name: str) -> Workspace:
        folder = self.root / name
        folder.mkdir()
        return Workspace(folder=folder, yard=self.yard, log=logging.getLogger())

    def bytes(self, artifact: Artifact, name: str = "") -> bytes:
        return (self.yard.store.get(artifact) / name).read_bytes()

    def rows(self, part: str) -> Rows:
        rows = load_rows(self.yard.store.get(self.dataset.folder), None, DATA.columns)
        return rows.take(slice(*ENDS[part]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """What the stages made, called one after the other."""

    splits: Splits
    trained: Trained
    pruned: Trained
    quantized: Graph
    exported: tuple[Exported, Exported]
    profiled: Profiled
    selected: Selected
    tested: "Tested"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("script")
    yard, source = yard_at(root / "home"), csv(root, table())
    card = packed(root, source, DATA)
    folder, note = yard.store.put(root / "packed"), yard.store.put(source)
    dataset = Dataset(
        folder=folder, dvc_file=note, dvc_md5="md5", rows=card.rows, source="", quarantined=0, quarantine=None
    )
    return Place(root=root, yard=yard, dataset=dataset)


@pytest.fixture(scope="module")
def stages(place: Place) -> Stages:
    at = place.workspace
    splits = split.function(at("split"), SPLIT, data=DATA, task=AIM.task, dataset=place.dataset, previous=None)
    trained = train.function(at("train"), TRAIN, aim=AIM, prepare=PREPARE, splits=splits)
    pruned = prune.function(at("prune"), PRUNE, name="pruned", aim=AIM, config=TRAIN, trained=trained, splits=splits)
    plain, smaller = (
        convert.function(at(f"convert {name}"), EXPORT.opset, name=name, trained=model)
        for name, model in (("uncompressed", trained), ("pruned", pruned))
    )
    quantized = quantize.function(at("quantize"), QUANTIZE, name="int8", aim=AIM, graph=smaller, splits=splits)
    whole, small = (
        export.function(
            at(graph.name), EXPORT, name=graph.name, model="m", aim=AIM, decimal=",", graph=graph, splits=splits
        )
        for graph in (plain, quantized)
    )
    exported = (whole, small)
    profiled = profile.function(
        at("profile"), PROFILE, aim=AIM, figures=FIGURES, exported=exported, machine=this_machine(), splits=splits
    )
    choice = SelectConfig(objective="size", max_loss=0.9)
    selected = select.function(at("select"), choice, metric=AIM.metric, exported=exported, profiled=profiled)
    tested = evaluate_test.function(
        at("test"), FIGURES, aim=AIM, balanced=True, exported=exported, selected=selected, splits=splits
    )
    return Stages(
        splits=splits,
        trained=trained,
        pruned=pruned,
        quantized=quantized,
        exported=exported,
        profiled=profiled,
        selected=selected,
        tested=tested,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What the plain script makes."""

    spec: ModelSpec
    whole: Model
    small: Model
    whole_file: bytes
    core: bytes
    file: bytes


@pytest.fixture(scope="module")
def script(place: Place) -> Script:
    rows, root = place.rows("train"), place.root
    preparation = fit_preparation(PREPARE, DATA, rows, task=AIM.task)
    spec = ModelSpec(task=AIM.task, network=AIM.network, preparation=preparation)
    whole, learned = build(spec, seed=7), examples(preparation, rows)
    learn = partial(fit, spec=spec, metric=AIM.metric, seed=7, observer=Silent())
    judged = examples(preparation, place.rows("validation"))
    start_linear_(whole, TRAIN, learned, seed=7, file=root / "linear")
    learn(whole, TRAIN, learned, judged, folder=root / "whole")
    small, tuning = prune_channels(whole, PRUNE, example=few(learned, rows=2)).model, finetuning(PRUNE, TRAIN)
    assert tuning is not None
    learn(small, tuning, learned, judged, folder=root / "small")
    feeds = [one.feeds for one in core_batches(preparation, rows.some(40, seed=7), batch_size=32)]
    graph = quantize_core(core(small, preparation), QUANTIZE, calibration=feeds).core
    facts = metadata("m", task=AIM.task, columns=DATA.columns, preparation=preparation, decimal=",")
    raw = (with_raw_inputs(one, preparation) for one in (core(whole, preparation), graph))
    files = [canonical_bytes(one, metadata=facts) for one in raw]
    return Script(spec=spec, whole=whole, small=small, whole_file=files[0], core=canonical_bytes(graph), file=files[1])


def measured(place: Place, script: Script, part: str, output: npt.NDArray[np.floating]) -> Evaluation:
    preparation = script.spec.preparation
    target, classes = encode_target(preparation, place.rows(part)), preparation.target.classes
    return measure(FIGURES, task=AIM.task, target=target, output=output, classes=classes, seed=7)


def answers(place: Place, script: Script, file: bytes, part: str) -> npt.NDArray[np.floating]:
    return predict(OnnxRuntimeSession(file), script.spec.preparation, place.rows(part))


def test_a_training_that_another_worker_has_taken_over_ends_at_a_step(place: Place, stages: Stages) -> None:
    lost = replace(place.workspace("lost"), hold=Hold("work", lost=True))
    with pytest.raises(LeaseLost):
        train.function(lost, TRAIN, aim=AIM, prepare=PREPARE, splits=stages.splits)
    with pytest.raises(LeaseLost):
        prune.function(lost, PRUNE, name="pruned", aim=AIM, config=TRAIN, trained=stages.trained, splits=stages.splits)


@pytest.mark.parametrize("name", ["trained", "pruned"])
def test_train_and_prune_learn_from_train_and_stop_by_validation(
    place: Place, stages: Stages, script: Script, name: str
) -> None:
    made, model = (stages.trained, script.whole) if name == "trained" else (stages.pruned, script.small)
    folder = save(model, script.spec, place.root / f"saved {name}")
    for file in ("model.json", "weights.safetensors"):
        assert place.bytes(made.model, file) == (folder / file).read_bytes()
    assert made.parameters == sum(parameter.numel() for parameter in model.network.parameters())
    assert len(made.history) == (5 if name == "trained" else 2)


def test_quantize_calibrates_on_train_and_export_writes_what_it_is_given(
    place: Place, stages: Stages, script: Script
) -> None:
    assert place.bytes(stages.quantized.core) == script.core
    assert [place.bytes(one.onnx) for one in stages.exported] == [script.whole_file, script.file]
    for made, file, model in zip(
        stages.exported, (script.whole_file, script.file), (script.whole, script.small), strict=True
    ):
        (place.root / f"{made.name}.onnx").write_bytes(file)
        rows = place.rows("validation").some(20, seed=7)
        found = parity(place.root / f"{made.name}.onnx", model, script.spec.preparation, rows)
        assert (made.parity, made.parity_rows, made.batch_diff) == (found.by_batch_size, 20, found.batch_diff)
    assert [sum(made.operators.values()) for made in stages.exported] == [0, 3]
    assert set(stages.exported[1].errors_db) == {"body.first", "body.layers.0.linear", "body.output"}


def test_quality_is_measured_on_validation_and_reported_of_test(place: Place, stages: Stages, script: Script) -> None:
    known = script.spec.preparation
    evaluated = evaluate.function(
        place.workspace("evaluate"), FIGURES, aim=AIM, trained=stages.trained, splits=stages.splits
    )
    output = reference(script.whole, known, place.rows("validation"))
    assert evaluated.evaluation == measured(place, script, "validation", output)
    files = {"uncompressed": script.whole_file, "int8": script.file}
    for one in stages.profiled.measurements:
        found = measured(place, script, "validation", answers(place, script, files[one.name], "validation"))
        assert one.quality == found.figures["f1_macro"]
        assert one.size_bytes == len(files[one.name])
        assert set(one.latency_ms) == set(one.speedup) == {1, 4}
    assert stages.profiled.rows == 50

    test = {name: answers(place, script, file, "test") for name, file in files.items()}
    assert stages.selected.name == "int8"
    assert stages.tested.selected == measured(place, script, "test", test["int8"])
    assert stages.tested.uncompressed == measured(place, script, "test", test["uncompressed"])
    assert np.array_equal(np.load(place.yard.store.get(stages.tested.answers)), test["int8"])

    learned, asked = place.rows("train"), place.rows("test")
    simple = baselines(AIM.task, train=learned, part=asked, preparation=known, metric=AIM.metric, seed=7, balanced=True)
    assert stages.tested.column == simple.column != ""
    for name, other in simple.outputs.items():
        assert stages.tested.baselines[name] == measured(place, script, "test", other).figures
        assert stages.tested.leads[name] == lead(
            FIGURES,
            metric="f1_macro",
            task=AIM.task,
            target=encode_target(known, place.rows("test")),
            output=test["int8"],
            other=other,
            classes=2,
            seed=7,
        )


class Heard(tracker.Silent):
    """A tracker that keeps how far the work was."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def progress(self, step: int, steps: int, what: str = "") -> None:
        assert step <= steps == 1000
        assert " rounds" in what
        self.steps.append(step)


def test_latency_is_measured_on_the_threads_that_were_asked_for(
    place: Place, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(path: Path, *, threads: int = 1) -> OnnxRuntimeSession:
        asked.append(threads)
        return OnnxRuntimeSession(path, threads=threads)

    monkeypatch.setitem(RUNTIMES._entries, "onnxruntime", noted)
    heard = Heard()
    profile.function(
        replace(place.workspace("threads"), yard=replace(place.yard, tracker=heard)),
        replace(PROFILE, threads=2),
        aim=AIM,
        figures=FIGURES,
        exported=stages.exported,
        machine=this_machine(),
        splits=stages.splits,
    )
    assert set(asked) == {2}
    assert ProfileConfig().threads == 1  # unless asked otherwise
    assert heard.steps[0] == 0  # and who waits is told how far it is
    assert heard.steps[-1] > 900


@pytest.mark.parametrize(("metric", "best", "worst"), [("f1_macro", "int8", -0.3), ("log_loss", "uncompressed", 1.7)])
def test_the_best_by_quality_is_the_one_that_the_metric_calls_so(
    place: Place, stages: Stages, metric: Metric, best: str, worst: float
) -> None:
    pairs = zip(stages.profiled.measurements, (0.7, 0.72), strict=True)
    measurements = tuple(replace(one, quality=Interval(value, value, value)) for one, value in pairs)
    selected = select.function(
        place.workspace(metric),
        SelectConfig(objective="quality", max_loss=1.0),
        metric=metric,
        exported=stages.exported,
        profiled=replace(stages.profiled, measurements=measurements),
    )
    assert (selected.name, selected.limit) == (best, pytest.approx(worst))
    assert selected.onnx == next(one.onnx for one in stages.exported if one.name == best)


def test_how_a_split_came_about_is_no_part_of_what_is_learned_from_it(place: Place, stages: Stages) -> None:
    (place.root / "other").write_text("assignments of before")
    continued = replace(stages.splits, previous=place.yard.store.put(place.root / "other"))
    other = replace(stages.splits, assignments=continued.previous)
    first, second, third = (
        train.parts(train.bind(TRAIN, aim=AIM, prepare=PREPARE, splits=splits))
        for splits in (stages.splits, continued, other)
    )
    assert first == second != third


@pytest.fixture(scope="module")
def champion(place: Place, stages: Stages) -> Release:
    """The uncompressed model as version 3, whose split had the first thirty of today's test rows as train."""
    now = pq.read_table(place.yard.store.get(stages.splits.assignments))
    parts = now["part"].to_pylist()
    parts[200:230] = ["train"] * 30
    pq.write_table(now.set_column(1, "part", pa.array(parts)), place.root / "earlier.parquet")
    whole = stages.exported[0]
    return replace(
        release(3, model="m"),
        onnx=whole.onnx,
        checkpoint=stages.trained.model,
        assignments=place.yard.store.put(place.root / "earlier.parquet"),
        target="y",
        classes=("no", "yes"),
        size_bytes=whole.onnx.size_bytes,
    )


def judge(place: Place, stages: Stages, champion: Release, splits: Splits, name: str) -> Judged:
    return gate.function(
        place.workspace(name),
        GATE,
        aim=AIM,
        selected=stages.selected,
        tested=stages.tested,
        champion=champion,
        splits=splits,
    )


@pytest.fixture(scope="module")
def judged(place: Place, stages: Stages, champion: Release) -> Judged:
    return judge(place, stages, champion, stages.splits, "gate")


def test_the_floor_is_asked_of_all_test_rows(stages: Stages, judged: Judged) -> None:
    floor = judged.judgement.checks[0]
    assert floor.name == "floor"
    assert floor.value == stages.tested.selected.of(AIM.metric).value != judged.judgement.value


def test_rows_of_one_group_count_once_wherever_it_is_said_how_sure_a_figure_is(
    place: Place, stages: Stages, script: Script, champion: Release, judged: Judged
) -> None:
    """Up to row 240 two each are a group: 10 of the 49 test rows that the champion never saw, 230 to 278."""
    table = pq.read_table(place.yard.store.get(stages.splits.assignments))
    pairs = np.where(np.arange(280) < 240, np.arange(280) // 2, np.arange(280))
    pq.write_table(table.set_column(3, "group", pa.array(pairs, pa.uint64())), place.root / "grouped.parquet")
    splits = replace(stages.splits, assignments=place.yard.store.put(place.root / "grouped.parquet"))
    at, exported = place.workspace, stages.exported
    grouped = evaluate.function(at("ge"), FIGURES, aim=AIM, trained=stages.trained, splits=splits).evaluation
    profiled = profile.function(
        at("gp"), PROFILE, aim=AIM, figures=FIGURES, exported=exported, machine=this_machine(), splits=splits
    )
    tested = evaluate_test.function(
        at("gt"), FIGURES, aim=AIM, balanced=True, exported=exported, selected=stages.selected, splits=splits
    )
    found = judge(place, stages, champion, splits, "gg").judgement
    assert (grouped.rows, grouped.bunches) == (50, 25)
    assert (tested.selected.rows, tested.selected.bunches, tested.uncompressed.bunches) == (80, 60, 60)
    assert (found.rows, found.bunches, judged.judgement.bunches) == (49, 44, None)
    assert found.comparison != judged.judgement.comparison
    known = script.spec.preparation
    said = {"task": AIM.task, "seed": 7, "groups": pairs[200:]}
    target, test = encode_target(known, place.rows("test")), answers(place, script, script.file, "test")
    assert tested.selected == measure(FIGURES, target=target, output=test, classes=("no", "yes"), **said)
    for name, other in baselines(
        AIM.task,
        train=place.rows("train"),
        part=place.rows("test"),
        preparation=known,
        metric=AIM.metric,
        seed=7,
        balanced=True,
    ).outputs.items():
        ahead = lead(FIGURES, metric=AIM.metric, target=target, output=test, other=other, classes=2, **said)
        assert tested.leads[name] == ahead
    for old, new in zip(stages.profiled.measurements, profiled.measurements, strict=True):
        assert old.quality.value == new.quality.value
        assert old.quality != new.quality
    sentence, _ = _told(replace(evidence_of(stages, judged), tested=tested), "f1_macro")
    assert "on 80 test rows (60 independent bunches of them)" in sentence
    of_groups = replace(evidence_of(stages, Judged(judgement=found, champion=3, basis="")), tested=tested)
    recipe = Recipe(model="m", task=AIM.task, metric=AIM.metric, data=DATA, split=SPLIT, network=AIM.network)
    shown = page(recipe, of_groups, run="").decision
    assert (shown.test_rows, shown.test_bunches) == (80, 60)


def test_the_gate_compares_on_test_rows_that_the_champion_never_saw(
    place: Place, stages: Stages, script: Script, judged: Judged
) -> None:
    unseen = slice(30, 79)  # the last one is a copy of a row that it had in train
    target = encode_target(script.spec.preparation, place.rows("test"))[unseen]
    new, old = (
        figures("classification", target=target, output=answers(place, script, file, "test")[unseen], classes=2)
        for file in (script.file, script.whole_file)
    )
    seen = judged.judgement
    assert (seen.rows, seen.looks, judged.champion) == (49, 0, 3)
    assert (seen.value, seen.champion_value) == pytest.approx((new["f1_macro"], old["f1_macro"]))
    size = next(check for check in seen.checks if check.name == "size")
    assert size.value == len(script.file) / len(script.whole_file)


def evidence_of(stages: Stages, judged: Judged) -> Evidence:
    return Evidence(
        splits=stages.splits,
        models=(stages.trained, stages.pruned),
        exported=stages.exported,
        machine=this_machine(),
        profiled=stages.profiled,
        selected=stages.selected,
        tested=stages.tested,
        judged=judged,
    )


def test_copies_across_parts_are_counted_and_said(stages: Stages, judged: Judged) -> None:
    assert (stages.splits.copies, stages.splits.in_train) == (2, {"validation": 1, "test": 1})
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SPLIT, network=AIM.network)
    said = evidence_of(stages, judged).cautions(recipe)
    assert any(one.startswith("1 of the 80 test rows is an exact copy of a train row, ") for one in said)
    assert not any("groups the rows" in one for one in said)


def test_what_the_uncompressed_model_and_the_recipe_tell_is_said_too(stages: Stages, judged: Judged) -> None:
    certain = {**stages.tested.uncompressed.figures, "log_loss": Interval(0.001, 0.0, 0.002)}
    tested = replace(stages.tested, uncompressed=replace(stages.tested.uncompressed, figures=certain))
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SplitConfig(group="c"), network=AIM.network)
    said = replace(evidence_of(stages, judged), tested=tested).cautions(recipe)
    assert any(one.startswith("its probabilities are worse") for one in said)
    assert any(one.startswith("the column 'c' groups the rows and is an input") for one in said)
    ignored = replace(recipe, split=SplitConfig(group="t"))
    assert not any("groups the rows" in one for one in evidence_of(stages, judged).cautions(ignored))


def test_few_validation_rows_are_said_only_where_something_was_compressed(stages: Stages, judged: Judged) -> None:
    recipe = Recipe(model="m", task=AIM.task, data=DATA, split=SPLIT, network=AIM.network)
    found = evidence_of(stages, judged)
    few = replace(found, profiled=replace(found.profiled, rows=12))
    words = "one of the 12 validation rows by which compression is judged"
    assert [one.startswith(words) for one in few.cautions(recipe)].count(True) == 1
    alone = replace(few, exported=few.exported[:1])
    assert not any(words in one for one in alone.cautions(recipe))


def test_the_column_that_tells_nearly_all_alone_has_its_name_wherever_it_is_said(
    stages: Stages, judged: Judged
) -> None:
    recipe = Recipe(model="m", task=AIM.task, metric=AIM.metric, data=DATA, split=SPLIT, network=AIM.network)
    simple = {"constant": {AIM.metric: Interval(0.0, 0.0, 0.0)}, "one_column": stages.tested.selected.figures}
    ahead = {"constant": Interval(0.9, 0.8, 1.0)}
    tested = replace(stages.tested, baselines=simple, leads=ahead, column="refund")
    found = replace(evidence_of(stages, judged), tested=tested)
    assert found.cautions(recipe)[0].startswith("the column 'refund' alone has f1_macro ")
    assert [one.name for one in page(recipe, found, run="").baselines] == ["constant", "refund alone"]


def test_each_link_of_the_chain_is_about_what_the_release_was_made_of(
    stages: Stages, script: Script, judged: Judged
) -> None:
    recipe = Recipe(model="m", task=AIM.task, seed=7, data=DATA, split=replace(SPLIT, seed=5), network=AIM.network)
    chain = {link.name: link for link in links(recipe, evidence_of(stages, judged))}
    assert {name: dict(link.artifacts) for name, link in chain.items() if link.artifacts} == {
        "data": {"data": stages.splits.dataset.folder.digest},
        "split": {"assignments": stages.splits.assignments.digest},
        "checkpoint": {"checkpoint": stages.pruned.model.digest},
        "onnx": {"model.onnx": hashlib.sha256(script.file).hexdigest()},
    }
    assert chain["data"].facts == {"dvc_md5": "md5", "rows": 280}
    assert chain["split"].facts == {"train": 150, "validation": 50, "test": 80}
    assert chain["seeds"].facts == {"training": 7, "split": 5}
    assert chain["candidate"].facts == {"name": "int8", "runtime": "onnxruntime"}
    assert chain["gate"].facts["decision"] == judged.judgement.decision
    assert chain["code"].facts["sha256"] == code_digest(recipe)


def test_the_registry_is_told_the_figures_of_the_release_with_their_confidence(
    script: Script, stages: Stages, judged: Judged
) -> None:
    quality = stages.tested.selected.figures["f1_macro"]
    sentence, tags = _told(evidence_of(stages, judged), "f1_macro")
    assert sentence.startswith(f"int8 on onnxruntime: f1_macro {figure(quality.value)} (80 % interval ")
    assert "on 80 test rows" in sentence
    assert tags["steelyard.onnx_sha256"] == hashlib.sha256(script.file).hexdigest()
    assert tags["steelyard.gate"] == judged.judgement.decision
