"""Arithmetic of 32 or 16 bits: autocast, and a scaler where gradients could vanish in fp16."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from components.errors import refuse

Precision = Literal["fp32", "bf16", "fp16"]


def check(precision: Precision, device: torch.device) -> None:
    """Refuse what the device can't do.

    Raises:
        Refusal: fp16 on a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise refuse(
            "precision fp16 on a CPU",
            where="train.precision",
            allowed="fp32, bf16",
            do="take bf16, which needs no scaling, or a device with fp16: train.device: cuda",
        )


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of the forward pass."""
    match precision:
        case "fp32":
            return nullcontext()
        case "bf16":
            return torch.autocast(device.type, dtype=torch.bfloat16)
        case "fp16":
            return torch.autocast(device.type, dtype=torch.float16)


def scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return the scaler of the loss, which does nothing unless the precision is fp16."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
