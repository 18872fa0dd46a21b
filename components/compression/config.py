"""The ways to make a model smaller or faster that a recipe can list."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.rules import MOST_EPOCHS, Breach, Ruled, breach


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneChannels(Ruled):
    """Remove whole channels and neurons, those of the smallest weights first, then train the rest again.

    At the training's own learning rate the rest recovers more than at a small one. Source: Renda, Frankle and Carbin
    2020, Comparing Rewinding and Fine-tuning in Neural Network Pruning.
    """

    method: Literal["channels"] = "channels"
    ratio: float = 0.5  # share of each layer's channels to remove
    finetune_epochs: int = 10
    finetune_lr_share: float = 1.0  # of the training's learning rate

    def _breaches(self) -> Iterator[Breach]:
        if not 0 < self.ratio < 1:
            yield breach("ratio is above 0 and below 1", "ratio")
        if not 0 <= self.finetune_epochs <= MOST_EPOCHS:
            yield breach(f"finetune_epochs is 0 to {MOST_EPOCHS}", "finetune_epochs")
        if self.finetune_lr_share <= 0:
            yield breach("finetune_lr_share is above 0", "finetune_lr_share")


Prune = PruneChannels


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Static(Ruled):
    """Weights (per channel) and activations as 8-bit integers, with ranges calibrated on train rows."""

    method: Literal["int8_static"] = "int8_static"
    calibration: Literal["minmax", "entropy", "percentile"] = "minmax"
    calibration_rows: int = 256
    reduce_range: bool = True  # 7-bit weights: no saturation on processors without VNNI

    @property
    def rows_read(self) -> int:
        """How many train rows the method looks at."""
        return self.calibration_rows

    def _breaches(self) -> Iterator[Breach]:
        if self.calibration_rows < 1:
            yield breach("calibration_rows is at least 1", "calibration_rows")


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Dynamic:
    """Weights of fully connected layers as 8-bit integers, activations quantized at run time."""

    method: Literal["int8_dynamic"] = "int8_dynamic"
    reduce_range: bool = True

    @property
    def rows_read(self) -> int:
        """How many train rows the method looks at: only to measure the error of each layer."""
        return 64


Quantize = Int8Static | Int8Dynamic


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectConfig(Ruled):
    """Which candidate is released: the best by `objective` among those within `max_loss` of the uncompressed one."""

    objective: Literal["latency", "size", "quality"] = "latency"
    max_loss: float = 0.01  # largest loss of the recipe's metric on validation against the uncompressed model
    batch_size: int = 1  # the batch size whose latency counts; one of profile.batch_sizes

    def _breaches(self) -> Iterator[Breach]:
        if self.max_loss < 0:
            yield breach("max_loss is 0 or more", "max_loss")
