"""While a training lasts, memory that tensors free is kept, and what lies in cycles is freed."""

import ctypes
import gc
import resource
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from components.training.device import settings

PAGES = 64 << 20 >> 12  # of the tensor


def test_a_step_does_not_pay_for_the_pages_of_the_one_before_again() -> None:
    """In a process of its own: what was freed before, and by whom, would count."""
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("there is no glibc")
    done = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True, check=True)
    before, during, held, after = (int(figure) for figure in done.stdout.split())
    assert before > 3 * PAGES
    assert during < PAGES  # four tensors have the pages of those before
    assert held > 0.9 * PAGES
    assert after < PAGES // 10


def faults(tensors: int) -> int:
    """Return how many pages were new to make and free so many tensors, one after the other."""
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.ones(64 << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first


def resident() -> int:
    """Return how many pages of memory the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def report() -> None:
    """Print new pages for four tensors outside and inside of a training, and pages held at its end and behind it."""
    with settings(torch.device("cpu"), threads=1):
        pass  # the first time loads modules of torch
    before, at_first = faults(4), resident()
    with settings(torch.device("cpu"), threads=1):
        faults(8)  # a few: small things come to lie between the first
        during, held = faults(4), resident()
    print(before, during, held - at_first, resident() - at_first)  # noqa: T201 - to the test


_CHILD = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import report; report()"


class Step:
    """What a network may leave behind: a tensor in a cycle."""

    def __init__(self) -> None:
        self.own, self.tensor = self, torch.ones(1)


def left_of(steps: int) -> int:
    """Return of how many of so many steps the tensors are still there."""
    tensors = [weakref.ref(Step().tensor) for _ in range(steps)]
    return sum(one() is not None for one in tensors)


def test_tensors_in_cycles_do_not_pile_up_though_the_process_collects_seldom() -> None:
    before = gc.get_threshold()
    gc.set_threshold(1_000_000)
    try:
        assert left_of(2_000) == 2_000
        with settings(torch.device("cpu"), threads=None):
            assert left_of(2_000) < 1_000
        assert gc.get_threshold()[0] == 1_000_000
    finally:
        gc.set_threshold(*before)
