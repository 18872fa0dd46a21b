"""Memory that was short is recognised, and a training made smaller where that helps."""

import pytest
import torch

from components.training.config import DDP, TrainConfig
from components.training.distributed.lost import ProcessLost
from tasks.memory import OutOfMemory, short_memory, smaller_batches


def raised(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except Exception as both:
        return both


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), "main"),
        (OutOfMemory("it took too much", of="main"), "main"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "main"),
        (RuntimeError("std::bad_alloc"), "main"),
        (RuntimeError("can't start new thread"), "main"),
        (raised(ValueError("a stage failed"), MemoryError()), "main"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "GPU"),
        (OutOfMemory("it took too much", of="GPU"), "GPU"),
        (ProcessLost("process 1 was killed by SIGKILL", rank=0, code=-9, out_of_memory=True), "main"),
        (ProcessLost("process 1: CUDA out of memory", rank=0, code=1, out_of_memory=True), "GPU"),
        (ProcessLost("process 1 ended with exit code 1", rank=0, code=1, out_of_memory=False), None),
        (RuntimeError("shapes don't fit"), None),
    ],
)
def test_memory_that_was_short_is_recognised(error: Exception, memory: str | None) -> None:
    assert short_memory(error) == memory


def test_a_training_is_halved_without_changing_its_steps() -> None:
    config = TrainConfig(batch_size=64, accumulate=3)
    inputs = smaller_batches({"config": config, "seed": 3})
    assert inputs == {"config": TrainConfig(batch_size=32, accumulate=6), "seed": 3}
    assert smaller_batches({"config": TrainConfig(batch_size=33)}) is None
    assert smaller_batches({"config": TrainConfig(batch_size=6, distributed=DDP(processes=4))}) is None
    assert smaller_batches({"config": 3}) is None
    assert smaller_batches({}) is None
