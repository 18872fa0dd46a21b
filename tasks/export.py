"""Write the released ONNX file: raw rows in, probabilities or values out; and prove that it answers as PyTorch does."""

import json
from dataclasses import dataclass

from components.data.config import DataConfig
from components.export.config import ExportConfig
from components.models.config import Network
from components.store.artifact import Artifact
from components.task import Task
from tasks.quantize import Quantized
from tasks.split import Splits, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A candidate as a file. `onnx.digest` is the file's SHA-256."""

    name: str
    onnx: Artifact
    model: Artifact  # the PyTorch model that it was made of
    parameters: int
    operators: dict[str, int]  # quantized ones by type; empty for a float candidate
    errors_db: dict[str, float]
    parity: dict[int, float]  # largest absolute difference from PyTorch, by batch size
    max_abs_diff: float

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"{self.name}.max_abs_diff": self.max_abs_diff, f"{self.name}.size_bytes": self.onnx.size_bytes}


@stage(libraries=("torch", "onnx", "onnxruntime", "onnxscript"))
def export(
    here: Workspace,
    config: ExportConfig,
    *,
    name: str,
    model: str,
    network: Network,
    task: Task,
    data: DataConfig,
    trained: Trained,
    quantized: Quantized | None,
    splits: Splits,
) -> Exported:
    """Export the trained model, or finish the quantized graph."""
    import onnx

    from components.export.canonical import canonical_bytes
    from components.export.metadata import metadata
    from components.export.parity import parity, prove
    from components.export.raw_inputs import with_raw_inputs
    from components.export.to_onnx import core
    from components.models.model import load

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    graph = onnx.load(here.open(quantized.core)) if quantized else core(loaded.model, preparation, opset=config.opset)
    facts = metadata(model, task=task, columns=data.columns, preparation=preparation)
    file = here.folder / "model.onnx"
    file.write_bytes(canonical_bytes(with_raw_inputs(graph, preparation), metadata=facts))
    rows = rows_for(here, splits, "validation", data=data, purpose="select", most=config.parity_rows)
    found = parity(file, loaded.model, preparation, rows)
    if quantized is None:
        prove(found, config)
    return Exported(
        name=name,
        onnx=here.keep(file),
        model=trained.model,
        parameters=trained.parameters,
        operators=quantized.operators if quantized else {},
        errors_db=quantized.errors_db if quantized else {},
        parity=found.by_batch_size,
        max_abs_diff=found.max_abs_diff,
    )
