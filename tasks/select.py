"""Weigh the candidates against each other, and choose the one to release."""

from dataclasses import dataclass

from components.compression.candidates import UNCOMPRESSED, Measurement, Verdict
from components.compression.config import SelectConfig
from components.store.artifact import Artifact
from components.task import Metric
from tasks.export import Exported
from tasks.profile import Profiled
from tasks.stage import Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """The candidate to release, and what became of the others."""

    name: str
    runtime: str
    reason: str
    verdicts: dict[str, Verdict]  # by candidate
    limit: float  # the worst validation quality that was allowed
    measurement: Measurement
    uncompressed: Measurement
    onnx: Artifact
    model: Artifact  # the PyTorch model it was made of

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        speedup = {f"selected.speedup_{size}": one.value for size, one in self.measurement.speedup.items()}
        return speedup | {"selected.size_bytes": self.measurement.size_bytes}


@stage()
def select(
    here: Workspace,  # noqa: ARG001 - every stage has one
    config: SelectConfig,
    *,
    metric: Metric,
    exported: tuple[Exported, ...],
    profiled: Profiled,
) -> Selected:
    """Give each candidate its verdict, and choose."""
    from components.compression.candidates import limit, verdicts
    from components.compression.candidates import select as best

    measured = {one.name: one for one in profiled.measurements}
    chosen = best(config, metric, profiled.measurements)
    file = next(one for one in exported if one.name == profiled.files[chosen.name])
    return Selected(
        name=chosen.name,
        runtime=profiled.runtimes[chosen.name],
        reason=chosen.reason,
        verdicts=verdicts(config, metric, profiled.measurements),
        limit=limit(config, metric, measured[UNCOMPRESSED].quality.value),
        measurement=measured[chosen.name],
        uncompressed=measured[UNCOMPRESSED],
        onnx=file.onnx,
        model=file.model,
    )
