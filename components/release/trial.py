"""Rows that a release was asked before it was registered, and its answers: to ask them again wherever it is loaded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.data.preparing.preparation import Target

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-4  # of a probability, or as a share of a value's scale: processors differ in the last digits


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Raw rows as records, and the model's outputs [N, K]: probabilities by class, or values.

    A value's scale is `scale`, the target's deviation, or how far it lies from the `center` where that is more. Older
    releases don't say: theirs was 1, or the value itself.
    """

    rows: tuple[Mapping[str, str | float | bool | None], ...]
    outputs: tuple[tuple[float, ...], ...]
    classes: tuple[str, ...]
    center: float = 0.0
    scale: float = 1.0

    def write(self, path: Path) -> None:
        """Write the trial as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Trial":
        """Read a trial that was written."""
        content = json.loads(path.read_text("utf-8"))
        return cls(
            rows=tuple(content["rows"]),
            outputs=tuple(tuple(row) for row in content["outputs"]),
            classes=tuple(content["classes"]),
            center=content.get("center", 0.0),
            scale=content.get("scale", 1.0),
        )


def trial(
    rows: Sequence[Mapping[str, str | float | bool | None]], outputs: npt.NDArray[np.floating], target: Target
) -> Trial:
    """Put rows and the outputs [N, K] that belong to them together."""
    return Trial(
        rows=tuple(rows),
        outputs=tuple(tuple(map(float, row)) for row in outputs),
        classes=target.classes,
        center=target.center,
        scale=target.scale,
    )


def differences(trial: Trial, answers: "pd.DataFrame") -> str:
    """Return in words how the answers of a served model differ from the trial's, or an empty string."""
    expected = np.array(trial.outputs)
    if len(answers) != len(expected):
        return f"{len(answers)} answers to {len(expected)} rows"
    columns = [f"probability_{name}" for name in trial.classes] or ["prediction"]
    absent = [column for column in columns if column not in answers]
    if absent:
        return f"no column {', '.join(absent)}"
    found = answers[columns].to_numpy(dtype=np.float64)
    scale = np.maximum(trial.scale, np.abs(expected - trial.center))
    largest = float((np.abs(found - expected) / scale).max())
    return "" if largest <= TOLERANCE else f"a difference of {largest:.2g}, where {TOLERANCE:g} is allowed"
