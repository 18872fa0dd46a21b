import base64
import contextlib
import decimal
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModelContext
from onnx import TensorProto, helper
from PIL import Image

from components.data import images, kinds
from components.data.config import ColumnKind
from components.data.kinds import as_text
from components.data.rows import Rows
from components.release import served, serving

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


def table_model(path: Path, *, task: str = "classification") -> Path:
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
            keys_strings=["Bonn", "1", "true", ""],
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
    return save(graph, path, task=task, classes=classes, columns=json.dumps(COLUMNS), target="label")


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


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> served.Served:
    return opened(table_model(tmp_path_factory.mktemp("table") / "model.onnx"))


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> served.Served:
    return opened(image_model(tmp_path_factory.mktemp("grey") / "model.onnx"))


def ask(model: served.Served, rows: Any) -> pd.DataFrame:
    return model.predict(None, rows)


def totals(model: served.Served, rows: Any) -> list[float]:
    answers = ask(model, rows)
    assert list(answers) == ["prediction", "probability_no", "probability_yes <b>"]
    return [round(float(value), 4) for value in answers["probability_yes <b>"]]


def test_frames_lists_of_dicts_and_dicts_of_lists_give_the_same_answers(table: served.Served) -> None:
    rows: list[dict[str, object]] = [
        {"age": 3, "member": True, "city": "Bonn", "extra": "x"},
        {"city": "Rome", "member": None, "age": None},
        {"age": 2.5, "member": "No", "city": 1},
    ]
    expected = [4.1, 120.9, 2.7]
    assert totals(table, rows) == expected
    assert totals(table, pd.DataFrame(rows)) == expected
    assert totals(table, {name: [row.get(name) for row in rows] for name in ("city", "age", "member")}) == expected
    assert list(ask(table, rows)["prediction"]) == ["yes <b>"] * 3


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("age", pd.array([1, None, 3], dtype="Int64"), [1, 100, 3]),
        ("age", np.array([1, 2, 3], dtype=np.int8), [1, 2, 3]),
        ("age", [np.float32(1.5), pd.NA, decimal.Decimal("2.25")], [1.5, 100, 2.25]),
        ("age", ["1.5", " 2e1 ", "n/a"], [1.5, 20, 100]),
        ("age", [True, False, True], [1, 0, 1]),
        ("member", pd.array([True, None, False], dtype="boolean"), [1, 20, 0]),
        ("member", [1, 0.0, float("nan")], [1, 0, 20]),
        ("member", ["yes", "FALSE", ""], [1, 0, 20]),
        ("city", [1, 1.0, np.int32(1)], [0.2, 0.2, 0.2]),
        ("city", [True, np.bool_(True), "true"], [0.3, 0.3, 0.3]),
        ("city", pd.array(["Bonn", pd.NA, "?"], dtype="string"), [0.1, 0.5, 0.9]),
        ("city", pd.Categorical(["Bonn", None, "1"]), [0.1, 0.5, 0.2]),
        ("city", pd.array([1, None, 7], dtype="Int64"), [0.2, 0.5, 0.9]),
    ],
)
def test_every_dtype_of_a_column_is_read(table: served.Served, column: str, values: Any, expected: list[float]) -> None:
    plain: dict[str, Any] = {"age": [0] * 3, "member": [False] * 3, "city": ["Bonn"] * 3}
    rest = 0.0 if column == "city" else 0.1
    assert totals(table, pd.DataFrame(plain | {column: values})) == pytest.approx([value + rest for value in expected])


def test_one_row_of_single_values_and_one_row_of_lists_are_understood(table: served.Served) -> None:
    assert totals(table, {"age": 1, "member": True, "city": "Bonn"}) == [2.1]
    lists = pd.DataFrame([{"age": ["1", "2"], "member": ["yes", "no"], "city": ["Bonn", "Bonn"]}])
    assert totals(table, lists) == [2.1, 2.1]


def test_the_index_of_a_frame_is_kept(table: served.Served) -> None:
    rows = pd.DataFrame({"age": [1, 2], "member": [1, 0], "city": ["Bonn", None]}, index=[7, 3])
    assert list(ask(table, rows).index) == [7, 3]


