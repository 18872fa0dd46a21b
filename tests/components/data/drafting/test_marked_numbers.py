"""Tables as spreadsheets export them: numbers that are text, and columns of nothing."""

from pathlib import Path

import pytest

from components.data.drafting.draft import draft
from components.errors import Refusal
from tests.components.data.tables import csv


def sales(folder: Path, values: list[str]) -> Path:
    lines = [f'{i * 37 % 101 / 4},"{value}"\n' for i, value in enumerate(values)]
    return csv(folder, "size,Revenue ($)\n" + "".join(lines), name="sales.csv")


@pytest.mark.parametrize(
    "form",
    ["${:,.2f}", "{:,.2f}", "$ {:,.2f}", "-${:,.2f}", "(${:,.2f})", "{:,.0f}", "{:,.2f} USD", "{:.1f}%", "{:.1f} %"],
)
def test_a_target_of_numbers_that_are_text_says_how_to_write_them(tmp_path: Path, form: str) -> None:
    source = sales(tmp_path, [form.format(10_000 + i * 17.77) for i in range(300)] + ["N/A"])
    with pytest.raises(Refusal) as told:
        draft(source, target="Revenue ($)")
    said = str(told.value)
    assert "sales.csv, column 'Revenue ($)': the target's numbers, written as '" in said
    assert "aren't read as numbers: they are text" in said
    assert "write them like 1234.5: no currency" in said
    assert "classes" not in said


def test_such_numbers_that_are_taken_for_classes_are_told(tmp_path: Path) -> None:
    text = draft(sales(tmp_path, [f"${10_000 + i % 90:,}.50" for i in range(300)]), target="Revenue ($)")
    assert "numbers written as '$10,000.50' aren't read as numbers: write them like 1234.5" in text


@pytest.mark.parametrize("values", [[f"a text {i}" for i in range(300)], [f"A-{i}" for i in range(300)]])
def test_other_targets_are_no_classes(tmp_path: Path, values: list[str]) -> None:
    with pytest.raises(Refusal, match="these are no classes"):
        draft(sales(tmp_path, values), target="Revenue ($)")


@pytest.mark.parametrize(
    ("names", "do"),
    [
        ("a,b,y,,,", "remove the delimiters at the ends of the lines, or name them"),
        (",a,b,y,,", "name all but one"),
    ],
)
def test_columns_without_a_name_are_counted(tmp_path: Path, names: str, do: str) -> None:
    source = csv(tmp_path, names + "\n" + "1,2,3,4,5,6\n" * 9, name="sales.csv")
    with pytest.raises(Refusal) as told:
        draft(source, target="y")
    assert str(told.value) == f"sales.csv: 3 columns have no name\n  to do:   {do}"
