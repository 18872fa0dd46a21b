"""How gradients travel between processes: torch's own hooks.

To add one: a config, a function like these, a line in the table.
"""

from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook, fp16_compress_hook
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.distributed.algorithms.ddp_comm_hooks.quantization_hooks import quantization_pertensor_hook
from torch.nn.parallel import DistributedDataParallel

from components.table import Table
from components.training.config import BF16, FP16, Int8, PowerSGD

Memory = PowerSGDState | None  # what a hook keeps between steps


def fp16(config: FP16, network: DistributedDataParallel) -> Memory:  # noqa: ARG001 - all are called alike
    """16-bit floats."""
    network.register_comm_hook(None, fp16_compress_hook)
    return None


def bf16(config: BF16, network: DistributedDataParallel) -> Memory:  # noqa: ARG001
    """16-bit floats with the exponent of 32-bit ones."""
    network.register_comm_hook(None, bf16_compress_hook)
    return None


def int8(config: Int8, network: DistributedDataParallel) -> Memory:  # noqa: ARG001
    """8-bit integers, a scale and a zero for each bucket and process."""
    network.register_comm_hook(None, quantization_pertensor_hook)
    return None


def power_sgd(config: PowerSGD, network: DistributedDataParallel) -> Memory:
    """Thin matrices, with error feedback and warm start."""
    memory = PowerSGDState(None, matrix_approximation_rank=config.rank, start_powerSGD_iter=config.start_step)
    network.register_comm_hook(memory, powerSGD_hook)
    return memory


HOOKS: Table[Callable[..., Memory]] = Table(
    "gradient compression",
    {
        "fp16": fp16,
        "bf16": bf16,
        "int8": int8,
        "power_sgd": power_sgd,
    },
)


def remembered(memory: Memory) -> dict[str, Tensor]:
    """Return what this process's hook keeps: by bucket the error so far and the thin matrices, and the step."""
    if memory is None:
        return {}
    kept = {"error": memory.error_dict, "p": memory.p_memory_dict, "q": memory.q_memory_dict}
    tensors = {f"{name}.{bucket}": tensor for name, buckets in kept.items() for bucket, tensor in buckets.items()}
    return {**tensors, "step": torch.tensor(memory.iter)}


def remember_(memory: Memory, tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Take up what `remembered` gave."""
    if memory is None:
        return
    kept = {"error": memory.error_dict, "p": memory.p_memory_dict, "q": memory.q_memory_dict}
    for key, tensor in tensors.items():
        name, _, bucket = key.partition(".")
        if name in kept:
            kept[name][int(bucket)] = tensor.to(device, copy=True)
    memory.iter = int(tensors["step"])


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return in the first process the tensors of all, as `rank.name`, and nothing in the others."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        parts = [torch.empty_like(tensor) for _ in range(processes)] if rank == 0 else None
        dist.gather(tensor, parts)
        found |= {f"{number}.{name}": part for number, part in enumerate(parts or [])}
    return found
