"""Make 8-bit integers of weights and activations, calibrated on train rows."""

from dataclasses import dataclass

from components.compression.config import Quantize
from components.data.config import DataConfig
from components.export.config import ExportConfig
from components.models.config import Network
from components.store.artifact import Artifact
from tasks.split import Splits, rows_for
from tasks.stage import Workspace, stage
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """A quantized graph, still without its raw inputs."""

    name: str
    core: Artifact
    operators: dict[str, int]  # quantized ones by type
    errors_db: dict[str, float]  # signal to quantization noise by tensor, dB

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"{self.name}.quantized_operators": sum(self.operators.values())}


@stage(libraries=("torch", "onnx", "onnxruntime", "onnxscript"))
def quantize(
    here: Workspace,
    method: Quantize,
    *,
    name: str,
    network: Network,
    export: ExportConfig,
    data: DataConfig,
    trained: Trained,
    splits: Splits,
) -> Quantized:
    """Quantize the model's ONNX graph."""
    from components.compression.quantization import quantize as component
    from components.export.canonical import canonical_bytes
    from components.export.to_onnx import core
    from components.models.model import load
    from components.runtimes.feeds import core_batches

    loaded = load(here.open(trained.model))
    preparation = loaded.spec.preparation
    rows = rows_for(here, splits, "train", data=data, purpose="calibrate", most=CALIBRATION_ROWS)
    feeds = [batch.feeds for batch in core_batches(preparation, rows, batch_size=32)]
    done = component(core(loaded.model, preparation, opset=export.opset), method, calibration=feeds)
    file = here.folder / "core.onnx"
    file.write_bytes(canonical_bytes(done.model))
    return Quantized(name=name, core=here.keep(file), operators=done.operators, errors_db={})
