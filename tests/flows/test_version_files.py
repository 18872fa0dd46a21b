"""The files of a version, which go wherever it goes."""

import csv
import json

import pytest

from components.release.trial import Trial
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
