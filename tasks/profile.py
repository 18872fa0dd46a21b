"""Measure every candidate on every runtime: quality on validation, size, and latency against the uncompressed model."""

from dataclasses import dataclass

from components.aim import Aim
from components.compression.candidates import UNCOMPRESSED, Measurement
from components.evaluation.config import EvaluateConfig
from components.planning.machine import Machine
from components.runtimes.config import ProfileConfig
from tasks.export import Exported
from tasks.split import READ, Splits, groups_for, rows_for
from tasks.stage import Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """What was measured of the candidates: files times runtimes."""

    measurements: tuple[Measurement, ...]
    files: dict[str, str]  # the exported file's name, by candidate
    runtimes: dict[str, str]  # by candidate
    rows: int  # of validation, on which quality was measured

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"{one.name}.validation_quality": one.quality.value for one in self.measurements}


@stage(libraries=("onnxruntime", "numpy", "scipy", *READ))
def profile(
    here: Workspace,
    config: ProfileConfig,
    *,
    aim: Aim,
    figures: EvaluateConfig,
    exported: tuple[Exported, ...],
    machine: Machine,  # noqa: ARG001 - latency is the machine's: it is part of the key
    splits: Splits,
) -> Profiled:
    """Open a session per candidate, and measure them together; several times, with new ones."""
    from components.data.preparing.prepare import encode_target
    from components.evaluation.latency import latency_over_sessions
    from components.evaluation.metrics import evaluate
    from components.models.model import read_preparation
    from components.runtimes.feeds import Session, predict, repeated
    from components.runtimes.table import RUNTIMES

    rows = rows_for(here, splits, "validation", data=aim.data, purpose="select")
    preparation = read_preparation(here.open(exported[0].model))
    points = {
        (one.name if runtime == config.runtimes[0] else f"{one.name}@{runtime}"): (one, runtime)
        for runtime in config.runtimes
        for one in exported
    }
    feeds = {size: repeated(preparation, rows, batch_size=size) for size in config.batch_sizes}

    def opened() -> dict[str, Session]:
        return {
            name: RUNTIMES[runtime](here.open(one.onnx), threads=config.threads)
            for name, (one, runtime) in points.items()
        }

    def told(share: float, what: str) -> None:
        here.tracker.progress(round(1000 * share), 1000, what)

    timings = latency_over_sessions(UNCOMPRESSED, opened, feeds=feeds, config=config, seed=aim.seed, told=told)
    sessions = opened()
    target, groups = encode_target(preparation, rows), groups_for(here, splits, "validation", purpose="select")
    quality = {
        name: evaluate(
            figures,
            task=aim.task,
            target=target,
            output=predict(session, preparation, rows),
            classes=preparation.target.classes,
            seed=aim.seed,
            groups=groups,
        )
        for name, session in sessions.items()
    }
    return Profiled(
        measurements=tuple(
            Measurement(
                name=name,
                quality=quality[name].of(aim.metric),
                size_bytes=one.onnx.size_bytes,
                latency_ms=timings[name].latency_ms,
                speedup=timings[name].speedup,
            )
            for name, (one, _) in points.items()
        ),
        files={name: one.name for name, (one, _) in points.items()},
        runtimes={name: runtime for name, (_, runtime) in points.items()},
        rows=len(rows),
    )
