"""Which part of a graph is worth computing with integers: from its first multiplication of matrices to its last.

Before it lies the preparation, after it the head: a few operations on few numbers, whose rounding would cost accuracy.
"""

from collections.abc import Mapping
from typing import Final

from onnx import ModelProto, NodeProto

MULTIPLY: Final = ("Conv", "MatMul", "Gemm")  # where the time goes
INTEGER: Final = ("MatMulInteger", "ConvInteger")  # the same, of integers without a scale
CARRY: Final = ("Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add")  # as fast, or faster, on integers
_FLOAT_OUTPUTS: Final = ("MatMul", "Gemm", "Add")  # those that onnxruntime computes from integers to floats


def inner_nodes(model: ModelProto) -> list[NodeProto]:
    """Return the nodes to quantize: the multiplications, and what carries integers from one to another."""
    nodes = list(model.graph.node)
    after, before = _after(nodes), _after(nodes, backwards=True)
    return [
        node
        for place, node in enumerate(nodes)
        if node.op_type in MULTIPLY or (node.op_type in CARRY and place in after and place in before)
    ]


def with_float_outputs(model: ModelProto) -> ModelProto:
    """Return the model without the rounding between its last multiplications and its outputs.

    256 levels are enough inside a network, but not for its answers.
    """
    result = ModelProto()
    result.CopyFrom(model)
    makers = {output: node for node in result.graph.node for output in node.output}
    stack = [value.name for value in result.graph.output]
    seen: set[str] = set()
    while stack:
        node = makers.get(stack.pop())
        if node is None or node.op_type in MULTIPLY or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        node.input[:] = [_before_rounding(name, makers) for name in node.input]
        stack.extend(node.input)
    return result


def _before_rounding(name: str, makers: Mapping[str, NodeProto]) -> str:
    dequantize = makers.get(name)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return name
    quantize = makers.get(dequantize.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return name
    source = makers.get(quantize.input[0])
    return quantize.input[0] if source is not None and source.op_type in _FLOAT_OUTPUTS else name


def _after(nodes: list[NodeProto], *, backwards: bool = False) -> set[int]:
    """Return the places of the nodes that lie behind a multiplication, or, backwards, before one."""
    reached: set[str] = set()
    places: set[int] = set()
    order = list(enumerate(nodes))
    for place, node in reversed(order) if backwards else order:
        sources, results = (node.output, node.input) if backwards else (node.input, node.output)
        if any(name in reached for name in sources):
            places.add(place)
        if place in places or node.op_type in MULTIPLY:
            reached.update(filter(None, results))
    return places
