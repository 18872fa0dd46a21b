"""How figures of quality are made."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.rules import Breach, Ruled, breach


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig(Ruled):
    """Figures with bootstrap confidence intervals, and the baselines beside them."""

    resamples: int = 1000  # bootstrap resamples of the rows
    confidence: float = 0.95
    baselines: bool = True  # a constant, a linear model; on tables gradient boosting and the best column alone

    def _breaches(self) -> Iterator[Breach]:
        if self.resamples < 100:
            yield breach("resamples is at least 100", "resamples")
        if not 0.5 < self.confidence < 1:
            yield breach("confidence is above 0.5 and below 1", "confidence")
