"""Rows of tables, in every form that people give them."""

import decimal
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from components.data import kinds
from components.data.answering.known import as_known
from components.data.config import ColumnKind
from components.data.kinds import as_text
from components.release import served
from tests.components.release.models import ask, opened, table_model, totals


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


def test_a_mistyped_name_in_one_row_of_several_is_not_taken_for_a_missing_value(table: served.Served) -> None:
    rows: list[dict[str, object]] = [
        {"age": 3, "member": True, "city": "Bonn", "cities": 2},
        {"agee": 3, "member": True, "city": "Bonn", "cities": 2},
    ]
    with pytest.raises(MlflowException, match=r"row 1 has no age, but agee: did you mean 'age'\?"):
        ask(table, rows)
    # A column of one's own that resembles one of the model's stands beside it.
    assert totals(table, [rows[0], {**rows[0], "agee": 3}]) == totals(table, [rows[0]] * 2)
    without = {**rows[0], "age": None}
    assert totals(table, [{**without, "agee": 3}] * 2) == totals(table, [without] * 2)


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


@pytest.mark.parametrize(
    ("cities", "cells"),
    [
        (("Bonn", "1.0", "2.50"), ["1.0", "2.50", "", "7"]),
        (("Bonn", "01", "002"), ["01", "002", "", "7"]),
        (("Bonn", "True", "false"), ["True", "false", "", "TRUE"]),
        (("Bonn", "true", "FALSE"), ["true", "FALSE", "", "True"]),
    ],
)
def test_pandas_reading_of_the_training_csv_gives_the_categories_of_training(
    tmp_path: Path, cities: Sequence[str], cells: list[str]
) -> None:
    model = opened(table_model(tmp_path / "model.onnx", cities=cities))
    (tmp_path / "t.csv").write_text("\n".join(["age,member,city", *(f"0,no,{cell}" for cell in cells)]))
    assert totals(model, pd.read_csv(tmp_path / "t.csv"))[:3] == [0.2, 0.3, 0.5]
    untyped = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert totals(model, untyped) == [0.2, 0.3, 0.5, 0.9]


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
        (pd.DataFrame({"age": [1], "member": [3], "city": [""]}), "column 'member', row 0: 3 can't be read"),
        ([], "there are no rows. The model needs age, member, city."),
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
    with pytest.raises(MlflowException, match=r"can't be read|missing|finite|differ|rows are|no rows") as caught:
        ask(table, rows)
    assert message in str(caught.value)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_an_answer_that_is_no_number_is_refused_with_its_row(table: served.Served) -> None:
    with pytest.raises(MlflowException, match="row 1 has no answer"):
        table.answered(np.array([[0.5, 0.5], [np.nan, 1.0]], dtype=np.float32), index=pd.RangeIndex(2))


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
    "float16": (pa.float16(), st.floats(allow_nan=False, allow_infinity=False, width=16).map(np.float16)),
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
    assert served.categories(raw.to_pandas(), "c", ()).ravel().tolist() == as_text(raw).to_pylist()


SPELT = ["1", "1.0", "01", " 1", "1e0", "-0", "2.5", "2.50", "9007199254740993", "True", "TRUE", "false", "Bonn"]
SMALL = [
    st.sampled_from([-1.5, 0.0, 1.0, 2.5, 2.0**53]),
    st.sampled_from([0, 1, 2**53, 2**53 + 1]),
    st.booleans(),
    st.sampled_from([decimal.Decimal("1.0"), decimal.Decimal("2.5")]),
]


@given(
    values=st.one_of(*(st.lists(one, min_size=1, max_size=4) for one in SMALL)),
    known=st.lists(st.sampled_from(SPELT), unique=True),
)
def test_a_typed_value_is_the_same_known_category_in_a_file_and_at_the_server(
    values: list[object], known: list[str]
) -> None:
    raw = pa.array(values)
    assert served.categories(raw.to_pandas(), "c", known).ravel().tolist() == as_known(as_text(raw), known).to_pylist()


def test_a_moment_is_one_category_whatever_the_unit_that_it_is_stored_in() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 120000)
    for unit in ("ms", "us", "ns"):
        assert as_text(pa.array([moment], pa.timestamp(unit))).to_pylist() == ["2024-01-02 03:04:05.12"]
    assert as_text(pa.array([datetime(2024, 1, 2, 3, 4, 50)], pa.timestamp("us"))).to_pylist() == [
        "2024-01-02 03:04:50"
    ]


@settings(max_examples=60)
@given(st.lists(texts, min_size=1), st.lists(amounts, min_size=1), st.lists(names, min_size=1))
def test_text_is_read_as_ingest_reads_it(truths: list[str], counts: list[str], floats: list[float]) -> None:
    assert [None if np.isnan(v) else bool(v) for v in map(served.boolean, truths)] == as_ingest(truths, "boolean")
    assert [None if np.isnan(v) else v for v in map(served.number, counts)] == as_ingest(counts, "number")
    assert [served.category(v) or None for v in floats] == as_ingest(floats, "category")


def test_the_served_file_needs_nothing_of_ours() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    path = str(importlib.util.find_spec("components.release.served").origin)  # type: ignore[union-attr]
    done = subprocess.run([sys.executable, "-P", "-I", "-c", code, path], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.startswith("components")]
