"""Large objects go in parts, a few at once and in order: that is fast, and needs the memory of a few parts."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

PART: Final = 8 << 20  # bytes; an object of up to one part goes in a single call
MOST_PARTS: Final = 10_000  # S3's limit
AT_ONCE: Final = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


def part_bytes(size_bytes: int) -> int:
    """Return how large the parts of an object of that size are."""
    return max(PART, -(-size_bytes // MOST_PARTS))


def in_order(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of each item in turn, while the next few are worked at."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
