"""Whether a network can be trained here at all: told before its weights fill the memory, and the system kills the run.

What counts is the least that any training of it holds at once; its rows and its layers' answers come on top.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final, assert_never

import torch
from torch import nn

from components.errors import refuse
from components.models.config import Network
from components.models.tensors import COPIES
from components.planning.machine import main_memory
from components.training.config import SGD, Adafactor, Adagrad, Adam, AdamW, Optimizer, TrainConfig
from components.training.device import device_of

KNOBS: Final = (
    "width",
    "depth",
    "members",
    "waves",
    "stages",
    "blocks",
    "options",
)  # of networks: those that decide how large one is


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a training holds, in bytes but for the number of parameters."""

    parameters: int
    step: int  # during the first one: weights, their moving average, gradients, and what the optimizer keeps
    state: int  # behind the first epoch: weights, their average, the best ones, and what the optimizer keeps


def need_of(network: nn.Module, config: TrainConfig) -> Need:
    """Return what it takes to train a network, which may be on torch's meta device."""
    parameters = list(network.parameters())
    weights, learned = _bytes(parameters), _bytes(one for one in parameters if one.requires_grad)
    lasting = (2 if config.weight_average else 1) * weights + _kept(config.optimizer) * learned
    return Need(parameters=sum(one.numel() for one in parameters), step=lasting + learned, state=lasting + weights)


def check_room(network: nn.Module, config: TrainConfig, *, of: Network) -> None:
    """Refuse a network that surely can't be trained here: what it takes exceeds all memory, not what is free of it.

    Raises:
        Refusal: that; or there is no such device here.
    """
    need, device, processes = need_of(network, config), device_of(config), config.distributed.processes
    on_gpu, written = device.type == "cuda", COPIES * need.state
    if on_gpu:
        what = "weights, gradients and the optimizer's state"
        _check(need, need.step, what, there=_smallest(device, processes), whose="of memory the GPU", of=of)
    if (memory := main_memory()) is not None:
        what = "the checkpoint" if on_gpu else "weights, the optimizer's state and the checkpoint of them"
        taken = written if on_gpu else max(processes * need.step, processes * need.state + written)
        _check(need, taken, what, there=memory.size_bytes, whose=f"of memory and swap this {memory.of}", of=of)


def _check(need: Need, taken: int, what: str, *, there: int, whose: str, of: Network) -> None:
    if taken <= there:
        return
    knobs = " or ".join(f"network.{field.name}" for field in fields(of) if field.name in KNOBS)
    raise refuse(
        f"{need.parameters:,} parameters, which take {taken / 1e9:,.1f} GB at the least: {what}",
        where="network",
        allowed=f"the {there / 1e9:,.1f} GB {whose} has",
        do=f"take a smaller network ({knobs}), or train it where there is more memory",
    )


def _smallest(device: torch.device, processes: int) -> int:
    """Return the bytes of the GPU, or of the smallest of those that processes have one each of."""
    numbers: Iterable[int] = range(processes)
    if processes == 1:
        numbers = [torch.cuda.current_device() if device.index is None else device.index]
    return min(torch.cuda.get_device_properties(number).total_memory for number in numbers)


def _kept(optimizer: Optimizer) -> int:
    """Return how many values an optimizer keeps, at the least, for each that is learned."""
    match optimizer:
        case Adam() | AdamW():
            return 2
        case Adagrad():
            return 1
        case SGD():
            return 1 if optimizer.momentum else 0
        case Adafactor():  # sums of the rows and columns of matrices
            return 0
        case _:
            assert_never(optimizer)


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum(one.numel() * one.element_size() for one in parameters)
