"""How figures of quality are made."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """Figures with bootstrap confidence intervals, and the baselines beside them."""

    resamples: int = 1000  # bootstrap resamples of the rows
    confidence: float = 0.95
    baselines: bool = True  # a constant, a linear model and, on tables, gradient boosting

    def __post_init__(self) -> None:
        if self.resamples < 100 or not 0.5 < self.confidence < 1:
            raise ValueError("resamples is at least 100, confidence above 0.5 and below 1")
