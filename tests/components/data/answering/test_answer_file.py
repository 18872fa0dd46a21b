"""Answers are there when they are whole."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from components.data.answering.answer_file import AnswerFile
from components.errors import Refusal

ROWS = pa.table({"prediction": ['yes, "no"', "no"], "probability_yes": [0.1 + 0.2, 1e-17]})


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_tables_written_one_after_another_come_back_whole(tmp_path: Path, name: str) -> None:
    with AnswerFile(tmp_path / name) as answers:
        answers.write(ROWS)
        answers.write(ROWS)
    assert answers.rows == 4
    read = pq.read_table if name.endswith("parquet") else arrow_csv.read_csv
    assert read(tmp_path / name).equals(pa.concat_tables([ROWS, ROWS]))


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    with AnswerFile(tmp_path / name) as answers:
        answers.write(ROWS)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ZeroDivisionError), AnswerFile(tmp_path / name) as answers:
        answers.write(ROWS)
        answers.write(pa.table({"x": [1 // 0]}))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_earlier_answers_and_empty_files_are_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    for table in (ROWS, ROWS.slice(1)):
        with AnswerFile(tmp_path / name) as answers:
            answers.write(table)
    read = pq.read_table if name.endswith("parquet") else arrow_csv.read_csv
    assert read(tmp_path / name).equals(ROWS.slice(1))


def test_answers_that_a_spreadsheet_saved_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("\ufeffid;prediction\n1;no\n", encoding="utf-8")
    with AnswerFile(tmp_path / "out.csv") as answers:
        answers.write(ROWS)
    assert answers.rows == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rents.csv", b"rooms,rent\n1,2\n"),
        ("rents.csv", b"rooms,rent\n1,prediction\n"),
        ("rents.csv", "größe,prediction\n1,2\n".encode("latin-1")),
        ("rents.csv", b"\n\n"),
        ("rents.pq", b"prediction\n1\n"),
        ("rents.parquet", None),
    ],
)
def test_a_file_of_anything_else_is_never_replaced(tmp_path: Path, name: str, text: bytes | None) -> None:
    file = tmp_path / name
    if text is None:
        pq.write_table(pa.table({"rooms": [1], "rent": [2]}), file)
    else:
        file.write_bytes(text)
    before = file.read_bytes()
    with pytest.raises(Refusal, match=rf"{name}: there is a file already(.|\n)*another file with --output, or remove"):
        AnswerFile(file)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, before)]


def test_places_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for name, words in {"out.xlsx": ".csv, .parquet", "no/out.csv": "no folder", "x.csv": "this is a folder"}.items():
        (tmp_path / "x.csv").mkdir(exist_ok=True)
        with pytest.raises(Refusal, match=words.replace(".", r"\.")):
            AnswerFile(tmp_path / name)


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_answer() -> None:
    with pytest.raises(Refusal, match="can't be written"), AnswerFile(Path("/proc/out.csv")):
        raise AssertionError