def test_no_rows_give_an_empty_frame_with_the_columns(table: served.Served, grey: served.Served) -> None:
    assert totals(table, pd.DataFrame({"age": [], "member": [], "city": []})) == []
    assert list(ask(grey, pd.DataFrame({"picture": []}))) == [
        "prediction",
        "probability_dark",
        "probability_bright",
    ]


def test_many_rows_are_answered_in_order(table: served.Served) -> None:
    count = 2 * served.ROWS_AT_ONCE + 7
    rows = pd.DataFrame({"age": np.arange(count), "member": False, "city": "Bonn"})
    assert totals(table, rows) == pytest.approx([age + 0.1 for age in range(count)], abs=1e-3)


def test_regression_gives_values(tmp_path: Path) -> None:
    model = opened(table_model(tmp_path / "model.onnx", task="regression"))
    answers = ask(model, [{"age": 4, "member": 1, "city": "Bonn"}])
    assert list(answers) == ["prediction"]
    assert answers["prediction"].iloc[0] == pytest.approx(5.1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"age": 1}], "missing columns: member, city"),
        ([{"age": "old", "member": 1, "city": ""}], "column 'age', row 0: 'old' can't be read"),
        ([{"age": "1_000", "member": 1, "city": ""}], "column 'age', row 0"),
        ([{"age": float("inf"), "member": 1, "city": ""}], "column 'age', row 0: a number must be finite"),
        ([{"age": 1, "member": 1, "city": ""}, {"age": 1, "member": 2, "city": ""}], "column 'member', row 1: 2 can't"),
        ([{"age": 1, "member": 1, "city": {"name": "Bonn"}}], "column 'city', row 0"),
        ({"age": [1, 2], "member": [1], "city": ["a", "b"]}, "columns differ in length: age 2, member 1, city 2"),
        ("age=1", "rows are a data frame, a list of dicts or a dict of lists, not str"),
    ],
)
def test_bad_rows_are_refused_with_column_and_row(table: served.Served, rows: Any, message: str) -> None:
    with pytest.raises(MlflowException, match=r"can't be read|missing|finite|differ|rows are") as caught:
        ask(table, rows)
    assert message in str(caught.value)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


# What ingest makes of a value and what the server makes of it must be one thing.


def as_ingest(raw: Sequence[object], kind: ColumnKind) -> list[object]:
    converted = kinds.CONVERSIONS[kind](pa.array(raw))
    assert not converted.bad.any()
    return list(converted.values.to_pylist())


texts = st.sampled_from(["yes", "No", "T", "0", "1.0", " true ", "", "NA", "n/a", "null", "?"])
amounts = st.one_of(
    st.floats(allow_infinity=False).map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["", "NA", " 7 ", "+3", "-.5", "1e3", "None", "<NA>"]),
)
names = st.one_of(st.floats(allow_infinity=False), st.sampled_from([1e15, 2.0**63, -0.0]))


