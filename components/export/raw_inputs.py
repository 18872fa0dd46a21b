"""The front of the released graph: raw columns in, so that serving needs no code of ours.

A table has one input per column, of its name, [N, 1]: double for numbers and booleans (NaN where missing), string for
categories ("" where missing). An image model has one input `image`, uint8 [N, H, W, C].
"""

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from components.data.preparing.preparation import CategoryColumn, Preparation
from components.export.canonical import canonical
from components.models.names import CODES, IMAGE, NUMBERS, PIXELS, raw_inputs, raw_output

MISSING, UNKNOWN = 1, 0  # codes of categories; those of known values follow


def inner(preparation: Preparation) -> str:
    """Return what every inner name of the graph begins with, and no column's name does."""
    prefix, columns = "core/", raw_inputs(preparation)
    while any(name.startswith(prefix) for name in columns):
        prefix = "inner/" + prefix
    return prefix


def with_raw_inputs(core: ModelProto, preparation: Preparation) -> ModelProto:
    """Return the graph that takes raw columns in front of the core graph's tensors; canonical."""
    model = ModelProto()
    model.CopyFrom(core)
    if preparation.image is not None:
        _rename(model.graph, PIXELS, IMAGE)
        return canonical(model)
    onnx.compose.add_prefix(model, inner(preparation), inplace=True)
    _rename(model.graph, model.graph.output[0].name, raw_output(preparation))
    nodes = [*_front(preparation), *model.graph.node]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    del model.graph.input[:], model.graph.node[:]
    model.graph.input.extend(_inputs(preparation))
    model.graph.node.extend(nodes)
    return canonical(model)


def _inputs(preparation: Preparation) -> list[ValueInfoProto]:
    numbers = [helper.make_tensor_value_info(c.name, TensorProto.DOUBLE, ["batch", 1]) for c in preparation.numbers]
    strings = [helper.make_tensor_value_info(c.name, TensorProto.STRING, ["batch", 1]) for c in preparation.categories]
    return numbers + strings


def _front(preparation: Preparation) -> list[NodeProto]:
    nodes, prefix = list[NodeProto](), inner(preparation)
    if preparation.numbers:
        names = [column.name for column in preparation.numbers]
        nodes.append(helper.make_node("Concat", names, [prefix + NUMBERS], axis=1))
    if preparation.categories:
        codes = [f"{prefix}codes of {index}" for index in range(len(preparation.categories))]
        nodes.extend(_encoder(column, code) for column, code in zip(preparation.categories, codes, strict=True))
        nodes.append(helper.make_node("Concat", codes, [prefix + CODES], axis=1))
    return nodes


def _encoder(column: CategoryColumn, code: str) -> NodeProto:
    return helper.make_node(
        "LabelEncoder",
        [column.name],
        [code],
        domain="ai.onnx.ml",
        keys_strings=["", *column.values],
        values_int64s=[MISSING, *range(2, column.codes)],
        default_int64=UNKNOWN,
    )


def _rename(graph: GraphProto, old: str, new: str) -> None:
    """Rename one value of a graph, in place."""
    for value in (*graph.input, *graph.output):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
