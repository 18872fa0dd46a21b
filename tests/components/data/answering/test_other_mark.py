"""Files whose numbers have the other decimal mark than the model's."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.answering.unlabelled import unlabelled
from components.data.config import ColumnKind, DecimalMark
from components.errors import Refusal

COLUMNS: dict[str, ColumnKind] = {"age": "number", "city": "category"}
COMMAS = "the file seems to have decimal commas, such as '3,5', and this model reads a decimal point: write its numbers"
POINTS = "the file seems to have decimal points, such as '3.5', and this model reads a decimal comma: write its numbers"


def told(folder: Path, ages: list[str], decimal: DecimalMark) -> str:
    path = folder / "rows.csv"
    path.write_text("age;city\n" + "".join(f"{age};1,5\n" for age in ages))
    with pytest.raises(Refusal) as caught:
        list(unlabelled(path, COLUMNS, target="label", known={}, decimal=decimal))
    return str(caught.value)


@pytest.mark.parametrize(
    ("ages", "decimal", "hint"),
    [
        (["3,5", "1,234", "7", ""], ".", COMMAS),
        (["1,234", "3,5"] * 50 + ["old"], ".", COMMAS),
        (["3.5", "1.234", "7", ""], ",", POINTS),
    ],
)
def test_the_other_mark_is_named(tmp_path: Path, ages: list[str], decimal: DecimalMark, hint: str) -> None:
    said = told(tmp_path, ages, decimal)
    assert f"to do:   {hint}" in said
    assert said.count("seems to have") == 1


@pytest.mark.parametrize(
    ("ages", "decimal"),
    [
        (["1,234", "12,000,000", "7"], "."),  # marks between thousands
        (["1.234", "7"], ","),
        (["3,5", "old", "young"], "."),
        (["1.234,5", "7"], "."),
    ],
)
def test_what_the_other_mark_would_not_explain_is_no_hint_of_it(
    tmp_path: Path, ages: list[str], decimal: DecimalMark
) -> None:
    assert "seems to have" not in told(tmp_path, ages, decimal)


@pytest.mark.parametrize(
    ("decimal", "hint"),
    [
        (".", "and this model reads a decimal point"),
        (",", "and text in a file that is no CSV is read by decimal points"),
    ],
)
def test_text_in_parquet_is_read_by_points_whatever_the_model_reads_in_csv(
    tmp_path: Path, decimal: DecimalMark, hint: str
) -> None:
    pq.write_table(pa.table({"age": ["3,5", "4,5"], "city": ["a", "b"]}), tmp_path / "rows.parquet")
    with pytest.raises(Refusal, match=f"decimal commas, such as '3,5', {hint}"):
        list(unlabelled(tmp_path / "rows.parquet", COLUMNS, target="label", known={}, decimal=decimal))
