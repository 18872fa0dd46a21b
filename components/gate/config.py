"""What a release must prove before it is promoted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from components.rules import Breach, Ruled, breach

LEAST_MARGIN: Final = 0.000001  # less than that no test set of this world could show


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig(Ruled):
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

    def _breaches(self) -> Iterator[Breach]:
        if not LEAST_MARGIN <= self.margin < 1:
            yield breach(f"margin is at least {LEAST_MARGIN:f} and below 1", "margin")
        if not 0.5 < self.confidence < 1:
            yield breach("confidence is above 0.5 and below 1", "confidence")
        if self.class_margin is not None and self.class_margin >= 1:
            yield breach("class_margin is below 1, or null for no limit", "class_margin")
        for name in ("class_margin", "max_slowdown", "max_growth"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                yield breach(f"{name} is above 0, or null for no limit", name)
