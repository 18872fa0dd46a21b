"""What a run in MLflow says it read and measured, whichever of its stages were cached."""

import json

from components.recipe_file import public_source
from components.task import Metric
from tasks.export import Exported
from tasks.profile import Profiled
from tasks.select import Selected
from tasks.split import Splits
from tasks.stage import Yard


def data_read(yard: Yard, splits: Splits) -> None:
    """Record the parts of the data as inputs, with their digest."""
    from tasks.tracking.runs import Input, existing

    data = splits.dataset
    source = {"sha256": data.folder.digest, "dvc_md5": data.dvc_md5, "source": public_source(data.source)}
    existing(yard.run).inputs(
        [
            Input(name=f"{yard.model} {part}", digest=splits.assignments.digest[:36], source=source, context=part)
            for part in splits.rows
        ]
    )


def candidates_measured(
    yard: Yard, *, metric: Metric, exported: tuple[Exported, ...], profiled: Profiled, selected: Selected
) -> None:
    """Record a child run per candidate, with its verdict and what it was measured with."""
    from tasks.tracking.runs import existing

    run, files = existing(yard.run), {one.name: one for one in exported}
    for one in profiled.measurements:
        file = files[profiled.files[one.name]]
        run.child(
            one.name,
            params={
                "verdict": selected.verdicts[one.name],
                "selected": str(one.name == selected.name),
                "runtime": profiled.runtimes[one.name],
                "sha256": file.onnx.digest,
                "quantized_operators": json.dumps(file.operators),
            },
            metrics={
                f"validation.{metric}": one.quality.value,
                "size_bytes": one.size_bytes,
                "parameters": file.parameters,
                "max_abs_diff": file.max_abs_diff,
                "batch_diff": file.batch_diff,
                **{f"latency_ms.batch_{size}": value.value for size, value in one.latency_ms.items()},
                **{f"speedup.batch_{size}": value.value for size, value in one.speedup.items()},
            },
        )
