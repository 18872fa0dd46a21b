import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from components.compression.config import Int8Dynamic, Int8Static, Quantize
from components.compression.layer_errors import layer_errors
from components.compression.quantization import QUANTIZERS, _entropy, quantize, quantized_operators
from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import encode, encode_target
from components.data.rows import Rows
from components.errors import Refusal
from components.export.canonical import canonical_bytes
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.models.config import MLP, Custom, Network
from components.models.model import Model
from components.runtimes.feeds import core_batches, predict
from components.runtimes.onnx_runtime import OnnxRuntimeSession
from tests.components.export.samples import (
    TINY_CNN,
    TINY_MLP,
    TINY_RESNET,
    exported,
    image_preparation,
    image_rows,
    model,
    table_preparation,
    table_rows,
)

Feeds = list[dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]]


class Recurrent(nn.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.gain = nn.Parameter(torch.ones(outputs))

    def forward(self, features: Tensor) -> Tensor:
        return torch.tanh(features[:, : self.outputs]) * self.gain


class TwoPrecisions(nn.Module):
    """The second layer computes with 64 bits, which the quantizer passes over without a word."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(shape[0], 16)
        self.second = nn.Linear(16, outputs).double()

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.second(torch.relu(self.first(features)).double()).float()
        return output


class Products(nn.Module):
    """A product of two activations between two layers, as in attention."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(shape[0], 16)
        self.second = nn.Linear(16, outputs)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(features).reshape(-1, 4, 4)
        output: Tensor = self.second((hidden @ hidden.transpose(1, 2)).reshape(-1, 16))
        return output


def trained(network: Network, preparation: Preparation, rows: Rows) -> Model:
    """A model after a few steps on the rows."""
    built = model(network, preparation)
    raw = [torch.from_numpy(array) for array in encode(preparation, rows)]
    target = torch.from_numpy(encode_target(preparation, rows))
    optimizer = torch.optim.Adam(built.network.parameters(), lr=0.01)
    for _ in range(40):
        output = built.network(*built.features(*raw))
        wanted = (target - preparation.target.center) / preparation.target.scale
        classify = bool(preparation.target.classes)
        loss = (
            nn.functional.cross_entropy(output, target)
            if classify
            else nn.functional.mse_loss(output[:, 0], wanted.float())
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return built.eval()


def calibration(preparation: Preparation, rows: Rows) -> Feeds:
    return [batch.feeds for batch in core_batches(preparation, rows, batch_size=16)]


def answers(
    graph: onnx.ModelProto, preparation: Preparation, rows: Rows
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = OnnxRuntimeSession(canonical_bytes(with_raw_inputs(graph, preparation)))
    return predict(session, preparation, rows)


def test_static_int8_of_images_stays_as_accurate_and_gets_smaller() -> None:
    rows, fresh = image_rows(64), image_rows(200, seed=9)
    preparation = image_preparation(rows)
    graph = core(trained(TINY_CNN, preparation, rows), preparation)
    target = encode_target(preparation, fresh)
    right = (answers(graph, preparation, fresh).argmax(1) == target).mean()
    assert right > 0.95
    files = set()
    for config in (Int8Static(), Int8Static(calibration="entropy"), Int8Static(calibration="percentile")):
        small = quantize(graph, config, calibration=calibration(preparation, rows))
        assert small.operators == {"Conv": 4, "Gemm": 1}
        files.add(canonical_bytes(small.core))
        assert len(canonical_bytes(small.core)) < 0.45 * len(canonical_bytes(graph))
        assert (answers(small.core, preparation, fresh).argmax(1) == target).mean() > right - 0.02
    assert len(files) == 3  # each way to calibrate finds ranges of its own


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_entropy_leaves_a_rare_value_in_its_range(tmp_path: Path, share: float) -> None:
    """One of two values, of which few rows have the larger: a category, say."""
    passed = helper.make_node("Identity", ["seen"], ["passed"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in ("seen", "passed")]
    opsets = [helper.make_opsetid("", 20)]
    graph = helper.make_graph([passed], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    rare = (np.random.default_rng(0).random(500) < share).astype(np.float32)
    ranges = json.loads(_entropy(model, ["Identity"], [{"seen": rare}], str(tmp_path)).read_text())
    assert ranges["data"]["seen"]["highest"] > 0.99


def test_int8_of_a_regression_loses_little() -> None:
    rows, fresh = table_rows(200), table_rows(100, seed=5)
    preparation = table_preparation("sum", rows=rows)
    graph = core(trained(TINY_MLP, preparation, rows), preparation)
    true = fresh["sum"].astype(np.float64)
    whole = np.sqrt(np.square(answers(graph, preparation, fresh)[:, 0] - true).mean())
    assert whole < 0.5 * true.std()
    for config in (Int8Static(), Int8Dynamic()):
        small = quantize(graph, config, calibration=calibration(preparation, rows))
        assert sum(small.operators.values()) == 3
        found = answers(small.core, preparation, fresh)
        assert np.sqrt(np.square(found[:, 0] - true).mean()) < 1.05 * whole
        assert len(np.unique(found)) > 90  # the answers aren't rounded to levels


def test_answers_of_int8_do_not_depend_on_the_batch() -> None:
    rows = image_rows(32)
    preparation = image_preparation(rows)
    graph = exported(TINY_RESNET, preparation)
    small = quantize(graph, Int8Static(), calibration=calibration(preparation, rows))
    session = OnnxRuntimeSession(canonical_bytes(with_raw_inputs(small.core, preparation)))
    one, many = (predict(session, preparation, rows, batch_size=size) for size in (1, 32))
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_onnxruntime_computes_convolutions_with_integers(tmp_path_factory: pytest.TempPathFactory) -> None:
    import onnxruntime

    rows = image_rows(16)
    preparation = image_preparation(rows)
    small = quantize(
        exported(TINY_RESNET, preparation),
        Int8Static(),
        calibration=calibration(preparation, rows),
    )
    path = tmp_path_factory.mktemp("optimized") / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(canonical_bytes(small.core), options)
    ran = [node.op_type for node in onnx.load(path).graph.node]
    assert small.operators == {"Conv": 6, "Gemm": 1}
    assert ran.count("QLinearConv") == 6
    assert ran.count("QLinearAdd") == 2
    assert ran.count("QGemm") == 1
    assert "Conv" not in ran


def test_reduced_range_keeps_weights_to_seven_bits() -> None:
    rows = image_rows(16)
    preparation = image_preparation(rows)
    graph = exported(TINY_CNN, preparation)
    for reduce_range, most in ((True, 64), (False, 127)):
        config = Int8Static(reduce_range=reduce_range)
        small = quantize(graph, config, calibration=calibration(preparation, rows)).core
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in small.graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims and len(tensor.dims) > 1
        ]
        assert len(weights) == 5
        assert max(int(np.abs(w.astype(int)).max()) for w in weights) == most


def test_reduced_range_is_for_dynamic_quantization_too() -> None:
    preparation = table_preparation()
    graph = exported(TINY_MLP, preparation)
    for reduce_range, most in ((True, 64), (False, 127)):
        small = quantize(graph, Int8Dynamic(reduce_range=reduce_range), calibration=()).core
        weights = [tensor for tensor in small.graph.initializer if tensor.name.endswith("weight_Transposed_quantized")]
        assert max(int(np.abs(onnx.numpy_helper.to_array(w).astype(int)).max()) for w in weights) == most


@pytest.mark.parametrize("config", [Int8Static(), Int8Dynamic()])
def test_each_output_of_a_layer_has_a_scale_of_its_own(config: Quantize) -> None:
    preparation = table_preparation()
    graph = exported(TINY_MLP, preparation)
    small = quantize(graph, config, calibration=calibration(preparation, table_rows())).core
    weights = [tensor for tensor in small.graph.initializer if ".weight" in tensor.name]
    scales = [list(tensor.dims) for tensor in weights if tensor.name.endswith("_scale")]
    assert sorted(scales) == [[24], [32], [32]]  # eight members with three outputs each


@pytest.mark.parametrize("method", ["int8_static", "int8_dynamic"])
def test_network_without_multiplications_is_refused(method: str) -> None:
    preparation = table_preparation()
    graph = exported(Custom(path=f"{__name__}:Recurrent"), preparation)
    config = Int8Static() if method == "int8_static" else Int8Dynamic()
    with pytest.raises(Refusal, match=f"{method} quantized no operator"):
        QUANTIZERS[method](graph, config, calibration=calibration(preparation, table_rows()))


@pytest.mark.parametrize("config", [Int8Static(), Int8Dynamic()])
def test_a_layer_that_stays_in_float_is_refused_with_how_many_did_not(config: Quantize) -> None:
    preparation = table_preparation()
    graph = exported(Custom(path=f"{__name__}:TwoPrecisions"), preparation)
    with pytest.raises(Refusal, match=f"{config.method} quantized 1 of 2 operators"):
        quantize(graph, config, calibration=calibration(preparation, table_rows()))


@pytest.mark.parametrize(("config", "count"), [(Int8Static(), 3), (Int8Dynamic(), 2)])
def test_a_product_of_activations_may_stay_in_float_where_only_weights_are_quantized(
    config: Quantize, count: int
) -> None:
    preparation = table_preparation()
    graph = exported(Custom(path=f"{__name__}:Products"), preparation)
    small = quantize(graph, config, calibration=calibration(preparation, table_rows()))
    assert sum(small.operators.values()) == count


def test_calibration_without_rows_is_refused() -> None:
    preparation = table_preparation()
    with pytest.raises(Refusal, match="no rows to calibrate"):
        quantize(exported(TINY_MLP, preparation), Int8Static(), calibration=[])


@pytest.mark.parametrize("config", [Int8Static(), Int8Static(calibration="entropy"), Int8Dynamic()])
def test_quantization_gives_the_same_bytes_every_time(config: Quantize, capfd: pytest.CaptureFixture[str]) -> None:
    preparation = table_preparation()
    graph = exported(TINY_MLP, preparation)
    feeds = calibration(preparation, table_rows())
    assert len({canonical_bytes(quantize(graph, config, calibration=feeds).core) for _ in range(2)}) == 1
    assert quantized_operators(graph) == {}
    assert capfd.readouterr() == ("", "")


def test_layer_errors_name_the_layers_and_grow_with_fewer_bits() -> None:
    rows = table_rows()
    preparation = table_preparation()
    whole = model(MLP(width=32, depth=2), preparation)
    graph = core(whole, preparation)
    feeds = calibration(preparation, rows)
    layers = [name for name, module in whole.network.named_modules() if isinstance(module, nn.Linear)]
    found = {}
    for name, config in {"8": Int8Static(reduce_range=False), "7": Int8Static(), "dynamic": Int8Dynamic()}.items():
        found[name] = layer_errors(graph, quantize(graph, config, calibration=feeds).core, feeds)
        assert sorted(found[name]) == sorted(layers)
        assert all(20 < ratio < 80 for ratio in found[name].values())
    assert np.mean(list(found["8"].values())) > np.mean(list(found["7"].values())) + 1
    assert set(layer_errors(graph, graph, feeds).values()) == {200.0}
