"""The layers of an exported file: what multiplies by weights, how wide it is, and how many bytes its weights take."""

from collections.abc import Mapping
from typing import Final

from onnx import ModelProto, NodeProto, TensorProto, helper

from components.export.layer import Layer

CONVOLVE: Final = ("Conv", "ConvInteger")
MULTIPLY: Final = (*CONVOLVE, "MatMul", "MatMulInteger", "Gemm")


def layers(model: ModelProto) -> tuple[Layer, ...]:
    """Return the layers in the order of the network. What is multiplied by anything but weights is none."""
    makers = {output: node for node in model.graph.node for output in node.output}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        tensor = tensors.get(weights_of(node, makers))
        if tensor is not None and (name := layer_name(tensor.name)):
            found.append(_layer(name, node, tensor))
    return tuple(found)


def weights_of(node: NodeProto, makers: Mapping[str, NodeProto]) -> str:
    """Return the name of what a node multiplies by, before it was turned or made real; empty for other nodes."""
    if node.op_type not in MULTIPLY:
        return ""
    name: str = node.input[1]
    while name in makers and makers[name].op_type in ("DequantizeLinear", "Transpose"):
        name = makers[name].input[0]
    return name


def layer_name(weights: str) -> str:
    """Return the layer's name in the PyTorch network, or nothing where these aren't a layer's weights."""
    if "." not in weights:
        return ""
    for suffix in ("_quantized", "_Transposed", ".weight"):
        weights = weights.removesuffix(suffix)
    return weights.removeprefix("network.")


def _layer(name: str, node: NodeProto, tensor: TensorProto) -> Layer:
    dims, count = list(tensor.dims), 1
    for dim in dims:
        count *= dim
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return Layer(
        name=name,
        kind=f"conv {'x'.join(map(str, dims[2:]))}" if node.op_type in CONVOLVE else "linear",
        outputs=dims[0] if node.op_type in CONVOLVE or turned else dims[-1],
        weights=count,
        size_bytes=count * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize,
    )
