import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from components.compression.config import Int8Dynamic, Int8Static, Quantize
from components.compression.quantization import quantize
from components.data.config import DecimalMark, PrepareConfig
from components.data.preparing.preparation import Preparation, Target
from components.data.preparing.prepare import fit
from components.data.rows import Rows
from components.errors import Refusal
from components.export.canonical import canonical_bytes, metadata_of
from components.export.config import ExportConfig
from components.export.metadata import metadata, read_columns
from components.export.parity import Parity, check, parity, reference
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.models.config import Network
from components.models.model import Model
from components.runtimes.feeds import core_batches, predict, raw_feeds
from components.runtimes.onnx_runtime import open_onnxruntime
from tests.components.export.samples import (
    TINY_CNN,
    TINY_MLP,
    TINY_RESNET,
    exported,
    image_preparation,
    image_rows,
    mixed_image_rows,
    model,
    table_data,
    table_preparation,
    table_rows,
)


def released(trained: Model, preparation: Preparation, folder: Path) -> Path:
    return written(core(trained, preparation), preparation, folder)


def written(graph: onnx.ModelProto, preparation: Preparation, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(canonical_bytes(with_raw_inputs(graph, preparation)))
    return path


@pytest.mark.parametrize("target", ["label", "sum"])
def test_table_answers_as_in_pytorch_at_every_batch_size(target: str, tmp_path: Path) -> None:
    preparation = table_preparation(target)
    trained = model(TINY_MLP, preparation)
    rows = table_rows(50, seed=1)
    path = written(exported(TINY_MLP, preparation), preparation, tmp_path)
    found = parity(path, trained, preparation, rows)
    assert set(found.by_batch_size) == {1, 2, 7, 32}
    assert found.max_abs_diff < 1e-4 * found.scale
    assert found.holds(1e-4)
    assert np.ptp(reference(trained, preparation, rows), axis=0).max() > 0.01


def test_values_far_from_zero_are_told_apart_in_the_targets_own_units(tmp_path: Path) -> None:
    """Floats are 128 apart at 1.7e9, as seconds since 1970 are."""
    preparation = table_preparation("sum")
    far = replace(preparation, target=replace(preparation.target, center=1.7e9, scale=60.0))
    trained, rows = model(TINY_MLP, far), table_rows(50, seed=1)
    path = released(trained, far, tmp_path)
    found = parity(path, trained, far, rows)
    values = predict(open_onnxruntime(path), far, rows)[:, 0]
    assert values.dtype == np.float64
    assert len(set(np.round(values, 3))) == 50
    assert 60 <= found.scale < 600
    assert found.max_abs_diff < 1e-4 * found.scale
    assert not replace(found, by_batch_size={1: 0.1}).holds(1e-4)


def test_columns_named_as_the_graphs_inner_values_are_told_from_them(tmp_path: Path) -> None:
    names = {"size": "core/numbers", "price": "codes of 0", "kind": "core/codes", "city": "inner/core/x"}
    rows, data = table_rows(50), table_data("label")
    renamed = Rows(columns={names.get(name, name): rows[name] for name in rows.columns})
    columns = {names.get(name, name): kind for name, kind in data.columns.items()}
    preparation = fit(PrepareConfig(), replace(data, columns=columns), renamed, task="classification")
    trained = model(TINY_MLP, preparation)
    assert parity(released(trained, preparation, tmp_path), trained, preparation, renamed).holds(1e-4)


def test_unknown_and_missing_categories_get_their_own_codes(tmp_path: Path) -> None:
    preparation = table_preparation()
    trained = model(TINY_MLP, preparation)
    rows = table_rows(4, seed=2)
    odd = Rows(
        columns={
            **rows.columns,
            "city": np.array(["Nowhere", "", "ulm", "Köln"], dtype=object),
            "kind": np.array(["", "zzz", "a", "b"], dtype=object),
            "price": np.array([np.nan, 1.0, -5.0, 1e12]),
            "on sale": np.array([np.nan, 1.0, 0.0, np.nan]),
        }
    )
    path = written(exported(TINY_MLP, preparation), preparation, tmp_path)
    assert parity(path, trained, preparation, odd, batch_sizes=(1, 4)).max_abs_diff < 1e-5
    session = onnxruntime.InferenceSession(str(path))
    answers = session.run(None, raw_feeds(preparation, odd))[0]
    unknown = Rows(columns={**odd.columns, "city": np.array(["Elsewhere", "", "ULM", "Köln"], dtype=object)})
    np.testing.assert_array_equal(session.run(None, raw_feeds(preparation, unknown))[0], answers)
    present = Rows(columns={**odd.columns, "city": np.array(["Ulm", "", "ulm", "Köln"], dtype=object)})
    assert np.abs(session.run(None, raw_feeds(preparation, present))[0] - answers)[0].max() > 1e-6


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_table_of_one_kind_of_column_exports(kind: str, tmp_path: Path) -> None:
    whole = table_preparation()
    preparation = replace(whole, categories=()) if kind == "numbers" else replace(whole, numbers=())
    trained = model(TINY_MLP, preparation)
    path = released(trained, preparation, tmp_path)
    assert parity(path, trained, preparation, table_rows(9), batch_sizes=(1, 9)).max_abs_diff < 1e-5


def test_a_column_may_have_the_name_of_the_output(tmp_path: Path) -> None:
    whole = table_preparation("sum")
    preparation = replace(
        whole,
        numbers=(replace(whole.numbers[0], name="values"), replace(whole.numbers[1], name="Gemm:0")),
        categories=(replace(whole.categories[0], name="network.body.output.weight"),),
    )
    rows = table_rows(6)
    given = Rows(
        columns={
            "values": rows["size"],
            "Gemm:0": rows["price"],
            "network.body.output.weight": rows["kind"],
        }
    )
    trained = model(TINY_MLP, preparation)
    path = released(trained, preparation, tmp_path)
    assert parity(path, trained, preparation, given, batch_sizes=(1, 6)).max_abs_diff < 1e-3
    assert [value.name for value in onnx.load(path).graph.output] == ["values_output"]


@pytest.mark.parametrize("network", [TINY_CNN, TINY_RESNET, TINY_MLP])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_one_size_answer_as_in_pytorch(network: Network, channels: int, tmp_path: Path) -> None:
    rows = image_rows(12, channels=channels)
    preparation = image_preparation(rows)
    trained = model(network, preparation)
    found = parity(released(trained, preparation, tmp_path), trained, preparation, rows, batch_sizes=(1, 7, 32))
    assert found.max_abs_diff < 1e-5


def test_images_of_mixed_sizes_and_colours_are_resized_inside(tmp_path: Path) -> None:
    rows = mixed_image_rows()
    preparation = image_preparation(rows, size=(12, 10))
    trained = model(TINY_CNN, preparation)
    path = released(trained, preparation, tmp_path)
    assert parity(path, trained, preparation, rows, batch_sizes=(1, 2, 32)).max_abs_diff < 1e-5
    one = onnxruntime.InferenceSession(str(path)).run(None, {"image": np.full((1, 1, 1, 3), 7, dtype=np.uint8)})[0]
    assert one.shape == (1, 2)


def test_images_of_another_size_are_refused_where_nothing_resizes() -> None:
    rows = image_rows(4)
    preparation = image_preparation(rows)
    with pytest.raises(Refusal, match="another size"):
        reference(model(TINY_CNN, preparation), preparation, image_rows(3, size=9))


def test_parity_sees_a_wrong_file(tmp_path: Path) -> None:
    rows = image_rows(8)
    preparation = image_preparation(rows)
    path = released(model(TINY_CNN, preparation, seed=1), preparation, tmp_path)
    found = parity(path, model(TINY_CNN, preparation), preparation, rows, batch_sizes=(2,))
    assert not found.holds(1e-4)
    with pytest.raises(Refusal, match="digits: the exported file's answers differ from PyTorch's by"):
        check(found, onnx.load(path), ExportConfig(), name="digits")
    check(found, onnx.load(path), ExportConfig(tolerance=1.0), name="digits")


@pytest.mark.parametrize("config", [Int8Static(), Int8Dynamic()])
def test_a_quantized_file_answers_a_row_alike_in_every_batch_where_its_ranges_are_fixed(
    config: Quantize, tmp_path: Path
) -> None:
    rows = table_rows(100)
    preparation = table_preparation()
    trained, fixed = model(TINY_MLP, preparation), config == Int8Static()
    feeds = [batch.feeds for batch in core_batches(preparation, rows, batch_size=20)]
    graph = quantize(exported(TINY_MLP, preparation), config, calibration=feeds).core
    path = written(graph, preparation, tmp_path)
    found = parity(path, trained, preparation, rows)
    assert found.max_abs_diff > 1e-4
    assert found.batch_diff < 1e-6 if fixed else found.batch_diff > 1e-4
    check(found, graph, ExportConfig(), name="int8")
    check(replace(found, batch_diff=0.04), graph, ExportConfig(), name="int8")  # one value was rounded otherwise
    if fixed:
        with pytest.raises(Refusal, match=r"int8: the exported file's answers differ between batches by 0\.06"):
            check(replace(found, batch_diff=0.06), graph, ExportConfig(), name="int8")
    with pytest.raises(Refusal, match="int8: the exported file's answers aren't all finite numbers"):
        check(replace(found, by_batch_size={1: float("inf")}), graph, ExportConfig(), name="int8")


def test_parity_on_no_rows_proves_nothing(tmp_path: Path) -> None:
    preparation = table_preparation()
    trained = model(TINY_MLP, preparation)
    with pytest.raises(Refusal, match="no rows to compare answers on"):
        path = written(exported(TINY_MLP, preparation), preparation, tmp_path)
        parity(path, trained, preparation, table_rows(4).take(slice(0)))


def test_parity_of_large_values_is_relative() -> None:
    found = Parity(by_batch_size={1: 0.01}, batch_diff=0.0, rows=1, scale=1000.0)
    assert found.holds(1e-4)
    assert not replace(found, scale=1.0).holds(1e-4)


CHILD = """
import sys
from pathlib import Path
from components.export.canonical import canonical_bytes
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.compression.config import Int8Static
from components.compression.quantization import quantize
from components.runtimes.feeds import core_batches
from tests.components.export.samples import *
for name, network, rows, preparation in [
    ("image", TINY_CNN, image_rows(16), image_preparation(image_rows(16))),
    ("table", TINY_MLP, table_rows(), table_preparation()),
]:
    graph = core(model(network, preparation), preparation)
    feeds = [batch.feeds for batch in core_batches(preparation, rows, batch_size=8)]
    small = quantize(graph, Int8Static(), calibration=feeds).core
    Path(name + ".onnx").write_bytes(canonical_bytes(with_raw_inputs(graph, preparation)))
    Path(name + "-int8.onnx").write_bytes(canonical_bytes(with_raw_inputs(small, preparation)))
"""


@pytest.mark.slow
def test_two_processes_in_two_folders_write_the_same_bytes(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    folders = [tmp_path / "one", tmp_path / "another and longer"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        (folder / "child.py").write_text(CHILD)
        environment = {"PYTHONPATH": root, "PYTHONHASHSEED": str(seed + 1), "OMP_NUM_THREADS": "1", "PATH": ""}
        done = subprocess.run(
            [str(Path(sys.executable).absolute()), str(folder / "child.py")],
            cwd=folder,
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    for name in ("image.onnx", "image-int8.onnx", "table.onnx", "table-int8.onnx"):
        content = [(folder / name).read_bytes() for folder in folders]
        assert content[0] == content[1], name
        assert str(tmp_path).encode() not in content[0]
        assert b".py" not in content[0]


def test_canonical_form_ignores_names_order_and_notes() -> None:
    preparation = image_preparation(image_rows(4))
    graph = exported(TINY_CNN, preparation)
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(graph)
    names = {output: f"other{i}" for i, node in enumerate(graph.graph.node) for output in node.output}
    del names["probabilities"]
    for node in shuffled.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        node.doc_string = "made at /home/someone"
        node.name = ""
    shuffled.graph.initializer.sort(key=lambda tensor: tensor.name, reverse=True)
    shuffled.graph.doc_string = shuffled.doc_string = "x"
    shuffled.producer_version = "y"
    assert canonical_bytes(shuffled) == canonical_bytes(graph)
    assert canonical_bytes(onnx.load_from_string(canonical_bytes(graph))) == canonical_bytes(graph)


def test_a_graph_that_no_runtime_could_run_is_never_written() -> None:
    graph = core(model(TINY_CNN, image_preparation(image_rows(4))), image_preparation(image_rows(4)))
    graph.graph.node[-1].op_type = "Softmix"
    with pytest.raises(onnx.checker.ValidationError, match="Softmix"):
        canonical_bytes(graph)


def test_metadata_say_what_the_server_needs() -> None:
    preparation = table_preparation()
    graph = exported(TINY_MLP, preparation)
    columns = table_data("label").columns
    told = metadata("cities", task="classification", columns=columns, preparation=preparation)
    raw = with_raw_inputs(graph, preparation)
    session = onnxruntime.InferenceSession(canonical_bytes(raw, metadata=told))
    found = session.get_modelmeta().custom_metadata_map
    assert found["steelyard.columns"].startswith('{"size": "number"')
    assert json.loads(found["steelyard.known"])["kind"] == ["a", "b", "c"]
    assert json.loads(found["steelyard.complete"]) == ["size", "kind"]
    spans = {one.name: list(one.span) for one in preparation.numbers if one.span}
    assert spans.keys() == {"size", "price"}
    assert json.loads(found["steelyard.spans"]) == spans
    price = replace(preparation, target=Target(name="rent", span=(100.0, 900.0)))
    of_values = metadata("rents", task="regression", columns=columns, preparation=price)
    assert json.loads(of_values["spans"]) == {**spans, "rent": [100.0, 900.0]}
    assert metadata_of(onnx.load_from_string(canonical_bytes(raw, metadata=told))) == told


def test_the_file_says_which_decimal_mark_its_rows_had_where_that_was_no_point(tmp_path: Path) -> None:
    """So that the file of a model that learned from points stays what it was before there was a choice."""
    preparation, columns = table_preparation(), table_data("label").columns
    raw = with_raw_inputs(exported(TINY_MLP, preparation), preparation)
    marks: tuple[DecimalMark, ...] = (".", ",")
    for mark in marks:
        told = metadata("m", task="classification", columns=columns, preparation=preparation, decimal=mark)
        assert ("decimal" in told) == (mark == ",")
        (tmp_path / "m.onnx").write_bytes(canonical_bytes(raw, metadata=told))
        assert read_columns(tmp_path / "m.onnx").decimal == mark


class DataDependent(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        flat = image.flatten(1)
        return flat[:, :2] if flat.sum() > 0 else flat[:, 2:4]


class FixedBatch(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape(3, 64)[:, :2]


@pytest.mark.parametrize("network", [DataDependent(), FixedBatch()])
def test_network_that_cannot_be_exported_is_refused_in_one_line(
    network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    preparation = image_preparation(image_rows(4))
    trained = model(TINY_CNN, preparation)
    trained.network = network
    with pytest.raises(Refusal, match="can't be exported to ONNX") as refused:
        core(trained, preparation)
    assert len(refused.value.problems[0].what.splitlines()) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("opset", [18, 20])
def test_the_file_is_of_the_opset_that_was_asked_for(opset: int) -> None:
    preparation = table_preparation()
    graph = core(model(TINY_MLP, preparation), preparation, opset=opset)
    assert {one.domain: one.version for one in graph.opset_import} == {"": opset}


def test_export_leaves_the_model_as_it_was() -> None:
    preparation = image_preparation(image_rows(4))
    trained = model(TINY_CNN, preparation).train()
    core(trained, preparation)
    assert trained.training
