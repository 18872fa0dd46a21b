"""How gradients travel between processes: torch's own hooks, and one of ours. To add one: a config, a function, a line.

V values of a bucket, P parameters in it.
"""

from collections.abc import Callable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook, fp16_compress_hook
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
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
    network.register_comm_hook(dist.group.WORLD, _in_bf16)
    return None


def int8(config: Int8, network: DistributedDataParallel) -> Memory:  # noqa: ARG001
    """8-bit integers, with a scale for the gradient of each parameter in each process."""
    network.register_comm_hook(None, _in_int8)
    return None


def power_sgd(config: PowerSGD, network: DistributedDataParallel) -> Memory:
    """Thin matrices, with error feedback and warm start."""
    memory = PowerSGDState(None, matrix_approximation_rank=config.rank, start_powerSGD_iter=config.start_step)
    network.register_comm_hook(memory, _in_thin_matrices)
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


def _in_bf16(group: dist.ProcessGroup, bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """Torch's hook under another name: by its own DDP takes it on CUDA only, though gloo can add such numbers too."""
    return bf16_compress_hook(group, bucket)


def _in_int8(state: None, bucket: GradBucket) -> torch.futures.Future[Tensor]:  # noqa: ARG001 - hooks are called alike
    """Ours, because torch's quantization hooks fail over gloo: they read what NCCL answers (torch 2.13)."""
    values, gradients = bucket.buffer(), bucket.gradients()
    steps = torch.stack([gradient.abs().max() for gradient in gradients]) / 127  # [P]; an infinite one spoils its own
    sizes = torch.tensor([gradient.numel() for gradient in gradients], device=values.device)
    whole = (values / steps.clamp(min=1e-38).repeat_interleave(sizes, output_size=len(values))).round().to(torch.int8)
    all_steps, all_whole = ([torch.empty_like(part) for _ in range(dist.get_world_size())] for part in (steps, whole))
    dist.all_gather(all_steps, steps)

    def mean(_: torch.futures.Future[Tensor]) -> Tensor:
        values.zero_()
        for step, part in zip(all_steps, all_whole, strict=True):  # in the same order everywhere
            values.addcmul_(part.to(values.dtype), step.repeat_interleave(sizes, output_size=len(values)))
        return values.div_(len(all_whole))

    sent: torch.futures.Future[Tensor] = dist.all_gather(all_whole, whole, async_op=True).get_future().then(mean)
    return sent


def _in_thin_matrices(state: PowerSGDState, bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """Torch's hook, waited for where gloo works: it goes on talking in a thread of gloo's.

    What the backward pass says meanwhile, of another bucket or of batch normalisation, would cross it, in another order
    in each process, and end them all ("Received data size doesn't match expected size").
    """
    sent: torch.futures.Future[Tensor] = powerSGD_hook(state, bucket)
    if bucket.buffer().device.type == "cpu":
        sent.wait()
    return sent


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
