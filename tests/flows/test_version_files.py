"""The files of a version, which go wherever it goes."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.home import Home
from components.release.trial import Trial
from components.store.folder import object_name
from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)


def test_no_file_of_a_version_holds_a_row_of_the_data(first: Place) -> None:
    with (first.folder / "people.csv").open(encoding="utf-8", newline="") as stream:
        incomes = {row["income"] for row in csv.DictReader(stream)}  # to three digits: nearly each names its row
    trial = next(first.home.joinpath("mlflow").rglob("trial.json"))
    files = [file for file in trial.parents[1].rglob("*") if file.is_file()]
    assert {"MLmodel", "trial.json", "input_example.json", "serving_input_example.json"} <= {f.name for f in files}
    for file in files:
        text = file.read_text("utf-8", errors="replace")
        assert not [income for income in incomes if income in text], file


def test_a_version_is_tried_with_missing_values_and_every_category(first: Place) -> None:
    rows = Trial.read(next(first.home.joinpath("mlflow").rglob("trial.json"))).rows
    example = json.loads(next(first.home.joinpath("mlflow").rglob("input_example.json")).read_text())
    assert len(example["data"]) == 3
    assert {row["city"] for row in rows} == {"Rome", "Lima", "Zürich, old town", None}
    assert {row["smoker"] for row in rows} == {True, False, None}
    assert any(row["age"] is None for row in rows)
    assert all(value is not None for value in rows[0].values())


def test_the_file_is_asked_as_its_page_says_and_answers_as_predict_does(first: Place, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shutil.copy(first.told["first"].json["onnx"]["path"], tmp_path / "model.onnx")
    shutil.copy(first.folder / "people.csv", tmp_path)
    command = [sys.executable, "-P", "-c", f"{lines}\nprint(json.dumps(answers))"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    first.call("predict", "people", "people.csv", "--output", str(tmp_path / "answers.csv"), code=0)
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as stream:
        assert json.loads(said) == [row["prediction"] for row in csv.DictReader(stream)]


def test_the_parts_of_the_rows_lie_where_the_page_says(first: Place) -> None:
    told = json.loads(next(first.home.joinpath("mlflow").rglob("provenance.json")).read_text("utf-8"))
    (split,) = (link for link in told["predicate"]["links"] if link["name"] == "split")
    file = Home(first.home).store / object_name(split["artifacts"]["assignments"])
    parts = pq.read_table(file)["part"].to_pylist()
    assert {part: parts.count(part) for part in ("train", "validation", "test")} == split["facts"]
