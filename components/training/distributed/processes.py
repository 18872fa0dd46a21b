"""The processes that torchrun started, seen from one of them: what `Together` asks, over gloo or NCCL.

gloo sums along a ring whose order is fixed by the ranks and by a value's place in its bucket, so the same processes
always round alike; two of them can't differ anyhow, since a + b is b + a.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from components.training.config import DDP
from components.training.distributed.compression import HOOKS, Memory, gathered, remember_, remembered
from components.training.together import Forward, share

PATIENCE: Final = timedelta(minutes=10)  # for the others to come, and with each exchange, as NCCL has it: gloo's is 30


@contextmanager
def joined(device: torch.device, meeting: Path) -> Iterator[None]:
    """Meet the other processes, in a file; leave them in peace at a good end only: a bad one can't wait for the others.

    Which of them this one is, and how many they are, torchrun has told it.
    """
    rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    # Small agreements stay on the CPU, so that no GPU has to wait for them.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store = dist.FileStore(str(meeting), processes)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=processes, timeout=PATIENCE)
    yield
    dist.destroy_process_group()


def own_device(kind: str) -> torch.device:
    """Return the device of this process: of several on CUDA each has its own."""
    if kind != "cuda":
        return torch.device(kind)
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


class Processes:
    """All processes of a training.

    `theirs` says that the network is a user's own: it may leave weights unused, and have buffers of its own making.
    """

    def __init__(self, config: DDP, device: torch.device, *, theirs: bool) -> None:
        self.config, self.device, self.theirs = config, device, theirs
        self.rank, self.processes = dist.get_rank(), dist.get_world_size()
        self._network: DistributedDataParallel | None = None
        self._memory: Memory = None

    def spread(self, network: nn.Module, *, example: tuple[Tensor, ...]) -> Forward:
        """Wrap the network in torch's DistributedDataParallel, with the hook that compresses gradients."""
        whole = DistributedDataParallel(
            network,
            gradient_as_bucket_view=True,
            find_unused_parameters=self.theirs,
            forward_sync_buffers=self.theirs,  # ours have the same statistics everywhere
        )
        if not self.theirs:
            _settle_buckets_(whole, example)
        if self.config.compress is not None:
            self._memory = HOOKS[self.config.compress.name](self.config.compress, whole)
        self._network = whole
        return whole

    def exchange(self, *, now: bool) -> AbstractContextManager[object]:
        """Let gradients add up in each process until they are exchanged."""
        assert self._network is not None
        return nullcontext() if now else self._network.no_sync()

    def agree(self, wish: bool) -> bool:
        """Broadcast the first process's wish."""
        said = torch.tensor([wish])
        dist.broadcast(said, 0)
        return bool(said.item())

    def sum(self, values: Tensor) -> Tensor:
        """Add up a copy."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    def join(self, part: Tensor, *, of: int) -> Tensor:
        """Broadcast each process's rows into their place."""
        whole = part.new_empty(of, *part.shape[1:])
        for rank in range(self.processes):
            rows = slice(*share(0, of, rank=rank, processes=self.processes))
            if rank == self.rank:
                whole[rows] = part
            dist.broadcast(whole[rows], rank)
        return whole

    def memory(self) -> dict[str, Tensor]:
        """Gather what the hooks of all processes keep."""
        return gathered(remembered(self._memory))

    def remember_(self, memory: Mapping[str, Tensor]) -> None:
        """Give this process's hook what it kept."""
        own = f"{self.rank}."
        tensors = {name.removeprefix(own): tensor for name, tensor in memory.items() if name.startswith(own)}
        remember_(self._memory, tensors, self.device)


def _settle_buckets_(network: DistributedDataParallel, example: tuple[Tensor, ...]) -> None:
    """Try the network, so that torch lays its buckets out now and not behind the first step.

    What a bucket holds decides how sums round and what a compression keeps: a training that goes on must find the
    buckets as they were. The network is left as it came.
    """
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    network.module.train()
    torch.autograd.backward(network(*example).float().sum())
    network.zero_grad(set_to_none=True)
    network.module.load_state_dict(before)
