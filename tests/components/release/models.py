"""Small ONNX files as ours are, and what is asked of them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
from mlflow.pyfunc.model import PythonModelContext
from onnx import TensorProto, helper
from PIL import Image

from components.data.config import ColumnKind
from components.release import served

COLUMNS: dict[str, ColumnKind] = {
    "age": "number",
    "member": "boolean",
    "city": "category",
    "id": "ignore",
    "label": "category",
}
CLASSES = ("no", "yes <b>")


def save(graph: onnx.GraphProto, path: Path, **facts: str) -> Path:
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {f"steelyard.{key}": value for key, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def table_model(path: Path, *, task: str = "classification", cities: Sequence[str] = ("Bonn", "1", "true")) -> Path:
    """Outputs: P(yes) is the age, 1 for a member, the city's code / 10, summed, missing as 100, 20 and 5."""

    def value(name: str, kind: int = TensorProto.DOUBLE) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, ["batch", 1])

    def filled(name: str, fill: float) -> list[onnx.NodeProto]:
        return [
            helper.make_node("IsNaN", [name], [f"{name}?"]),
            helper.make_node("Constant", [], [f"{name}!"], value_float=fill),
            helper.make_node("Cast", [f"{name}!"], [f"{name}!d"], to=TensorProto.DOUBLE),
            helper.make_node("Where", [f"{name}?", f"{name}!d", name], [f"{name}+"]),
        ]

    nodes = [
        *filled("age", 100.0),
        *filled("member", 20.0),
        helper.make_node(
            "LabelEncoder",
            ["city"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=[*cities, ""],
            values_floats=[0.1, 0.2, 0.3, 0.5],
            default_float=0.9,
        ),
        helper.make_node("Cast", ["code"], ["city+"], to=TensorProto.DOUBLE),
        helper.make_node("Sum", ["age+", "member+", "city+"], ["total"]),
        helper.make_node("Neg", ["total"], ["rest"]),
        helper.make_node("Concat", ["rest", "total"] if task == "classification" else ["total"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["answer"], to=TensorProto.FLOAT),
    ]
    width = 2 if task == "classification" else 1
    out = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", width])
    graph = helper.make_graph(nodes, "t", [value("age"), value("member"), value("city", TensorProto.STRING)], [out])
    classes = json.dumps(CLASSES if task == "classification" else [])
    facts = {"columns": json.dumps(COLUMNS), "known": json.dumps({"city": cities})}
    return save(graph, path, task=task, classes=classes, target="label", **facts)


def image_model(path: Path, *, channels: int = 1) -> Path:
    """Outputs the mean of the pixels of each image, and 255 minus it."""
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["axes"], value_ints=[1, 2, 3]),
        helper.make_node("ReduceMean", ["real", "axes"], ["mean"], keepdims=0),
        helper.make_node("Constant", [], ["last"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["mean", "last"], ["bright"]),
        helper.make_node("Constant", [], ["white"], value_float=255.0),
        helper.make_node("Sub", ["white", "bright"], ["dark"]),
        helper.make_node("Concat", ["dark", "bright"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "i",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
    )
    columns = json.dumps({"picture": "image", "label": "category"})
    return save(
        graph,
        path,
        task="classification",
        classes='["dark", "bright"]',
        columns=columns,
        target="label",
        image_channels=str(channels),
    )


def opened(path: Path) -> served.Served:
    model = served.Served()
    context = PythonModelContext(artifacts={"onnx": str(path)}, model_config={})  # type: ignore[no-untyped-call]
    model.load_context(context)
    return model


def ask(model: served.Served, rows: Any) -> pd.DataFrame:
    return model.predict(None, rows)


def totals(model: served.Served, rows: Any) -> list[float]:
    answers = ask(model, rows)
    assert list(answers) == ["prediction", "probability_no", "probability_yes <b>"]
    return [round(float(value), 4) for value in answers["probability_yes <b>"]]


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()
