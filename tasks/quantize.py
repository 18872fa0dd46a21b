"""Make 8-bit integers of weights and activations, calibrated on train rows."""

from dataclasses import dataclass

from components.aim import Aim
from components.compression.config import Quantize
from components.export.config import ExportConfig
from components.store.artifact import Artifact
from tasks.split import READ, Splits, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """A quantized graph, still without its raw inputs."""

    name: str
    core: Artifact
    operators: dict[str, int]  # quantized ones by type
    errors_db: dict[str, float]  # signal to quantization noise by layer, dB

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"{self.name}.quantized_operators": sum(self.operators.values())}


@stage(libraries=("torch", "onnx", "onnxruntime", "onnxscript", "numpy", *READ))
def quantize(
    here: Workspace,
    method: Quantize,
    *,
    name: str,
    aim: Aim,
    export: ExportConfig,
    trained: Trained,
    splits: Splits,
) -> Quantized:
    """Quantize the model's ONNX graph, and measure what each layer lost on the calibration rows."""
    from components.compression.layer_errors import layer_errors
    from components.compression.quantization import quantize as quantize_core
    from components.export.canonical import canonical_bytes
    from components.export.to_onnx import core
    from components.models.model import load
    from components.runtimes.feeds import core_batches

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    whole = core(loaded.model, preparation, opset=export.opset)
    rows = rows_for(here, splits, "train", data=aim.data, purpose="calibrate")
    some = rows.some(method.rows_read, seed=aim.seed)
    feeds = [batch.feeds for batch in core_batches(preparation, some, batch_size=32)]
    quantized = quantize_core(whole, method, calibration=feeds)
    file = here.folder / "core.onnx"
    file.write_bytes(canonical_bytes(quantized.core))
    return Quantized(
        name=name,
        core=here.keep(file),
        operators=quantized.operators,
        errors_db=layer_errors(whole, quantized.core, feeds),
    )
