"""What training would refuse of this machine, seen before there is anything to train on."""

from components.planning.machine import device_kind, seems_there
from components.training.config import TrainConfig


def look_ahead(config: TrainConfig) -> None:
    """Refuse a device or a precision that can't be had here. torch is loaded only where that is to be feared.

    Raises:
        Refusal: the one that training would raise.
    """
    halved_on_cpu = config.precision == "fp16" and device_kind(config.device) == "cpu"
    if halved_on_cpu or not seems_there(config.device, processes=config.distributed.processes):
        from components.training.device import device_of

        device_of(config)
