"""What a release must prove before it is promoted."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """The rule of promotion.

    The first release needs only the floor. A later one must be not worse than the champion by more than
    `margin`, shown at `confidence` on the same test rows (one-sided non-inferiority). Without enough evidence it is
    held; with `if_not_worse` it passes where no loss was seen and the quality alone is in doubt: not where latency,
    size or the floor is.
    """

    floor: float | None = None  # least test value of the recipe's metric (largest, for metrics where lower is better)
    margin: float = 0.01  # of the recipe's metric; for regression, a share of the champion's value
    confidence: float = 0.95
    class_margin: float | None = 0.1  # largest loss of recall that any one class may be shown to have
    max_slowdown: float | None = 1.2  # largest latency against the champion, as a ratio
    max_growth: float | None = 1.5  # largest size against the champion, as a ratio
    on_not_enough_evidence: Literal["hold", "if_not_worse"] = "hold"

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1 or not 0.5 < self.confidence < 1:
            raise ValueError("margin is above 0 and below 1, confidence above 0.5 and below 1")
        if self.class_margin is not None and self.class_margin >= 1:
            raise ValueError("class_margin is below 1, or null for no limit")
        for name in ("class_margin", "max_slowdown", "max_growth"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is above 0, or null for no limit")
