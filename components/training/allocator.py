"""Memory, as long as a training lasts: the C library's, and what lies in cycles of Python objects.

glibc maps each large tensor anew and unmaps it when it is freed, so every step is paid for its pages again: the kernel
clears them. Of a CNN's step on 1,024 images that was 30 % (docs/log.md). Kept memory is no more than the highest need.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Of glibc's malloc.h. https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MMAP_MAX: Final = -4

_OFTEN: Final = (700, 10, 10)  # Python's own: https://docs.python.org/3.11/library/gc.html#gc.set_threshold

_KEPT: Final = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}
# The number is glibc's own, the thresholds are those that it comes to by itself where tensors are large.
_GIVEN_BACK: Final = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep memory that tensors free for the next ones, and give it back at the end. Without glibc nothing is done."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    try:
        for option, value in _KEPT.items():
            libc.mallopt(option, value)
        yield
    finally:
        for option, value in _GIVEN_BACK.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


@contextmanager
def cycles_collected() -> Iterator[None]:
    """Collect garbage often, also in a process that does it seldom.

    A network of one's own may leave the tensors of a step in a cycle, and they are few objects and much memory.
    """
    before = gc.get_threshold()
    gc.set_threshold(*_OFTEN)
    try:
        yield
    finally:
        gc.set_threshold(*before)
