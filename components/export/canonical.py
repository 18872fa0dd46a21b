"""One model, one file: an ONNX graph without traces of who made it, where and in which order.

Torch writes stack traces with the folder's path into the file, and names depend on the exporter's order of work. Here
nodes are put in the order in which the outputs ask for them, values are named after their nodes, and what isn't part of
the mathematics goes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import onnx
import onnx.inliner
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto

IR_VERSION = 10  # the oldest that holds what we write, so that older runtimes can read it
KEYS = "steelyard."  # of the metadata that a file keeps


def canonical(model: ModelProto, *, metadata: Mapping[str, str] | None = None) -> ModelProto:
    """Return the model in its one form; its metadata are the given ones, under keys that begin with `steelyard.`.

    Names of inputs, outputs and of the network's parameters stay, all others are made anew. The model isn't changed.
    """
    result = ModelProto()
    result.ir_version = max(IR_VERSION, min(model.ir_version, IR_VERSION))
    result.producer_name = "steelyard"
    result.opset_import.extend(sorted(_opsets(model), key=lambda opset: opset.domain))
    result.graph.CopyFrom(_graph(onnx.inliner.inline_local_functions(model).graph if model.functions else model.graph))
    result.metadata_props.extend(
        StringStringEntryProto(key=KEYS + key, value=value) for key, value in sorted((metadata or {}).items())
    )
    return result


def canonical_bytes(model: ModelProto, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of the canonical model, checked in full: the same for the same mathematics, on any machine."""
    result = canonical(model, metadata=metadata)
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString(deterministic=True))


def metadata_of(model: ModelProto) -> dict[str, str]:
    """Return the metadata that `canonical` wrote, without the prefix of their keys."""
    return {entry.key.removeprefix(KEYS): entry.value for entry in model.metadata_props if entry.key.startswith(KEYS)}


def _opsets(model: ModelProto) -> list[onnx.OperatorSetIdProto]:
    used = {node.domain for node in _all_nodes(model.graph)} | {""}
    return [
        onnx.helper.make_opsetid(opset.domain, opset.version) for opset in model.opset_import if opset.domain in used
    ]


def _all_nodes(graph: GraphProto) -> Iterable[NodeProto]:
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from _all_nodes(inner)


def _graph(graph: GraphProto) -> GraphProto:
    nodes = _in_order_of_use(graph)
    names = _names(graph, nodes)
    result = GraphProto(name="steelyard")
    for values, into in ((graph.input, result.input), (graph.output, result.output)):
        into.extend(onnx.ValueInfoProto(name=value.name, type=value.type) for value in values)
    result.node.extend(_renamed(node, names, name=_node_name(node, names)) for node in nodes)
    for tensor in sorted(graph.initializer, key=lambda tensor: names.get(tensor.name, "")):
        if tensor.name in names:  # the others are read by no node
            result.initializer.append(_plain(tensor, names[tensor.name]))
    return result


def _in_order_of_use(graph: GraphProto) -> list[NodeProto]:
    """Return the nodes that the outputs need, each after those it reads: depth first from the first output."""
    makers = {output: node for node in graph.node for output in node.output if output}
    done: dict[str, NodeProto] = {}  # by first output
    stack = [(value.name, False) for value in reversed(graph.output)]
    while stack:
        name, expanded = stack.pop()
        node = makers.get(name)
        if node is None or _key(node) in done:
            continue
        if expanded:
            done[_key(node)] = node
            continue
        stack.append((name, True))
        stack.extend((read, False) for read in reversed(_reads(node)))
    return list(done.values())


def _key(node: NodeProto) -> str:
    return str(next(output for output in node.output if output))


def _reads(node: NodeProto) -> list[str]:
    """Return the values that a node reads, those that its subgraphs take from outside included."""
    return [*filter(None, node.input), *(name for inner in _subgraphs(node) for name in _free(inner))]


def _free(graph: GraphProto) -> list[str]:
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    made |= {output for node in graph.node for output in node.output}
    asked = [name for node in graph.node for name in _reads(node)] + [value.name for value in graph.output]
    return [name for name in dict.fromkeys(asked) if name not in made]


def _subgraphs(node: NodeProto) -> list[GraphProto]:
    return [a.g for a in node.attribute if a.type == AttributeProto.GRAPH] + [
        graph for a in node.attribute if a.type == AttributeProto.GRAPHS for graph in a.graphs
    ]


def _names(graph: GraphProto, nodes: list[NodeProto]) -> dict[str, str]:
    """Return the new name of every value that is used. A parameter's, with a dot in it, stays: reports show it."""
    names = {value.name: value.name for value in [*graph.input, *graph.output]}
    taken = set(names)
    constants = {tensor.name for tensor in graph.initializer}
    count: Counter[str] = Counter()
    for node in nodes:
        for read in _reads(node):
            if read in constants and read not in names:
                names[read] = _free_name(_parameter(read) if "." in read else "constant", count, taken)
        for output in node.output:
            if output and output not in names:
                names[output] = _free_name(node.op_type, count, taken)
    return names


def _parameter(name: str) -> str:
    return name.removeprefix("core/").removeprefix("model.")


def _free_name(stem: str, count: Counter[str], taken: set[str]) -> str:
    """Return the stem if it is a parameter's and free, else the stem with the first number that is."""
    name = stem if "." in stem else f"{stem}:{count[stem]}"
    while name in taken:
        count[stem] += 1
        name = f"{stem}:{count[stem]}"
    count[stem] += 1
    taken.add(name)
    return name


def _node_name(node: NodeProto, names: Mapping[str, str]) -> str:
    return f"{node.op_type}>{names[_key(node)]}"


def _renamed(node: NodeProto, names: Mapping[str, str], *, name: str) -> NodeProto:
    result = onnx.NodeProto(name=name, op_type=node.op_type, domain=node.domain)
    result.input.extend(names.get(read, read) for read in node.input)
    result.output.extend(names.get(output, "") for output in node.output)
    for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
        kept = result.attribute.add()
        kept.CopyFrom(attribute)
        kept.ClearField("doc_string")
        for inner in [kept.g] if kept.type == AttributeProto.GRAPH else list(kept.graphs):
            _rename_inside(inner, names)
    return result


def _rename_inside(graph: GraphProto, names: Mapping[str, str]) -> None:
    """Rename, in place, what a subgraph takes from outside; what it makes itself keeps its name."""
    outside = {name: names[name] for name in _free(graph) if name in names}
    for node in graph.node:
        node.CopyFrom(_renamed(node, outside, name=""))
    graph.ClearField("doc_string")
    graph.ClearField("value_info")
    graph.ClearField("metadata_props")


def _plain(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    result = onnx.TensorProto()
    result.CopyFrom(tensor)
    result.name = name
    result.ClearField("doc_string")
    result.ClearField("metadata_props")
    return result