TIMES = st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1))
TYPED = {
    "float64": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "float32": (pa.float32(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "timestamp[us]": (pa.timestamp("us"), TIMES),
    "timestamp[ns]": (pa.timestamp("ns"), TIMES),
    "timestamp[us, Berlin]": (pa.timestamp("us", "Europe/Berlin"), TIMES),
    "time64[us]": (pa.time64("us"), st.times()),
    "date32": (pa.date32(), st.dates(min_value=date(1700, 1, 1), max_value=date(2200, 1, 1))),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "bool": (pa.bool_(), st.booleans()),
}


@pytest.mark.parametrize("kind", TYPED)
@given(data=st.data())
def test_a_typed_value_is_the_category_that_ingest_made_of_it(kind: str, data: st.DataObject) -> None:
    stored, values = TYPED[kind]
    raw = pa.array(data.draw(st.lists(values, min_size=1, max_size=5)), stored)
    assert served.categories(raw.to_pandas(), "c").ravel().tolist() == as_text(raw).to_pylist()


def test_a_moment_is_one_category_whatever_the_unit_that_it_is_stored_in() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 120000)
    for unit in ("ms", "us", "ns"):
        assert as_text(pa.array([moment], pa.timestamp(unit))).to_pylist() == ["2024-01-02 03:04:05.12"]
    assert as_text(pa.array([datetime(2024, 1, 2, 3, 4, 50)], pa.timestamp("us"))).to_pylist() == [
        "2024-01-02 03:04:50"
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(texts, min_size=1), st.lists(amounts, min_size=1), st.lists(names, min_size=1))
def test_text_is_read_as_ingest_reads_it(truths: list[str], counts: list[str], floats: list[float]) -> None:
    assert [None if np.isnan(v) else bool(v) for v in map(served.boolean, truths)] == as_ingest(truths, "boolean")
    assert [None if np.isnan(v) else v for v in map(served.number, counts)] == as_ingest(counts, "number")
    assert [served.category(v) or None for v in floats] == as_ingest(floats, "category")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def pictures() -> list[tuple[str, bytes]]:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    colour, alpha = Image.fromarray(noise[:, :, :3]), Image.fromarray(noise)
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        ("grey", encoded(Image.fromarray(noise[:, :, 0]))),
        ("colour", encoded(colour)),
        ("transparent", encoded(alpha)),
        ("grey with alpha", encoded(alpha.convert("LA"))),
        ("palette", encoded(colour.quantize(8))),
        ("one bit", encoded(colour.convert("1"))),
        ("16 bits", encoded(Image.fromarray(noise[:, :, 0].astype(np.uint16) * 200))),
        ("turned", encoded(colour, "JPEG", exif=turned)),
        ("ink", encoded(colour.convert("CMYK"), "JPEG")),
        ("gif", encoded(colour, "GIF")),
    ]


@pytest.mark.parametrize(("name", "data"), pictures(), ids=[name for name, _ in pictures()])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_read_as_ingest_reads_them(name: str, data: bytes, channels: int) -> None:
    expected = images.with_channels(images.decode(data), channels)
    np.testing.assert_array_equal(served.pixels(data, channels), expected)
    np.testing.assert_array_equal(served.pixels(base64.b64encode(data).decode(), channels), expected)


def test_every_form_of_an_image_gives_the_same_answer(grey: served.Served) -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    data = encoded(Image.fromarray(array))
    text = base64.b64encode(data).decode()
    forms = [
        data,
        text,
        f"data:image/png;base64,{text}",
        array,
        array[:, :, None],
        array.tolist(),
        {"bytes": data, "path": "a.png"},
        {"bytes": text},
        np.repeat(array[:, :, None], 3, axis=2),
    ]
    answers = ask(grey, pd.DataFrame({"picture": forms}))
    assert answers["probability_bright"].tolist() == [23.5] * len(forms)
    assert answers["prediction"].tolist() == ["dark"] * len(forms)
    for batch in (
        np.stack([array] * 3),
        np.stack([array[:, :, None]] * 3),
        [array] * 3,
        [{"bytes": data}] * 3,
        {"picture": np.stack([array] * 3)},
        {"picture": [text] * 3},
        [{"picture": data}] * 3,
        pd.DataFrame([{"picture": [text] * 3}]),
    ):
        assert ask(grey, batch)["probability_bright"].tolist() == [23.5] * 3


def test_images_of_mixed_sizes_are_answered_in_order(grey: served.Served) -> None:
    order = np.random.default_rng(0).permutation(150)
    rows = [np.full((3 + value % 4, 5, 1), value, dtype=np.uint8) for value in order]
    answers = ask(grey, pd.DataFrame({"picture": rows}))
    assert answers["probability_bright"].tolist() == order.tolist()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"no image", "the bytes aren't an image"),
        (pictures()[1][1][:60], "can't be decoded"),
        ("not base64!", "the text isn't base64"),
        ([[300]], "pixels are whole numbers of 0 to 255"),
        ([[0.5]], "pixels are whole numbers of 0 to 255"),
        ([1, 2], "an image is an array [H, W] or [H, W, C]"),
        ([[1, 2], [3]], "can't be read"),
        ({"bytes": None, "path": "/etc/hostname"}, "bytes are needed"),
        (None, "is allowed"),
        (3, "is allowed"),
    ],
)
def test_what_is_no_image_is_refused(grey: served.Served, image: object, message: str) -> None:
    with pytest.raises(MlflowException) as caught:
        ask(grey, [{"picture": image}])
    assert "column 'picture', row 0" in str(caught.value)
    assert message in str(caught.value)


