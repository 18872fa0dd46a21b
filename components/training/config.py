"""Every knob of training. The unit is in the name, or under the field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from components.rules import MOST_EPOCHS, MOST_THREADS, Breach, Ruled, breach
from components.task import Task

MOST_CROP: Final = 1024  # pixels
DEVICES: Final = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def _of_rate(lr: float, weight_decay: float) -> Iterator[Breach]:
    if lr <= 0:
        yield breach("lr is above 0", "lr")
    if weight_decay < 0:
        yield breach("weight_decay is 0 or more", "weight_decay")


def _of_warmup(warmup_epochs: float) -> Iterator[Breach]:
    if warmup_epochs < 0:
        yield breach("warmup_epochs is 0 or more", "warmup_epochs")


@dataclass(frozen=True, kw_only=True, slots=True)
class SGD(Ruled):
    """Stochastic gradient descent with Nesterov momentum."""

    name: Literal["sgd"] = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_rate(self.lr, self.weight_decay)
        if not 0 <= self.momentum < 1:
            yield breach("momentum is 0 or more and below 1", "momentum")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adam(Ruled):
    """Adam (Kingma and Ba 2015)."""

    name: Literal["adam"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_rate(self.lr, self.weight_decay)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdamW(Ruled):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.01

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_rate(self.lr, self.weight_decay)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adagrad(Ruled):
    """Adagrad (Duchi et al. 2011)."""

    name: Literal["adagrad"] = "adagrad"
    lr: float = 1e-2
    weight_decay: float = 0.0

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_rate(self.lr, self.weight_decay)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adafactor(Ruled):
    """Adafactor (Shazeer and Stern 2018)."""

    name: Literal["adafactor"] = "adafactor"
    lr: float = 1e-2
    weight_decay: float = 0.0

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_rate(self.lr, self.weight_decay)


Optimizer = SGD | Adam | AdamW | Adagrad | Adafactor


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy(Ruled):
    """Cross-entropy over classes. `balanced` weighs each class by the inverse of its share of train."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = 0.0  # share of a label that is spread evenly over all classes
    class_weights: Literal["none", "balanced"] = "none"

    def _breaches(self) -> Iterator[Breach]:
        if not 0 <= self.label_smoothing < 1:
            yield breach("label_smoothing is 0 or more and below 1", "label_smoothing")


@dataclass(frozen=True, kw_only=True, slots=True)
class BCE:
    """Binary cross-entropy, one-against-all where there are more than two classes."""

    name: Literal["bce"] = "bce"


@dataclass(frozen=True, kw_only=True, slots=True)
class MSE:
    """Mean squared error, in units of the target's standard deviation."""

    name: Literal["mse"] = "mse"


@dataclass(frozen=True, kw_only=True, slots=True)
class MAE:
    """Mean absolute error, in units of the target's standard deviation."""

    name: Literal["mae"] = "mae"


@dataclass(frozen=True, kw_only=True, slots=True)
class Huber(Ruled):
    """Huber loss: squared up to `delta` standard deviations of the target, linear beyond."""

    name: Literal["huber"] = "huber"
    delta: float = 1.0

    def _breaches(self) -> Iterator[Breach]:
        if self.delta <= 0:
            yield breach("delta is above 0", "delta")


