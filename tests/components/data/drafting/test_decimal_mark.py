"""Tables whose numbers have decimal commas: looked at, packed and refused as those with points are."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import recipe_file
from components.data.config import ColumnKind, DataConfig
from components.data.drafting.draft import draft
from components.data.kinds import to_number
from components.data.packing.pack import pack
from components.data.packing.quarantine import quarantine_path
from components.errors import Refusal
from components.recipe import Recipe
from tests.components.data.tables import config, csv, packed, refusal

rng = np.random.default_rng(0)
LINE = '  decimal: ","  # numbers are written like 1234,5: one with a point in it is a bad value'
COLUMNS: dict[str, ColumnKind] = {"a": "number", "k": "category", "note": "ignore", "y": "number"}


def commas(columns: dict[str, ColumnKind] = COLUMNS, *, share: float | None = None) -> DataConfig:
    return replace(config(columns, share=share), decimal=",")


def table(folder: Path, delimiter: str = ";", **columns: Iterable[object]) -> Path:
    """A file of the columns; in double quotes is what would else be cut."""
    texts = {name: [str(value) for value in values] for name, values in columns.items()}
    lines = [columns, *zip(*texts.values(), strict=True)]
    cells = ([f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines)
    return csv(folder, "".join(f"{delimiter.join(line)}\n" for line in cells))


def drafted(source: Path, target: str) -> tuple[Recipe, str]:
    text = draft(source, target=target)
    return recipe_file.decode(text, source="draft", folder=source.parent), text


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


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_a_recipe_and_rows_are_those_of_the_same_file_with_points(tmp_path: Path, delimiter: str) -> None:
    """Mean, skewness, missing values, kinds, all that the recipe says of them."""
    plain = {
        "age": rng.integers(18, 80, 1200),
        "income": [f"{value:.2f}" if i % 9 else "NA" for i, value in enumerate(rng.lognormal(7, 3, 1200))],
        "share": rng.normal(size=1200).round(3),
        "town": rng.choice(["Ulm", "Bonn"], 1200),
        "rent": rng.lognormal(5, 2, 1200),
    }
    (tmp_path / "points").mkdir()
    points = table(tmp_path / "points", delimiter, **plain)
    source = table(tmp_path, delimiter, **{name: comma(values) for name, values in plain.items()})
    recipe, text = drafted(source, "rent")
    expected, same = drafted(points, "rent")
    assert LINE in text.splitlines()
    assert "decimal:" not in same
    assert (expected.prepare.numbers, expected.data.columns["income"]) == ("quantile", "number")
    assert "# The target has a long tail" in same
    assert text.replace(f"{LINE}\n", "") == same.replace(str(points), str(source))
    assert (recipe.task, recipe.data.decimal) == ("regression", ",")
    pack(recipe.data, tmp_path / "a", source=source)
    pack(expected.data, tmp_path / "b", source=points)
    assert (tmp_path / "a" / "part-00000.parquet").read_bytes() == (tmp_path / "b" / "part-00000.parquet").read_bytes()


def test_where_a_column_has_decimal_points_commas_are_warned_of(tmp_path: Path) -> None:
    for count in (1, 59):
        other = ["1.5"] * count + ["2"] * (60 - count)
        source = table(tmp_path, x=[f"{i % 31},5" for i in range(60)], z=other, y=["p", "q"] * 30)
        recipe, text = drafted(source, "y")
        assert recipe.data.decimal == "."
        assert "# WARNING: decimal commas: x. Values such as '10,5' are read as text; if they are numbers, " in text
        assert 'write them with a decimal point, then `init` again; or set data.decimal: ",", make these ' in text
        assert "make these number, and those with points (z) category or ignore" in text
        for kind in ("category", "ignore"):
            mended = text.replace("  target:", '  decimal: ","\n  target:').replace("  x: ignore", "  x: number")
            mended = mended.replace("  z: number", f"  z: {kind}")
            said = recipe_file.decode(mended, source="draft", folder=source.parent).data
            assert (said.decimal, dict(said.columns)) == (",", {"x": "number", "z": kind, "y": "category"})
            assert packed(tmp_path, source, said, f"{kind}{count}").rows == 60
    with pytest.raises(Refusal, match="with a decimal point, or the numbers of z without one"):
        draft(table(tmp_path, x=[f"{i},5" for i in range(60)], z=other, n=[7, 8, 9] * 20), target="x")
    mended = table(tmp_path, x=[f"{i},5" for i in range(60)], z=comma(other), n=[7, 8, 9] * 20)
    assert LINE in draft(mended, target="x").splitlines()


def test_a_point_among_decimal_commas_is_a_mistake_to_mend(tmp_path: Path) -> None:
    source = table(tmp_path, x=["1.5", *(f"{i},5" for i in range(59))], y=["p", "q"] * 30)
    recipe, text = drafted(source, "y")
    assert (recipe.data.decimal, recipe.data.columns["x"]) == (",", "number")
    assert "not every value is a number, such as '1.5': mend them" in text
    assert "column 'x': '1.5' is not a finite number" in refusal(tmp_path, source, recipe.data)


def test_points_between_thousands_are_warned_of_where_the_other_numbers_are_read(tmp_path: Path) -> None:
    pay = [f"{i + 1}.{i + 100},50" for i in range(60)]
    source = table(tmp_path, x=[f"{i % 31},5" for i in range(60)], pay=pay, y=["p", "q"] * 30)
    recipe, text = drafted(source, "y")
    assert (recipe.data.decimal, recipe.data.columns) == (",", {"x": "number", "pay": "ignore", "y": "category"})
    assert "# WARNING: decimal commas: pay. Values such as '10.109,50' are read as text" in text
    assert "write them without points between thousands, then `init` again" in text
    assert "write them like 1234,5: 60 different values" in text
    with pytest.raises(Refusal, match=r"the target's numbers(.|\n)*write them without points between thousands"):
        draft(source, target="pay")


@pytest.mark.parametrize("values", [[f"{i % 9 + 1},000" for i in range(60)], ["3,5", *map(str, range(59))]])
def test_a_few_commas_or_those_between_thousands_make_no_decimal_mark(tmp_path: Path, values: list[str]) -> None:
    recipe, _ = drafted(table(tmp_path, ";", x=values, n=[7, 8, 9] * 20, y=["p", "q"] * 30), "y")
    assert recipe.data.decimal == "."


def test_a_torn_last_line_hides_no_mark(tmp_path: Path) -> None:
    source = table(tmp_path, x=[f"{i % 31},5" for i in range(60)], n=[7, 8, 9] * 20, k=["p", "q"] * 30)
    source.write_text(f"{source.read_text()}Summe;12\n")
    _, text = drafted(source, "k")
    assert LINE in text.splitlines()
    assert "1 of 61 rows can't be read" in text


def test_numbers_that_neither_mark_reads_make_none_the_file_s(tmp_path: Path) -> None:
    """All commas stand behind points between thousands: the whole numbers are read by either mark."""
    source = table(tmp_path, pay=[f"{i % 9 + 1}.100,50" for i in range(60)], n=[7, 8, 9] * 20, y=["p", "q"] * 30)
    recipe, text = drafted(source, "y")
    assert recipe.data.decimal == "."
    assert "if they are numbers, write them with a decimal point, then `init` again\n" in text
