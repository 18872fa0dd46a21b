"""Make 8-bit integers of weights and activations, calibrated on train rows."""

from dataclasses import replace

from components.aim import Aim
from components.compression.config import Quantize
from tasks.convert import Graph
from tasks.split import READ, Splits, rows_for
from tasks.stage import Workspace, stage


@stage(libraries=("onnx", "onnxruntime", "numpy", *READ))
def quantize(here: Workspace, method: Quantize, *, name: str, aim: Aim, graph: Graph, splits: Splits) -> Graph:
    """Quantize the model's graph, and measure what each layer lost on the calibration rows."""
    import onnx

    from components.compression.layer_errors import layer_errors
    from components.compression.quantization import quantize as quantize_core
    from components.export.canonical import canonical_bytes
    from components.models.model import read_preparation
    from components.runtimes.feeds import core_batches

    whole, preparation = onnx.load(here.open(graph.core)), read_preparation(here.open(graph.model))
    rows = rows_for(here, splits, "train", data=aim.data, purpose="calibrate")
    some = rows.some(method.rows_read, seed=aim.seed)
    feeds = [batch.feeds for batch in core_batches(preparation, some, batch_size=32)]
    quantized = quantize_core(whole, method, calibration=feeds)
    file = here.folder / "core.onnx"
    file.write_bytes(canonical_bytes(quantized.core))
    return replace(
        graph,
        name=name,
        core=here.keep(file),
        operators=quantized.operators,
        errors_db=layer_errors(whole, quantized.core, feeds),
    )
