"""The stages make of their rows what a plain script makes that calls the same components, and nobody else's rows do."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn

from components.compression.config import SelectConfig
from components.data.preparing.prepare import encode_target
from components.errors import Refusal
from components.evaluation.baselines import baselines
from components.evaluation.interval import Interval
from components.evaluation.metrics import evaluate as measure
from components.evaluation.metrics import figures, lead
from components.export.parity import parity, reference
from components.models.config import Custom
from components.models.model import save
from components.planning.held import Hold
from components.planning.ledger import LeaseLost
from components.planning.machine import this_machine
from components.recipe import Recipe
from components.release.releases import Release
from components.runtimes.config import ProfileConfig
from components.runtimes.onnx_runtime import OnnxRuntimeSession
from components.runtimes.table import RUNTIMES
from components.task import Metric
from tasks import tracker
from tasks.evaluate import evaluate, evaluate_test
from tasks.gate import Judged
from tasks.page import page
from tasks.profile import profile
from tasks.prune import prune
from tasks.register import _told
from tasks.select import select
from tasks.train import train
from tests.tasks.plain import (
    AIM,
    DATA,
    FIGURES,
    PREPARE,
    PROFILE,
    PRUNE,
    SPLIT,
    TRAIN,
    Place,
    Script,
    Stages,
    answers,
    evidence_of,
    judge,
    measured,
)

pytestmark = pytest.mark.xdist_group("plain script")  # what the stages make is made once


class Remembers(nn.Linear):
    """Answers by how often it was trained, which is saved with its weights, or isn't."""

    def __init__(self, shape: tuple[int, ...], outputs: int, *, saved: bool) -> None:
        super().__init__(shape[0], outputs)
        self.register_buffer("steps", torch.zeros(()), persistent=saved)

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return super().forward(features) * (1 + self.steps)


@pytest.mark.parametrize("saved", [True, False])
def test_a_network_that_learns_what_is_not_saved_is_refused(place: Place, stages: Stages, saved: bool) -> None:
    network = Custom(path=f"{__name__}:Remembers", options={"saved": saved})
    aim, config = replace(AIM, network=network), replace(TRAIN, epochs=1, weight_average=0.0)
    with nullcontext() if saved else pytest.raises(Refusal, match="has learned what isn't in its parameters"):
        train.function(place.workspace(f"remembers {saved}"), config, aim=aim, prepare=PREPARE, splits=stages.splits)


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
