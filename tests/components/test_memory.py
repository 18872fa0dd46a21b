"""Memory that was short is recognised."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from components.errors import Problem, ProcessLost
from components.memory import OutOfMemory, short_memory

ROOT = Path(__file__).parents[2]


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
        (ProcessLost([Problem(what="process 1 of 2 was killed by SIGKILL (status code -9)")]), None),  # perhaps
        (RuntimeError("shapes don't fit"), None),
    ],
)
def test_memory_that_was_short_is_recognised(error: Exception, memory: str | None) -> None:
    assert short_memory(error) == memory


SHORT = """
import resource, torch
from safetensors.torch import save
from components.memory import short_memory
weights = {"weights": torch.zeros(50_000_000)}
with open("/proc/self/status") as status:
    (taken,) = (int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (taken + 250_000_000, resource.RLIM_INFINITY))
try:
    save(weights)
except BaseException as error:
    print(type(error).__name__, short_memory(error))
"""


def test_a_library_in_rust_that_gets_no_object_from_python_is_short_of_memory() -> None:
    """safetensors has the weights once, in 200 MB, and Python no bytes to put them into."""
    told = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["PanicException", "main"], told.stderr[-2000:]