Loss = CrossEntropy | BCE | MSE | MAE | Huber
LOSSES_OF: Final[dict[Task, tuple[str, ...]]] = {
    "classification": ("cross_entropy", "bce"),
    "regression": ("mse", "mae", "huber"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant(Ruled):
    """The optimizer's rate throughout."""

    name: Literal["constant"] = "constant"
    warmup_epochs: float = 0.0

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_warmup(self.warmup_epochs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine(Ruled):
    """From the optimizer's rate to `final_share` of it along half a cosine (Loshchilov and Hutter 2017)."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: float = 0.0  # linear rise from 0
    final_share: float = 0.01

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_warmup(self.warmup_epochs)
        if not 0 <= self.final_share <= 1:
            yield breach("final_share is 0 to 1", "final_share")


@dataclass(frozen=True, kw_only=True, slots=True)
class OneCycle(Ruled):
    """Up to the optimizer's rate during `rise_share` of the steps, then down (Smith and Topin 2018)."""

    name: Literal["one_cycle"] = "one_cycle"
    rise_share: float = 0.3

    def _breaches(self) -> Iterator[Breach]:
        if not 0 <= self.rise_share <= 1:
            yield breach("rise_share is 0 to 1", "rise_share")


@dataclass(frozen=True, kw_only=True, slots=True)
class OnPlateau(Ruled):
    """The rate times `factor` after more than `patience_epochs` in a row whose weights weren't kept."""

    name: Literal["on_plateau"] = "on_plateau"
    factor: float = 0.3
    patience_epochs: int = 5
    warmup_epochs: float = 0.0

    def _breaches(self) -> Iterator[Breach]:
        yield from _of_warmup(self.warmup_epochs)
        if not 0 < self.factor < 1:
            yield breach("factor is above 0 and below 1", "factor")
        if self.patience_epochs < 0:
            yield breach("patience_epochs is 0 or more", "patience_epochs")


Schedule = Constant | Cosine | OneCycle | OnPlateau


@dataclass(frozen=True, kw_only=True, slots=True)
class Augment(Ruled):
    """Random changes to train images, made on the device, anew for each batch."""

    flip: bool = False  # left to right, half of the time
    crop_pixels: int = 0  # pad by so many pixels, then cut out at a random place
    rotate_degrees: float = 0.0  # by an angle drawn from minus to plus so many degrees

    def _breaches(self) -> Iterator[Breach]:
        if not 0 <= self.crop_pixels <= MOST_CROP:
            yield breach(f"crop_pixels is 0 to {MOST_CROP}", "crop_pixels")
        if not 0 <= self.rotate_degrees <= 180:
            yield breach("rotate_degrees is 0 to 180", "rotate_degrees")


@dataclass(frozen=True, kw_only=True, slots=True)
class FP16:
    """Gradients travel as 16-bit floats."""

    name: Literal["fp16"] = "fp16"


@dataclass(frozen=True, kw_only=True, slots=True)
class BF16:
    """Gradients travel as 16-bit floats with the exponent of 32-bit ones: fewer digits, no overflow."""

    name: Literal["bf16"] = "bf16"


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8:
    """Gradients travel as 8-bit integers, with a scale for each parameter and process."""

    name: Literal["int8"] = "int8"


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerSGD(Ruled):
    """Gradients of matrices travel as products of two thin ones; what that loses is added to the next step's.

    Source: Vogels et al. 2019, https://arxiv.org/abs/1905.13727
    """

    name: Literal["power_sgd"] = "power_sgd"
    rank: int = 2  # columns of the thin matrices
    start_step: int = 100  # the steps before it, when gradients change most, aren't compressed

    def _breaches(self) -> Iterator[Breach]:
        if self.rank < 1:
            yield breach("rank is at least 1", "rank")
        if self.start_step < 2:
            yield breach("start_step is at least 2", "start_step")


Compression = FP16 | BF16 | Int8 | PowerSGD


@dataclass(frozen=True, kw_only=True, slots=True)
class Alone:
    """One process, on one device."""

    name: Literal["alone"] = "alone"

    @property
    def processes(self) -> int:
        """How many there are."""
        return 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DDP(Ruled):
    """Several processes of this machine, each with its part of every batch, and on CUDA with a device of its own.

    On CPUs `threads` are faster: what processes tell each other costs milliseconds a step (benchmarks/distributed.py).
    """

    name: Literal["ddp"] = "ddp"
    processes: int = 2
    compress: Compression | None = None  # how gradients travel between the processes; None: as they are

    def _breaches(self) -> Iterator[Breach]:
        if self.processes < 2:
            yield breach(
                "processes is at least 2; for one, which has nothing to compress, take name: alone", "processes"
            )
        if self.processes > MOST_THREADS:
            yield breach(f"processes is at most {MOST_THREADS}", "processes")


Distributed = Alone | DDP


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(Ruled):
    """How the network is fitted.

    Weights are kept of an epoch whose validation metric is within one standard error of the best, since what is closer
    than that is chance: an epoch takes the place of the one kept until then where its validation loss is lower.
    """

    epochs: int = 60
    batch_size: int = 64  # of all processes together
    optimizer: Optimizer = field(default_factory=AdamW)
    loss: Loss | None = None  # None: cross-entropy for classification, MSE for regression
    schedule: Schedule = field(default_factory=Cosine)
    stop_after_epochs: int | None = None  # early stopping: so many epochs in a row whose weights weren't kept
    augment: Augment = field(default_factory=Augment)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    channels_last: bool = True
    accumulate: int = 1  # batches whose gradients make one step
    clip_norm: float | None = None  # largest L2 norm of the gradient
    weight_average: float = 0.99  # decay by step of a moving average of the weights, which is what is kept; 0: off
    device: str = "auto"  # auto: cuda, else mps, else cpu
    threads: int | None = None  # CPU threads of each process; None: they share the cores that a run may use
    distributed: Distributed = field(default_factory=Alone)
    checkpoint_seconds: float = field(default=10.0, metadata={"in_key": False})  # the result doesn't depend on it

    def _breaches(self) -> Iterator[Breach]:
        if not 1 <= self.epochs <= MOST_EPOCHS:
            yield breach(f"epochs is 1 to {MOST_EPOCHS}", "epochs")
        if self.batch_size < 1:
            yield breach("batch_size is at least 1", "batch_size")
        if self.accumulate < 1:
            yield breach("accumulate is at least 1", "accumulate")
        if self.clip_norm is not None and self.clip_norm <= 0:
            yield breach("clip_norm is above 0", "clip_norm")
        if not 0 <= self.weight_average < 1:
            yield breach("weight_average is 0 or more and below 1", "weight_average")
        if self.stop_after_epochs is not None and self.stop_after_epochs < 1:
            yield breach("stop_after_epochs is at least 1", "stop_after_epochs")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            yield breach(f"threads is 1 to {MOST_THREADS}", "threads")
        if self.checkpoint_seconds < 0:
            yield breach("checkpoint_seconds is 0 or more", "checkpoint_seconds")
        if not DEVICES.fullmatch(self.device):
            yield breach("device is auto, cpu, cuda, cuda with a number such as cuda:1, or mps", "device")
        if isinstance(self.distributed, DDP):
            yield from self._of_processes(self.distributed)

    @property
    def balanced(self) -> bool:
        """Whether classes are weighed against their share of the train rows."""
        return isinstance(self.loss, CrossEntropy) and self.loss.class_weights == "balanced"

    @property
    def halved(self) -> "TrainConfig | None":
        """The same with half the batch and twice as many of them to a step, None where a batch has no half of 2 rows.

        It learns the same but for the last digits, and for batch normalisation, which sees smaller batches: of one
        row it may have nothing to normalise by.
        """
        half, odd = divmod(self.batch_size, 2)
        least = self.distributed.processes if isinstance(self.distributed, DDP) else 2
        return None if odd or half < least else replace(self, batch_size=half, accumulate=2 * self.accumulate)

    def _of_processes(self, ddp: DDP) -> Iterator[Breach]:
        if self.batch_size < ddp.processes:
            what = f"batch_size is at least the number of processes, {ddp.processes}: each takes a part"
            yield breach(what, "batch_size", "distributed.processes")
        if self.device not in ("auto", "cpu", "cuda"):
            what = f"device is auto, cpu or cuda where there are {ddp.processes} processes"
            yield breach(what, "device", "distributed.processes")
        if isinstance(ddp.compress, PowerSGD) and self.precision == "fp16":
            what = "compress power_sgd can't go with precision fp16: an overflow would stay in what it keeps"
            yield breach(what, "precision", "distributed.compress")
