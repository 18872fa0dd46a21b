"""The device, and torch's global settings for as long as a training lasts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch

from components.errors import refuse
from components.training.allocator import cycles_collected, freed_memory_kept
from components.training.config import TrainConfig
from components.training.precision import check


def find_device(name: str) -> torch.device:
    """Return the device of the name; `auto` is cuda, else mps, else cpu.

    Raises:
        Refusal: there is no such device here.
    """
    if name == "auto":
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        do = "take train.device: auto, or run where there is such a device"
        raise refuse(f"device '{name}': {said}", where="train.device", allowed=_here(), do=do) from error
    return device


def _here() -> str:
    """Say which devices this machine has."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    others = ["cuda", *gpus] if gpus else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return f"{', '.join(['auto', 'cpu', *others, *mps])}: this machine has no other device"


def device_of(config: TrainConfig) -> torch.device:
    """Return where a training computes; where it has several processes, the kind of device that each has one of.

    Raises:
        Refusal: there is no such device here, or it can't do the precision, or there are more processes than GPUs.
    """
    alone = config.distributed.processes == 1
    device = find_device(config.device) if alone else _kind_of_each(config)
    check(config.precision, device)
    return device


def _kind_of_each(config: TrainConfig) -> torch.device:
    gpus, processes = torch.cuda.device_count(), config.distributed.processes
    kind = config.device if config.device != "auto" else "cuda" if gpus else "cpu"
    if kind == "cuda" and 0 < gpus < processes:
        raise refuse(
            f"{processes} processes for {gpus} GPU(s)",
            where="train.distributed.processes",
            allowed="a GPU for each process",
            do=f"take {gpus} process(es) at most, or train.device: cpu",
        )
    return torch.device(kind) if gpus else find_device(kind)


def seed_of(seed: int, purpose: str, number: int, *, process: int = 0) -> int:
    """Return 63 bits decided by the seed, what they are for, the number of the epoch or step, and the process."""
    words = f"{seed} {purpose} {number}" + (f" {process}" if process else "")
    return int.from_bytes(blake2b(words.encode(), digest_size=8).digest()) >> 1


def seed_(device: torch.device, seed: int) -> None:
    """Seed the generators of the CPU and of the device; torch.manual_seed asks every backend, 0.1 ms a step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def settings(device: torch.device, *, threads: int | None) -> Iterator[None]:
    """Deterministic algorithms, the number of CPU threads and how memory is kept; put back, as is the random state."""
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what makes cuBLAS deterministic
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), freed_memory_kept():
        try:
            torch.set_num_threads(threads or before)
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # costs time
            with cycles_collected():  # torch has loaded what it needs for the settings above
                yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
