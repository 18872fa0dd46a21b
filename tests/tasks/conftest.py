"""Where the tests of stages have their state, what stages write down of having run, and what a plain script makes."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.compression.config import SelectConfig
from components.compression.pruning import finetuning, prune_channels
from components.compression.quantization import quantize as quantize_core
from components.data.preparing.prepare import fit as fit_preparation
from components.export.canonical import canonical_bytes
from components.export.metadata import metadata
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.models.model import ModelSpec, build
from components.planning.machine import this_machine
from components.release.releases import Release
from components.runtimes.feeds import core_batches
from components.training.from_rows import examples, few
from components.training.linear_start import start_linear_
from components.training.loop import fit
from components.training.watch import Silent
from tasks.convert import convert
from tasks.evaluate import evaluate_test
from tasks.export import export
from tasks.gate import Judged
from tasks.ingest import Dataset
from tasks.profile import profile
from tasks.prune import prune
from tasks.quantize import quantize
from tasks.select import select
from tasks.split import split
from tasks.train import train
from tests.components.data.tables import csv, packed
from tests.components.release.test_releases import release
from tests.tasks.plain import (
    AIM,
    DATA,
    EXPORT,
    FIGURES,
    PREPARE,
    PROFILE,
    PRUNE,
    QUANTIZE,
    SPLIT,
    TRAIN,
    Place,
    Script,
    Stages,
    judge,
    table,
)
from tests.tasks.tiny import yard_at


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("script")
    yard, source = yard_at(root / "home"), csv(root, table())
    card = packed(root, source, DATA)
    folder, note = yard.store.put(root / "packed"), yard.store.put(source)
    dataset = Dataset(
        folder=folder, dvc_file=note, dvc_md5="md5", rows=card.rows, source="", quarantined=0, quarantine=None
    )
    return Place(root=root, yard=yard, dataset=dataset)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def judged(place: Place, stages: Stages, champion: Release) -> Judged:
    return judge(place, stages, champion, stages.splits, "gate")
