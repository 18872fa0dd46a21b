"""Which runtimes are measured, and how."""

from dataclasses import dataclass
from typing import Literal

LEAST_ROUNDS = 10
RuntimeName = Literal["onnxruntime"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileConfig:
    """Latency, interleaved against the uncompressed model in the same process."""

    runtimes: tuple[RuntimeName, ...] = ("onnxruntime",)
    batch_sizes: tuple[int, ...] = (1, 32)
    threads: int = 1
    rounds: int = 60  # A/B rounds, a third of them with each of three sessions; their ratios give the interval
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.runtimes or not self.batch_sizes or min(self.batch_sizes) < 1:
            raise ValueError("runtimes and batch_sizes have at least one entry, each batch size at least 1")
        if self.threads < 1 or self.rounds < LEAST_ROUNDS or not 0.5 < self.confidence < 1:
            raise ValueError(f"threads is at least 1, rounds at least {LEAST_ROUNDS}, confidence above 0.5 and below 1")
