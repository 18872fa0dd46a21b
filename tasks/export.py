"""Write the released ONNX file: raw rows in, probabilities or values out; and prove that it answers as PyTorch does."""

from dataclasses import dataclass

from components.aim import Aim
from components.data.config import DecimalMark
from components.export.config import ExportConfig
from components.export.layer import Layer
from components.store.artifact import Artifact
from tasks.convert import Graph
from tasks.split import READ, Splits, rows_for
from tasks.stage import Workspace, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A candidate as a file. `onnx.digest` is the file's SHA-256."""

    name: str
    onnx: Artifact
    model: Artifact  # the PyTorch model that it was made of
    parameters: int
    layers: tuple[Layer, ...]
    operators: dict[str, int]  # quantized ones by type; empty for a float candidate
    errors_db: dict[str, float]  # by layer, dB; empty for a float candidate
    parity: dict[int, float]  # largest absolute difference from PyTorch, by batch size
    parity_rows: int
    parity_tolerance: float  # in the output's own unit
    max_abs_diff: float
    batch_diff: float  # largest absolute difference that a row's batch makes to its output

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {
            f"{self.name}.max_abs_diff": self.max_abs_diff,
            f"{self.name}.batch_diff": self.batch_diff,
            f"{self.name}.size_bytes": self.onnx.size_bytes,
        }


@stage(libraries=("torch", "onnx", "onnxruntime", "numpy", *READ))
def export(
    here: Workspace,
    config: ExportConfig,
    *,
    name: str,
    model: str,
    aim: Aim,
    decimal: DecimalMark,
    graph: Graph,
    splits: Splits,
) -> Exported:
    """Put raw inputs before the graph, write the file, and compare its answers with those of the PyTorch model."""
    import onnx

    from components.export.canonical import canonical_bytes
    from components.export.layers import layers
    from components.export.metadata import metadata
    from components.export.parity import check, parity
    from components.export.raw_inputs import with_raw_inputs
    from components.models.model import load

    loaded, core = load(here.open(graph.model)), onnx.load(here.open(graph.core))
    preparation = loaded.spec.preparation
    facts = metadata(model, task=aim.task, columns=aim.data.columns, preparation=preparation, decimal=decimal)
    file = here.folder / "model.onnx"
    file.write_bytes(canonical_bytes(with_raw_inputs(core, preparation), metadata=facts))
    rows = rows_for(here, splits, "validation", data=aim.data, purpose="select")
    found = parity(file, loaded.model, preparation, rows.some(config.parity_rows, seed=aim.seed))
    check(found, core, config, name=name)
    return Exported(
        name=name,
        onnx=here.keep(file),
        model=graph.model,
        parameters=graph.parameters,
        layers=layers(core),
        operators=graph.operators,
        errors_db=graph.errors_db,
        parity=found.by_batch_size,
        parity_rows=found.rows,
        parity_tolerance=found.allowed(config.tolerance),
        max_abs_diff=found.max_abs_diff,
        batch_diff=found.batch_diff,
    )
