"""Which runtimes are measured, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from components.rules import Breach, Ruled, breach

LEAST_ROUNDS = 10
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
        if not self.batch_sizes or min(self.batch_sizes) < 1:
            yield breach("batch_sizes has at least one entry, each batch size at least 1", "batch_sizes")
        if self.threads < 1:
            yield breach("threads is at least 1", "threads")
        if self.rounds < LEAST_ROUNDS:
            yield breach(f"rounds is at least {LEAST_ROUNDS}", "rounds")
        if not 0.5 < self.confidence < 1:
            yield breach("confidence is above 0.5 and below 1", "confidence")