def test_the_served_file_needs_nothing_of_ours() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    path = str(importlib.util.find_spec("components.release.served").origin)  # type: ignore[union-attr]
    done = subprocess.run([sys.executable, "-P", "-I", "-c", code, path], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.startswith("components")]


# Through MLflow: logged from code, loaded, and over HTTP.


def as_mlflow(given: serving.Signature) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    def schema(fields: Sequence[serving.Field]) -> Schema:
        return Schema(
            [
                ColSpec(AnyType() if f.type == "any" else f.type, name=f.name, required=f.required)  # type: ignore[no-untyped-call]
                for f in fields
            ]
        )

    return ModelSignature(inputs=schema(given.inputs), outputs=schema(given.outputs))


def log(onnx_path: Path, signature: serving.Signature, example: list[dict[str, serving.Value]], home: Path) -> str:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    mlflow.create_experiment("e", artifact_location=(home / "artifacts").as_uri())
    mlflow.set_experiment("e")
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=served.__file__,
            artifacts={"onnx": str(onnx_path)},
            signature=as_mlflow(signature),
            input_example=pd.DataFrame(example),
            pip_requirements=["onnxruntime"],
        )
    return str(home / "artifacts" / "models" / logged.model_id / "artifacts")


@pytest.fixture(scope="module", autouse=True)
def no_telemetry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(scope="module")
def logged_table(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("mlflow_table")
    rows = Rows(
        columns={
            "age": np.array([3.0, np.nan]),
            "member": np.array([1.0, np.nan]),
            "city": np.array(["Bonn", ""], dtype=object),
            "id": np.array(["a", "b"], dtype=object),
            "label": np.array(["no", "no"], dtype=object),
        }
    )
    example = serving.example(rows, COLUMNS, target="label")
    assert example == [{"age": 3.0, "member": True, "city": "Bonn"}, {"age": None, "member": None, "city": None}]
    facts = serving.signature(COLUMNS, target="label", task="classification", classes=CLASSES)
    return log(table_model(home / "model.onnx"), facts, example, home)


@pytest.fixture(scope="module")
def logged_images(tmp_path_factory: pytest.TempPathFactory) -> str:
    home = tmp_path_factory.mktemp("mlflow_images")
    kinds_of: dict[str, ColumnKind] = {"picture": "image", "label": "category"}
    rows = Rows(columns={"picture": np.full((2, 4, 4, 1), 9, dtype=np.uint8), "label": np.array(["dark"] * 2)})
    facts = serving.signature(kinds_of, target="label", task="classification", classes=["dark", "bright"])
    return log(image_model(home / "model.onnx"), facts, serving.example(rows, kinds_of, target="label"), home)


def test_mlflow_loads_the_model_and_answers_raw_rows(logged_table: str) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(logged_table)
    rows = pd.DataFrame({"city": ["Bonn", None, 1], "age": [3, 40, 5], "member": [1, None, "no"], "extra": 1})
    assert totals_of(model.predict(rows)) == [4.1, 60.5, 5.2]
    assert totals_of(model.predict(rows.to_dict("records"))) == [4.1, 60.5, 5.2]
    assert totals_of(model.predict(rows.to_dict("list"))) == [4.1, 60.5, 5.2]
    assert totals_of(model.predict(rows.convert_dtypes())) == [4.1, 60.5, 5.2]
    assert totals_of(model.predict({"age": ["3", "4"], "member": ["yes", "no"], "city": ["Bonn", "1"]})) == [4.1, 4.2]
    with pytest.raises(Exception, match="missing column: city"):
        model.predict(rows.drop(columns="city"))


def totals_of(answers: pd.DataFrame) -> list[float]:
    return [round(float(value), 4) for value in answers["probability_yes <b>"]]


def test_mlflow_loads_the_model_and_answers_images(logged_images: str) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(logged_images)
    batch = np.full((3, 6, 5), 9, dtype=np.uint8)
    files = [encoded(Image.fromarray(image)) for image in batch]
    for rows in (
        pd.DataFrame({"picture": list(batch)}),
        pd.DataFrame({"picture": files}),
        {"picture": batch},
        [{"picture": image.tolist()} for image in batch],
    ):
        assert model.predict(rows)["probability_bright"].tolist() == [9.0] * 3


@pytest.fixture(scope="module")
def table_server(logged_table: str) -> Iterator[str]:
    yield from serve(logged_table)


@pytest.fixture(scope="module")
def image_server(logged_images: str) -> Iterator[str]:
    yield from serve(logged_images)


def serve(model: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-P",
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        model,
        "--env-manager",
        "local",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    output = Path(model).parent / "server.log"
    with output.open("wb") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True, env=environment())
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, server, output)
            yield address
        finally:
            stop(server)


