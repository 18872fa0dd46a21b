"""The layers of a file are those of the PyTorch network, whatever the exporter and the quantizer made of them."""

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from components.export.layer import Layer
from components.export.layers import layers


def graph(nodes: list[object], weights: dict[str, np.ndarray]) -> ModelProto:
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(values, name) for name, values in weights.items()],
        )
    )


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


CASES = {
    "a convolution": (
        [helper.make_node("Conv", ["x", "network.0.weight"], ["y"])],
        {"network.0.weight": floats(16, 3, 3, 5)},
        Layer(name="0", kind="conv 3x5", outputs=16, weights=720, size_bytes=2880),
    ),
    "a linear layer as torch writes it": (
        [helper.make_node("Gemm", ["x", "network.head.weight"], ["y"], transB=1)],
        {"network.head.weight": floats(10, 64)},
        Layer(name="head", kind="linear", outputs=10, weights=640, size_bytes=2560),
    ),
    "a product, turned": (
        [helper.make_node("MatMul", ["x", "network.head.weight"], ["y"])],
        {"network.head.weight": floats(64, 10)},
        Layer(name="head", kind="linear", outputs=10, weights=640, size_bytes=2560),
    ),
    "a quantized convolution": (
        [
            helper.make_node("DequantizeLinear", ["network.0.weight_quantized", "s"], ["w"]),
            helper.make_node("Conv", ["x", "w"], ["y"]),
        ],
        {"network.0.weight_quantized": np.zeros((8, 3, 3, 3), np.int8), "s": floats()},
        Layer(name="0", kind="conv 3x3", outputs=8, weights=216, size_bytes=216),
    ),
    "a product of integers": (
        [helper.make_node("MatMulInteger", ["x", "network.1.weight_Transposed_quantized"], ["y"])],
        {"network.1.weight_Transposed_quantized": np.zeros((64, 10), np.int8)},
        Layer(name="1", kind="linear", outputs=10, weights=640, size_bytes=640),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_told_with_its_name_its_width_and_its_bytes(case: str) -> None:
    nodes, weights, expected = CASES[case]
    assert layers(graph(nodes, weights)) == (expected,)


def test_what_is_multiplied_by_no_weights_is_no_layer() -> None:
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"])]
    assert layers(graph(nodes, {})) == ()
