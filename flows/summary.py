"""What a run says at its end: one JSON object for scripts, tables for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.planning.key import Json
from components.recipe import Recipe
from components.recipe_file import public
from flows.layout import MODEL, REPORT, folder_of, lay
from flows.retrain import Outcome
from tasks.evidence import Evidence
from tasks.perform import Done
from tasks.stage import Yard


def summary(
    recipe: Recipe, outcome: Outcome, done: Sequence[Done[Any]], *, run_id: str, flow_run_id: str, folder: Path
) -> dict[str, Json]:
    """Return the run's result, as `steelyard run --json` prints it."""
    selected, tested = outcome.evidence.selected, outcome.evidence.tested
    return {
        "model": recipe.model,
        "version": outcome.registered.version,
        "run_id": run_id,
        "flow_run_id": flow_run_id,
        "task": recipe.task,
        "metric": recipe.judged_by,
        "decision": {
            "promoted": outcome.promoted.promoted,
            "gate": outcome.evidence.judged.judgement.decision,
            "barred": outcome.promoted.barred,
            "reason": outcome.promoted.reason,
        },
        "test": {
            "baseline": {metric: one.value for metric, one in tested.uncompressed.figures.items()},
            "selected": {metric: one.value for metric, one in tested.selected.figures.items()},
        },
        "classes": [asdict(one) for one in tested.selected.classes],
        "beware": list(outcome.evidence.cautions(recipe)),
        "selected": {
            "name": selected.name,
            "reason": selected.reason,
            "runtime": selected.runtime,
            "size_bytes": selected.onnx.size_bytes,
            "latency_ms": {str(size): one.value for size, one in selected.measurement.latency_ms.items()},
            "speedup": {str(size): one.value for size, one in selected.measurement.speedup.items()},
        },
        "candidates": list(candidate_rows(outcome.evidence)),
        "onnx": {"path": str(folder / MODEL), "sha256": selected.onnx.digest},
        "parity": {"max_abs_diff": outcome.evidence.chosen.max_abs_diff},
        "stages": stage_rows(done),
        "report": str(folder / REPORT),
    }


def stage_rows(done: Sequence[Done[Any]]) -> list[Json]:
    """Return a row per stage."""
    return [{"name": one.label, "cached": one.cached, "seconds": round(one.seconds, 3)} for one in done]


def candidate_rows(evidence: Evidence) -> list[dict[str, Json]]:
    """Return a row per candidate."""
    files = {one.name: one for one in evidence.exported}
    return [
        {
            "name": one.name,
            "verdict": evidence.selected.verdicts[one.name],
            "validation": one.quality.value,
            "size_bytes": one.size_bytes,
            "latency_ms": {str(size): value.value for size, value in one.latency_ms.items()},
            "speedup": {str(size): value.value for size, value in one.speedup.items()},
            "speedup_range": {str(size): [value.low, value.high] for size, value in one.speedup.items()},
            "sha256": files[evidence.profiled.files[one.name]].onnx.digest,
        }
        for one in evidence.profiled.measurements
    ]


def stopped(until: str | None, done: Sequence[Done[Any]]) -> str:
    """Say that a run ended where it was asked to, and where it found all of it done, that it did nothing."""
    cached = all(one.cached for one in done)
    nothing = "; nothing changed: every stage up to there was cached, nothing was run" if cached else ""
    return f"stopped after {until}, as asked{nothing}"


def laid_out(outcome: Outcome, yard: Yard) -> Path:
    """Lay the report and the model out under names for people, and return their folder."""
    onnx = outcome.evidence.selected.onnx
    folder = folder_of(yard.home, yard.model, outcome.reported.page)
    lay({REPORT: yard.store.get(outcome.reported.page), MODEL: yard.store.get(onnx)}, folder)
    return folder


def flat(recipe: Recipe) -> dict[str, str]:
    """Return the public recipe as dotted names and texts, as MLflow's parameters are."""
    result: dict[str, str] = {}

    def spread(name: str, value: object) -> None:
        match value:
            case dict() if value:
                for entry, inner in value.items():
                    spread(f"{name}.{entry}" if name else entry, inner)
            case list() | tuple() if value:
                for place, inner in enumerate(value):
                    spread(f"{name}.{place}", inner)
            case _:
                result[name] = str(value)

    spread("", asdict(public(recipe)))
    return result


def write(told: Mapping[str, Json], path: Path) -> None:
    """Write a summary as a JSON file, with the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
