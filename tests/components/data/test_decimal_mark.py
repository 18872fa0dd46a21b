"""Tables whose numbers have decimal commas: packed and refused as those with points are."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.config import ColumnKind, DataConfig
from components.data.kinds import to_number
from components.data.quarantine import quarantine_path
from components.errors import Refusal
from tests.components.data.tables import config, csv, packed, refusal

COLUMNS: dict[str, ColumnKind] = {"a": "number", "k": "category", "note": "ignore", "y": "number"}


def commas(columns: dict[str, ColumnKind] = COLUMNS, *, share: float | None = None) -> DataConfig:
    return replace(config(columns, share=share), decimal=",")


def table(folder: Path, delimiter: str = ";", **columns: Iterable[object]) -> Path:
    """A file of the columns; in double quotes is what would else be cut."""
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    lines = [columns, *zip(*texts.values(), strict=True)]
    cells = ([f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines)
    return csv(folder, "".join(f"{delimiter.join(line)}\n" for line in cells))


def comma(values: Iterable[object]) -> list[str]:
    return [str(value).replace(".", ",") for value in values]


@given(values=st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers())))
def test_numbers_with_commas_are_those_that_they_are_with_points(values: list[float | None]) -> None:
    texts = pa.array(["NA" if value is None else f" {value:+}" for value in values], pa.string())
    read = to_number(pa.array(comma(texts.to_pylist()), pa.string()), decimal=",")
    assert not read.bad.any()
    assert read.values.equals(to_number(texts).values)


@pytest.mark.parametrize("text", ["1.234", "1.234,5", "1,234,5", ",", "1.0", "1.5e3", "1,5 EUR", "inf"])
def test_what_might_be_another_number_is_none(text: str) -> None:
    read = to_number(pa.array([text, "7"]), decimal=",")
    assert (read.values.to_pylist(), read.bad.tolist()) == ([None, 7.0], [True, False])
    assert read.wanted == "a finite number with a decimal comma"


def test_bad_values_are_named_as_they_stand_in_the_file_and_only_numbers_are_read_anew(tmp_path: Path) -> None:
    text = "a;k;note;y\n1,5;1,5;1,5;0,25\n1.234;x;n;1\nNA;1.5;n;2e-1\n"
    given = commas(share=0.5)
    said = refusal(tmp_path, csv(tmp_path, text), commas())
    assert "t.csv, row 2 (line 3), column 'a': '1.234' is not a finite number with a decimal comma" in said
    assert said.count("finite number") == 1
    assert packed(tmp_path, csv(tmp_path, text), given).quarantined == 1
    (table,) = (pq.read_table(path) for path in (tmp_path / "packed").glob("*.parquet"))
    assert table.to_pydict() == {"a": [1.5, None], "k": ["1,5", "1.5"], "note": ["1,5", "n"], "y": [0.25, 0.2]}
    (aside,) = pq.read_table(quarantine_path(tmp_path / "packed")).to_pylist()
    assert json.loads(aside["raw"])["a"] == "1.234"


def test_a_mark_for_what_is_no_csv_file_is_refused(tmp_path: Path) -> None:
    columns: dict[str, ColumnKind] = {"a": "number", "y": "category"}
    packed(tmp_path, table(tmp_path, a=["1,5", "2"] * 2, y="ppqq"), commas(columns), "before")
    pq.write_table(pa.table({"a": ["1,5", "2"] * 2, "y": list("ppqq")}), tmp_path / "t.parquet")
    for source in (tmp_path / "before", tmp_path / "t.parquet"):
        with pytest.raises(Refusal, match=f"{source.name}: data.decimal ',' is for the numbers of a CSV file"):
            packed(tmp_path, source, commas(columns))
    assert packed(tmp_path, tmp_path / "before", config(columns)).rows == 4
