"""The proof of an export: PyTorch and the file give the same answers on the same real rows.

A quantized file can't: it is judged by its quality, and proven to answer a row alike in every batch, where that can be.

N rows, K outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from onnx import ModelProto

from components.data.preparing.preparation import Preparation
from components.data.rows import Array, Rows
from components.errors import refuse
from components.export.config import ExportConfig
from components.models.model import Model
from components.models.names import core_inputs
from components.runtimes.feeds import Output, Session, answers, core_batches, predict
from components.runtimes.onnx_runtime import open_onnxruntime

BATCH_SIZES = (1, 2, 7, 32)
STEP = 0.05  # what one value that is rounded the other way may change in an answer of an int8 file


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Largest absolute difference of any output, in the output's own unit, by batch size."""

    by_batch_size: dict[int, float]
    batch_diff: float  # largest absolute difference of a row's output from the one in the smallest batch
    rows: int
    scale: float  # of outputs, 1 for probabilities: what the differences compare with

    @property
    def max_abs_diff(self) -> float:
        """The largest over all batch sizes."""
        return max(self.by_batch_size.values())

    def holds(self, tolerance: float) -> bool:
        """Say whether no output differs by more than the tolerance, as a share of the scale."""
        return self.max_abs_diff <= self.allowed(tolerance)

    def allowed(self, tolerance: float) -> float:
        """Return a tolerance in the output's own unit."""
        return tolerance * self.scale


def parity(
    path: Path, model: Model, preparation: Preparation, rows: Rows, *, batch_sizes: Sequence[int] = BATCH_SIZES
) -> Parity:
    """Compare the file, run by onnxruntime on raw rows, with PyTorch on the same rows."""
    return differences(open_onnxruntime(path), reference(model, preparation, rows), preparation, rows, batch_sizes)


def differences(
    session: Session,
    expected: Output,
    preparation: Preparation,
    rows: Rows,
    batch_sizes: Sequence[int],
) -> Parity:
    """Compare any session's answers with the expected ones [N, K], for each batch size on rows of its own choice."""
    if len(rows) == 0:
        raise refuse("there are no rows to compare answers on", do="give the validation split more rows")
    found = {size: predict(session, preparation, rows, batch_size=size) for size in batch_sizes}
    by_batch_size = {size: _largest_difference(output, expected) for size, output in found.items()}
    smallest = found[min(found)]
    batch_diff = max(_largest_difference(output, smallest) for output in found.values())
    target = preparation.target  # of numbers the units are its own: a deviation, and more for answers that lie far out
    scale = 1.0 if target.classes else max(target.scale, float(np.abs(expected - target.center).max()))
    return Parity(by_batch_size=by_batch_size, batch_diff=batch_diff, rows=len(rows), scale=scale)


def check(found: Parity, graph: ModelProto, config: ExportConfig, *, name: str) -> None:
    """Refuse a candidate's file whose answers can't be trusted.

    They are finite numbers, and within `tolerance` of PyTorch's where the file computes with floats. Where it rounds in
    ranges that calibration fixed, they are alike in all batches but for what lies between two steps (80,000 rows
    of tables: 1e-6 apart, onnxruntime 1.32); what rounding costs against PyTorch is judged as quality.

    Where it rounds in the range of each batch, a row's answer depends on the rows beside it (by up to 0.02 of a
    probability in 256 rows), and nothing bounds by how much: `batch_diff` tells it.
    """
    operators = {node.op_type for node in graph.graph.node}
    if not np.isfinite(found.max_abs_diff):
        what = f"{name}: the exported file's answers aren't all finite numbers, or not as many as PyTorch's"
        raise refuse(what, do="look at the network's operators")
    if "DynamicQuantizeLinear" in operators:
        return
    if "DequantizeLinear" in operators:
        difference, most, apart = found.batch_diff, found.allowed(STEP), "differ between batches"
    else:
        difference, most, apart = found.max_abs_diff, found.allowed(config.tolerance), "differ from PyTorch's"
    if difference > most:
        what = f"{name}: the exported file's answers {apart} by {difference:.2g}"
        raise refuse(what, where="export.tolerance", allowed=f"{most:g}", do="look at the network's operators")


def reference(model: Model, preparation: Preparation, rows: Rows, *, batch_size: int = 256) -> Output:
    """Return PyTorch's answers [N, K] for raw rows, in evaluation mode; the model's mode is left as it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return answers(
                lambda feeds: _run(model, preparation, dict(feeds)),
                core_batches(preparation, rows, batch_size=batch_size),
                rows=len(rows),
            )
    finally:
        model.train(was_training)


def _run(model: Model, preparation: Preparation, feeds: dict[str, Array]) -> Output:
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    raw = [tensor.to(device) for tensor in tensors(preparation, feeds)]
    answers = model(*raw)
    output: Output = (answers if answers.dtype == torch.float64 else answers.float()).cpu().numpy()
    return output


def tensors(preparation: Preparation, feeds: dict[str, Array]) -> tuple[torch.Tensor, ...]:
    """Return feeds of the core graph as the raw tensors of the model, with those that have no columns."""
    given = [torch.from_numpy(feeds[name]) for name in core_inputs(preparation)]
    if preparation.image is not None or len(given) == 2:
        return tuple(given)
    rows = len(given[0])
    if preparation.numbers:
        return given[0], torch.zeros((rows, 0), dtype=torch.int64)
    return torch.zeros((rows, 0), dtype=torch.float64), given[0]


def _largest_difference(found: Output, expected: Output) -> float:
    if found.shape != expected.shape:
        return float("inf")
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))
