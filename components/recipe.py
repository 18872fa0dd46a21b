"""The recipe: everything that decides what is built, composed from the configs of the rooms that use it."""

import re
from dataclasses import dataclass, field
from typing import Final

from components.aim import Aim
from components.compression.config import Prune, Quantize, SelectConfig
from components.data.config import DataConfig, PrepareConfig, SplitConfig
from components.errors import nearest
from components.evaluation.config import EvaluateConfig
from components.export.config import ExportConfig
from components.gate.config import GateConfig
from components.models.config import Network
from components.runtimes.config import ProfileConfig
from components.task import DEFAULT_METRIC, METRICS, RANGES, Metric, Task
from components.training.config import CLASSIFICATION_LOSSES, Augment, TrainConfig
from components.workers import Workers

# The name of a folder, of an experiment and part of an address: nothing that any of them reads otherwise.
MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One model, from its data to the rule of its release."""

    model: str  # the registered model's name
    task: Task
    metric: Metric | None = None  # what selection and the gate compare; None: accuracy, or RMSE for regression
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
        """What the stages from training on share."""
        return Aim(task=self.task, metric=self.judged_by, seed=self.seed, data=self.data, network=self.network)

    def __post_init__(self) -> None:
        if not MODEL_NAME.fullmatch(self.model):
            # Without the name itself, whose words could be those of other fields: the reader shows it.
            raise ValueError("model must be 1 to 100 of A-Z a-z 0-9 . _ - with a letter or a digit first")
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed is 0 or more and below 2**32")
        self._check_task()
        self._check_columns()
        if self.select.batch_size not in self.profile.batch_sizes:
            raise ValueError(f"select.batch_size {self.select.batch_size} isn't among profile.batch_sizes")
        if self.train.precision == "fp16" and self.train.device == "cpu":
            raise ValueError("train.precision fp16 isn't for a CPU: take bf16, or another device")

    def _check_task(self) -> None:
        if self.metric is not None and self.metric not in METRICS[self.task]:
            raise ValueError(f"metric {self.metric} isn't one of {self.task}: {', '.join(METRICS[self.task])}")
        if self.train.loss is not None:
            fits = isinstance(self.train.loss, CLASSIFICATION_LOSSES) == (self.task == "classification")
            if not fits:
                raise ValueError(f"train.loss {self.train.loss.name} isn't one for {self.task}")
        floor, (low, high) = self.gate.floor, RANGES[self.judged_by]
        if floor is not None and not low <= floor <= high:
            side, end = ("below", low) if floor < low else ("above", high)
            raise ValueError(f"gate.floor {floor:g} is {side} {end:g}, which {self.judged_by} never is")

    def _check_columns(self) -> None:
        kinds = self.data.columns
        if self.task == "regression" and kinds[self.data.target] != "number":
            raise ValueError(f"regression needs a target of kind number, '{self.data.target}' is of another")
        if self.network.family in ("cnn", "resnet") and "image" not in kinds.values():
            raise ValueError(f"network {self.network.family} needs an image column: use mlp for tables")
        if self.train.augment != Augment() and "image" not in kinds.values():
            raise ValueError("train.augment is for images, and no column is one: leave it out")
        for key, column in (("group", self.split.group), ("time_column", self.split.time_column)):
            if column is not None and column not in kinds:
                close = nearest(column, kinds)
                raise ValueError(f"split.{key} '{column}' is not among the columns{close and f' ({close})'}")
            if column is not None and kinds[column] == "image":
                raise ValueError(f"split.{key} '{column}' is an image column, which has no groups and no times")
