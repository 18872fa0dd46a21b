"""Which runtimes are measured, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from components.rules import MOST_THREADS, Breach, Ruled, breach

LEAST_ROUNDS, MOST_ROUNDS = 10, 1_000_000
MOST_ROWS: Final = 1_000_000  # of a batch
RuntimeName = Literal["onnxruntime"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileConfig(Ruled):
    """Latency, interleaved against the uncompressed model in the same process."""

    runtimes: tuple[RuntimeName, ...] = ("onnxruntime",)
    batch_sizes: tuple[int, ...] = (1, 32)
    threads: int = 1
    rounds: int = 60  # A/B rounds, a third of them with each of three sessions; their ratios give the interval
    confidence: float = 0.95

    def _breaches(self) -> Iterator[Breach]:
        if not self.runtimes:
            yield breach("runtimes has at least one entry", "runtimes")
        if not self.batch_sizes or not all(1 <= size <= MOST_ROWS for size in self.batch_sizes):
            yield breach(f"batch_sizes has at least one entry, each batch size 1 to {MOST_ROWS}", "batch_sizes")
        if not 1 <= self.threads <= MOST_THREADS:
            yield breach(f"threads is 1 to {MOST_THREADS}", "threads")
        if not LEAST_ROUNDS <= self.rounds <= MOST_ROUNDS:
            yield breach(f"rounds is {LEAST_ROUNDS} to {MOST_ROUNDS}", "rounds")
        if not 0.5 < self.confidence < 1:
            yield breach("confidence is above 0.5 and below 1", "confidence")