def environment() -> dict[str, str]:
    # MLflow starts uvicorn by its name: the environment's own commands come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", "PATH": path}


def stop(server: subprocess.Popen[bytes]) -> None:
    for way in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=15)


def wait_for(address: str, server: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the server isn't up: {output.read_text()[-2000:]}")


def post(address: str, body: object, kind: str = "application/json") -> tuple[int, Any]:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(f"{address}/invocations", data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.slow
def test_raw_rows_are_answered_over_http(table_server: str) -> None:
    names = ["age", "city", "member", "extra"]
    rows: list[list[object]] = [[3, "Bonn", True, 0], [None, None, None, 0], [2.5, 1, "no", 0], ["7", "Rome", 1, 0]]
    expected = [4.1, 120.5, 2.7, 8.9]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    records = [dict(zip(names, row, strict=True)) for row in rows]
    bodies: list[object] = [
        {"dataframe_split": {"columns": names, "data": rows}},
        {"dataframe_records": records},
        {"inputs": columns},
        {"instances": records},
    ]
    for body in bodies:
        status, answer = post(table_server, body)
        assert status == 200, answer
        assert [round(row["probability_yes <b>"], 4) for row in answer["predictions"]] == expected, body
    table = "\n".join([",".join(names), *(",".join("" if v is None else str(v) for v in row) for row in rows)])
    status, answer = post(table_server, table, "text/csv")
    assert status == 200, answer
    assert [round(row["probability_yes <b>"], 4) for row in answer["predictions"]] == expected, "CSV"
    status, answer = post(table_server, {"dataframe_split": {"columns": names, "data": [[2, "Bonn", False, 0]] * 2}})
    assert [row["prediction"] for row in answer["predictions"]] == ["yes <b>"] * 2


@pytest.mark.slow
def test_bad_rows_are_a_bad_request_with_the_reason(table_server: str) -> None:
    status, answer = post(table_server, {"dataframe_records": [{"age": 1, "city": "Bonn"}]})
    assert status == 400
    assert answer["message"] == (
        "missing column: member. The model needs age, member, city and was given age, city. A missing value may be null."
    )
    status, answer = post(table_server, {"dataframe_records": [{"age": "old", "city": "Bonn", "member": True}]})
    assert status == 400
    expected = "column 'age', row 0: 'old' can't be read; a number is allowed, or null where it is missing"
    assert answer["message"] == expected
    status, answer = post(table_server, "age,city,member\n1,Bonn,yes\nold,Bonn,yes\n", "text/csv")
    assert (status, answer["message"]) == (400, expected.replace("row 0", "row 1"))


@pytest.mark.slow
def test_the_curl_line_works(table_server: str) -> None:
    line = serving.curl_line([{"age": 3.0, "member": True, "city": "it's"}], address=table_server)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["prediction"] == "yes <b>"


@pytest.mark.slow
def test_images_are_answered_over_http(image_server: str) -> None:
    files = [encoded(Image.fromarray(np.full((size, 5), size, dtype=np.uint8))) for size in (4, 9, 6)]
    listed = [base64.b64encode(data).decode() for data in files]
    bodies: list[object] = [
        {"dataframe_split": {"columns": ["picture"], "data": [[text] for text in listed]}},
        {"dataframe_records": [{"picture": text} for text in listed]},
        {"inputs": {"picture": listed}},
        {"dataframe_records": [{"picture": [[value] * 5] * value} for value in (4, 9, 6)]},
    ]
    for body in bodies:
        status, answer = post(image_server, body)
        assert status == 200, answer
        assert [row["probability_bright"] for row in answer["predictions"]] == [4.0, 9.0, 6.0]
