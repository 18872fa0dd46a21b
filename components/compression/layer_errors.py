"""Where quantization hurts: the signal-to-noise ratio of each layer's output, on the same rows.

The noise of a layer is its own rounding and all that it was handed by the layers before it.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from components.compression.integer_region import INTEGER
from components.data.rows import Array
from components.export.layers import layer_name, weights_of
from components.runtimes.onnx_runtime import OnnxRuntimeSession

_CEILING_DB = 200.0  # of outputs that are the same to the last bit


def layer_errors(
    float_core: ModelProto, int8_core: ModelProto, feeds: Iterable[Mapping[str, Array]]
) -> dict[str, float]:
    """Return the signal-to-quantization-noise ratio, in dB (more is better), by layer in the order of the network.

    A layer is a multiplication by weights, named as in the PyTorch network. 20 dB is a noise of a tenth of the signal.
    """
    ours, theirs = _layers(float_core), _layers(int8_core)
    names = [name for name in ours if name in theirs]
    float_run, int8_run = (
        _Probe(core, [at[n] for n in names]) for core, at in ((float_core, ours), (int8_core, theirs))
    )
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    for batch in feeds:
        for place, (true, rounded) in enumerate(zip(float_run(batch), int8_run(batch), strict=True)):
            wanted = true.astype(np.float64)
            signal[place] += np.square(wanted).sum()
            noise[place] += np.square(wanted - rounded.astype(np.float64)).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(noise > 0, 10 * np.log10(signal / noise), _CEILING_DB)
    return {name: float(min(ratio, _CEILING_DB)) for name, ratio in zip(names, ratios, strict=True)}


class _Probe:
    """A graph whose outputs are the given values of its inside."""

    def __init__(self, core: ModelProto, values: list[str]) -> None:
        model = ModelProto()
        model.CopyFrom(core)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=value) for value in values)
        self._values = values
        self._session = OnnxRuntimeSession(model.SerializeToString())

    def __call__(self, feeds: Mapping[str, Array]) -> Iterator[Array]:
        outputs = self._session.run_all(feeds)
        return (outputs[value] for value in self._values)


def _layers(core: ModelProto) -> dict[str, str]:
    """Return, by the name of the layer, the value that it makes, its bias included."""
    makers = {output: node for node in core.graph.node for output in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in core.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    layers: dict[str, str] = {}
    for node in core.graph.node:
        weights = weights_of(node, makers)
        if weights not in makers and (layer := layer_name(weights)):
            layers[layer] = _result(node, makers, readers)
    return layers


def _result(node: NodeProto, makers: Mapping[str, NodeProto], readers: Mapping[str, list[NodeProto]]) -> str:
    """Follow a bare product through its scaling to the sum with its bias."""
    value: str = node.output[0]
    follow = {"MatMul": ("Add",), **dict.fromkeys(INTEGER, ("Cast", "Mul", "Add"))}.get(node.op_type, ())
    while len(readers.get(value, [])) == 1 and readers[value][0].op_type in follow:
        reader = readers[value][0]
        if reader.op_type == "Add" and all(name in makers for name in reader.input):
            break  # a sum of two paths, not a bias
        value = reader.output[0]
        if reader.op_type == "Add":
            break
    return value
