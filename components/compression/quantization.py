"""8-bit integers on the ONNX graph of a model, proven by counting the operators that really compute with them.

Both methods take the float core graph (`components.export.to_onnx.core`): the preparation in it stays as it is.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Protocol

import onnx
from onnx import ModelProto, NodeProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.compression.config import Int8Dynamic, Int8Static, Quantize
from components.compression.integer_region import INTEGER, MULTIPLY, inner_nodes, with_float_outputs
from components.data.rows import Array
from components.errors import Refusal, refuse
from components.export.canonical import canonical
from components.export.quiet import last_line, quiet
from components.table import Table

Feeds = Mapping[str, Array]

_CONNECTED = ("Gemm", "MatMul")  # a convolution of integers is slower than one of floats
_CALIBRATIONS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
# The library's own 128 bins for 128 levels leave entropy no range to choose but the whole one: it would be minmax.
# Levels are those of an unsigned byte: with fewer, a value that few rows have loses half its range.
_ENTROPY = {"num_bins": 512, "num_quantized_bins": 256}


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantized:
    """A quantized core graph, canonical, and how many operators compute with integers, by type."""

    core: ModelProto
    operators: dict[str, int]


class Quantizer(Protocol):
    """A way to quantize a float core graph."""

    def __call__(self, core: ModelProto, config: Quantize, *, calibration: Iterable[Feeds]) -> Quantized:
        """Quantize; `calibration` are feeds of train rows. Raises: Refusal where an operator couldn't be quantized."""
        ...


def quantize(core: ModelProto, config: Quantize, *, calibration: Iterable[Feeds]) -> Quantized:
    """Quantize by the method that the config names. The feeds are read only by methods that calibrate."""
    return QUANTIZERS[config.method](core, config, calibration=calibration)


def int8_static(core: ModelProto, config: Quantize, *, calibration: Iterable[Feeds]) -> Quantized:
    """Weights as signed integers per channel, activations as unsigned ones in ranges seen on the calibration feeds."""
    if not isinstance(config, Int8Static):
        raise TypeError(f"int8_static got {type(config).__name__}")
    feeds = list(_equal_batches(list(calibration)))
    if not feeds:
        raise refuse("there are no rows to calibrate the quantization on", do="give the train split more rows")
    prepared = _prepared(core, config.method)
    nodes = inner_nodes(prepared)
    with tempfile.TemporaryDirectory() as folder, _told(config.method):
        path, types = Path(folder) / "int8.onnx", sorted({node.op_type for node in nodes})
        quantize_static(
            prepared,
            path,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=types,
            nodes_to_quantize=[node.name for node in nodes],
            per_channel=True,
            reduce_range=config.reduce_range,
            activation_type=QuantType.QUInt8,  # unsigned by signed is the pair that onnxruntime is fast with
            weight_type=QuantType.QInt8,
            calibrate_method=_CALIBRATIONS[config.calibration],
            calibration_cache_path=_entropy(prepared, types, feeds, folder)
            if config.calibration == "entropy"
            else None,
        )
        result = onnx.load(path)
    asked = [node for node in nodes if node.op_type in MULTIPLY]
    return _counted(with_float_outputs(result), config.method, asked=asked)


def int8_dynamic(core: ModelProto, config: Quantize, *, calibration: Iterable[Feeds]) -> Quantized:  # noqa: ARG001
    """Weights of fully connected layers as signed integers per channel, activations by their range in each batch."""
    if not isinstance(config, Int8Dynamic):
        raise TypeError(f"int8_dynamic got {type(config).__name__}")
    prepared = _prepared(core, config.method)
    with tempfile.TemporaryDirectory() as folder, _told(config.method):
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=list(_CONNECTED),
            per_channel=True,
            reduce_range=config.reduce_range,
            weight_type=QuantType.QInt8,
        )
        result = onnx.load(path)
    weights = {tensor.name for tensor in prepared.graph.initializer}  # a product of two activations stays in float
    asked = [node for node in prepared.graph.node if node.op_type in _CONNECTED and node.input[1] in weights]
    return _counted(result, config.method, asked=asked)


QUANTIZERS: Table[Quantizer] = Table("quantization method", {"int8_static": int8_static, "int8_dynamic": int8_dynamic})


def quantized_operators(model: ModelProto) -> dict[str, int]:
    """Count the operators that compute with integers, by type: those between DequantizeLinear, and the integer ones."""
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    found = Counter(
        node.op_type
        for node in model.graph.node
        if node.op_type in INTEGER
        or (node.op_type in MULTIPLY and all(makers.get(name) == "DequantizeLinear" for name in node.input[:2]))
    )
    return dict(sorted(found.items()))


def _entropy(model: ModelProto, types: list[str], feeds: list[Feeds], folder: str) -> Path:
    """Write the ranges that lose the least information of what was seen, and return their file."""
    file, ranges = Path(folder) / "float.onnx", Path(folder) / "ranges.json"
    onnx.save_model(model, file)
    calibrator = create_calibrator(
        file,
        types,
        augmented_model_path=str(Path(folder) / "augmented.onnx"),
        calibrate_method=CalibrationMethod.Entropy,
        extra_options=_ENTROPY,
    )
    calibrator.collect_data(_Reader(feeds))
    save_tensors_data(calibrator.compute_data(), ranges)
    return ranges


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """The feeds, one after the other, as the calibrator wants them."""

    def __init__(self, feeds: list[Feeds]) -> None:
        self._feeds: Iterator[Feeds] = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def _equal_batches(feeds: list[Feeds]) -> Iterator[Feeds]:
    """Yield the same rows in batches of one size: onnxruntime's histograms fail on a smaller last one."""
    sizes = [len(next(iter(batch.values()))) for batch in feeds]
    size = gcd(*sizes)
    for batch, rows in zip(feeds, sizes, strict=True):
        for start in range(0, rows, size):
            yield {name: values[start : start + size] for name, values in batch.items()}


def _prepared(core: ModelProto, method: str) -> ModelProto:
    """Infer shapes and fold constants, without which the quantizer leaves layers out."""
    with tempfile.TemporaryDirectory() as folder, _told(method):
        path = Path(folder) / "prepared.onnx"
        quant_pre_process(core, path)
        return onnx.load(path)


def _counted(model: ModelProto, method: str, *, asked: Sequence[NodeProto]) -> Quantized:
    """Count what computes with integers against the multiplications asked for: tools leave some out in silence."""
    result = canonical(model)
    operators = quantized_operators(result)
    if not operators:
        present = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise refuse(
            f"{method} quantized no operator of this network",
            allowed=f"networks that compute with {', '.join(MULTIPLY if method == 'int8_static' else MULTIPLY[1:])}"
            f" and constant weights; this one has {present}",
            do=f"leave {method} out of `quantize`",
        )
    if (done := sum(operators.values())) < len(asked):
        kinds = ", ".join(sorted({node.op_type for node in asked}))
        raise refuse(
            f"{method} quantized {done} of {len(asked)} operators of this network ({kinds})",
            allowed="all of them, which takes weights and activations of 32-bit floats",
            do=f"leave {method} out of `quantize`",
        )
    return Quantized(core=result, operators=operators)


@contextmanager
def _told(method: str) -> Iterator[None]:
    """Turn a failure of the library into one clear message."""
    try:
        with quiet():
            yield
    except Refusal:
        raise
    except Exception as error:  # onnxruntime raises bare exceptions of many types
        raise refuse(
            f"{method} failed on this network: {last_line(error)}", do=f"leave {method} out of `quantize`"
        ) from error
