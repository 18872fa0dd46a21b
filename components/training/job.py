"""What a training is asked to do, and how it went."""

from dataclasses import dataclass
from pathlib import Path

from components.task import Metric
from components.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A training, but for its model and its rows."""

    config: TrainConfig
    metric: Metric
    seed: int
    folder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """How a training went."""

    history: tuple[dict[str, float], ...]  # of each epoch: train_loss, validation_loss, validation_METRIC, lr
    best_epoch: int  # from 0: the one whose weights were kept
    seconds: float  # over all attempts
    samples_per_second: float
    device: str
