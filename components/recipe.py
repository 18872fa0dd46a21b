"""The recipe: everything that decides what is built, composed from the configs of the rooms that use it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from components.aim import Aim
from components.compression.config import Prune, Quantize, SelectConfig
from components.data.config import DataConfig, PrepareConfig, SplitConfig
from components.errors import nearest
from components.evaluation.config import EvaluateConfig
from components.export.config import ExportConfig
from components.gate.config import GateConfig
from components.models.config import Network
from components.rules import Breach, Ruled, breach
from components.runtimes.config import ProfileConfig
from components.task import DEFAULT_METRIC, JUDGED_BY, METRICS, RANGES, Metric, Task
from components.training.config import LOSSES_OF, Augment, TrainConfig
from components.workers import Workers

# The name of a folder, of an experiment and part of an address: nothing that any of them reads otherwise.
MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe(Ruled):
    """One model, from its data to the rule of its release."""

    model: str  # the registered model's name
    task: Task
    metric: Metric | None = None  # what selection and gate compare, not calibration_error; None: accuracy, or rmse
    seed: int = 0  # of training; the split has its own
    data: DataConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    network: Network
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    prune: tuple[Prune, ...] = ()
    quantize: tuple[Quantize, ...] = ()
    export: ExportConfig = field(default_factory=ExportConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    workers: Workers = field(default_factory=Workers)

    @property
    def judged_by(self) -> Metric:
        """The metric that selection and the gate compare."""
        return self.metric or DEFAULT_METRIC[self.task]

    @property
    def aim(self) -> Aim:
        """What the stages from training on share. How rows were read, and what became of bad ones, is past by then."""
        data = replace(self.data, decimal=".", bad_rows="refuse", quarantine_share=None)
        return Aim(task=self.task, metric=self.judged_by, seed=self.seed, data=data, network=self.network)

    def _breaches(self) -> Iterator[Breach]:
        if not MODEL_NAME.fullmatch(self.model):
            what = "model must be 1 to 100 of A-Z a-z 0-9 . _ - with a letter or a digit first"
            yield breach(f"{what}, not {self.model[:60]!r}", "model")
        if not 0 <= self.seed < 2**32:
            yield breach(f"seed is 0 or more and below 2**32, not {self.seed}", "seed")
        yield from self._of_task()
        yield from self._of_images()
        yield from self._of_lists()
        yield from self._of_split()
        if self.select.batch_size not in self.profile.batch_sizes:
            what = f"select.batch_size {self.select.batch_size} isn't among profile.batch_sizes"
            yield breach(what, "select.batch_size", "profile.batch_sizes")
        if self.train.precision == "fp16" and self.train.device == "cpu":
            what = "train.precision fp16 isn't for a CPU: take bf16, or another device"
            yield breach(what, "train.precision", "train.device")

    def _of_task(self) -> Iterator[Breach]:
        if self.metric is not None and self.metric not in METRICS[self.task]:
            what, do = f"metric {self.metric} isn't one of {self.task}", "take one of these, or leave metric out"
            yield breach(what, "metric", "task", allowed=", ".join(JUDGED_BY[self.task]), do=do)
        elif self.metric is not None and self.metric not in JUDGED_BY[self.task]:
            what = f"metric {self.metric} can't judge models: chance makes it larger, most where they are calibrated"
            do = "take log_loss, which rewards calibration too: the calibration error is reported all the same"
            yield breach(what, "metric", allowed=", ".join(JUDGED_BY[self.task]), do=do)
        loss = self.train.loss
        if loss is not None and loss.name not in LOSSES_OF[self.task]:
            what, do = f"train.loss {loss.name} isn't one for {self.task}", "take one of these, or leave train.loss out"
            yield breach(what, "train.loss", "task", allowed=", ".join(LOSSES_OF[self.task]), do=do)
        floor, (low, high) = self.gate.floor, RANGES[self.judged_by]
        if floor is not None and not low <= floor <= high:
            side, end = ("below", low) if floor < low else ("above", high)
            what = f"gate.floor {floor:g} is {side} {end:g}, which {self.judged_by} never is"
            yield breach(what, "gate.floor", "metric", "task")
        target = self.data.target
        if self.task == "regression" and self.data.columns.get(target, "number") != "number":
            what = f"regression needs a target of kind number, '{target}' is of another"
            yield breach(what, "data.target", "data.columns", f"data.columns.{target}", "task")

    def _of_images(self) -> Iterator[Breach]:
        if "image" in self.data.columns.values():
            return
        kinds = ("data.columns", *(f"data.columns.{name}" for name in self.data.columns))
        if self.network.family in ("cnn", "resnet"):
            what = f"network {self.network.family} needs an image column: use mlp for tables"
            yield breach(what, "network.family", *kinds)
        if self.train.augment != Augment():
            what = "train.augment is for images, and no column is one: leave it out"
            yield breach(what, "train.augment", *kinds)
        for key in ("image_size", "image_channels"):
            if getattr(self.prepare, key) is not None:
                what = f"prepare.{key} is for images, and no column is one: leave it out"
                yield breach(what, f"prepare.{key}", *kinds)

    def _of_lists(self) -> Iterator[Breach]:
        for key in ("prune", "quantize"):
            entries = getattr(self, key)
            if len(set(entries)) < len(entries):
                what = f"{key} lists the same twice, which would be the same candidates twice: take one out"
                yield breach(what, key)

    def _of_split(self) -> Iterator[Breach]:
        kinds = self.data.columns
        for name, column in (("group", self.split.group), ("time_column", self.split.time_column)):
            key = f"split.{name}"
            if column is not None and column not in kinds:
                what = f"{key} '{column}' is not among the columns"
                do = nearest(column, kinds) or f"name one of these, or leave {key} out"
                yield breach(what, key, "data.columns", allowed=", ".join(kinds), do=do)
            elif column is not None and kinds[column] == "image":
                what = f"{key} '{column}' is an image column, which has no groups and no times"
                yield breach(what, key, "data.columns", f"data.columns.{column}")
