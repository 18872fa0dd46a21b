"""Through MLflow: logged from code, loaded, and over HTTP."""

import base64
import contextlib
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
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.data.config import ColumnKind
from components.data.rows import Rows
from components.release import served, serving
from tests.components.release.models import CLASSES, COLUMNS, encoded, image_model, table_model


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
    experiment = mlflow.create_experiment("e", artifact_location=(home / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment):  # set_experiment would be for all tests that come after
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


def test_bad_rows_are_a_bad_request_with_the_reason(table_server: str) -> None:
    status, answer = post(table_server, {"dataframe_records": [{"age": 1, "city": "Bonn"}]})
    assert status == 400
    assert answer["message"] == (
        "missing column: member. The model needs age, member, city and found age, city: look for a mistyped name. "
        "A missing value may be null."
    )
    status, answer = post(table_server, {"dataframe_records": [{"age": "old", "city": "Bonn", "member": True}]})
    assert status == 400
    expected = "column 'age', row 0: 'old' can't be read; a number is allowed, or null where it is missing"
    assert answer["message"] == expected
    status, answer = post(table_server, "age,city,member\n1,Bonn,yes\nold,Bonn,yes\n", "text/csv")
    assert (status, answer["message"]) == (400, expected.replace("row 0", "row 1"))


def test_the_curl_line_works(table_server: str) -> None:
    line = serving.curl_line([{"age": 3.0, "member": True, "city": "it's"}], address=table_server)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["prediction"] == "yes <b>"


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
