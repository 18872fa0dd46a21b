"""A data set, what the stages make of it, and what a plain script makes that calls the same components."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.aim import Aim
from components.compression.config import Int8Static, PruneChannels
from components.data.config import DataConfig, PrepareConfig, SplitConfig
from components.data.load import load as load_rows
from components.data.preparing.prepare import encode_target
from components.data.rows import Rows
from components.evaluation.config import EvaluateConfig
from components.evaluation.metrics import Evaluation
from components.evaluation.metrics import evaluate as measure
from components.export.config import ExportConfig
from components.gate.config import GateConfig
from components.models.config import MLP
from components.models.model import Model, ModelSpec
from components.planning.machine import this_machine
from components.release.releases import Release
from components.runtimes.config import ProfileConfig
from components.runtimes.feeds import predict
from components.runtimes.onnx_runtime import OnnxRuntimeSession
from components.store.artifact import Artifact
from components.training.config import AdamW, TrainConfig
from tasks.convert import Graph
from tasks.evaluate import Tested
from tasks.evidence import Evidence
from tasks.export import Exported
from tasks.gate import Judged, gate
from tasks.ingest import Dataset
from tasks.profile import Profiled
from tasks.select import Selected
from tasks.split import Splits
from tasks.stage import Workspace, Yard
from tasks.train import Trained

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
    tested: Tested


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What the plain script makes."""

    spec: ModelSpec
    whole: Model
    small: Model
    whole_file: bytes
    core: bytes
    file: bytes


def measured(place: Place, script: Script, part: str, output: npt.NDArray[np.floating]) -> Evaluation:
    preparation = script.spec.preparation
    target, classes = encode_target(preparation, place.rows(part)), preparation.target.classes
    return measure(FIGURES, task=AIM.task, target=target, output=output, classes=classes, seed=7)


def answers(place: Place, script: Script, file: bytes, part: str) -> npt.NDArray[np.floating]:
    return predict(OnnxRuntimeSession(file), script.spec.preparation, place.rows(part))


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
