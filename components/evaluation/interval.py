"""A measured value with its confidence interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and the interval that holds it at the confidence of whoever made it. One unit for all three."""

    value: float
    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        """Say whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high
