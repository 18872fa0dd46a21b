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
    (tmp_path / name).write_text("before")
    with pytest.raises(ZeroDivisionError), AnswerFile(tmp_path / name) as answers:
        answers.write(ROWS)
        answers.write(pa.table({"x": [1 // 0]}))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_places_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for name, words in {"out.xlsx": ".csv, .parquet", "no/out.csv": "no folder", "x.csv": "this is a folder"}.items():
        (tmp_path / "x.csv").mkdir(exist_ok=True)
        with pytest.raises(Refusal, match=words.replace(".", r"\.")):
            AnswerFile(tmp_path / name)


def test_a_folder_that_cannot_be_written_to_is_refused_before_any_answer() -> None:
    with pytest.raises(Refusal, match="can't be written"), AnswerFile(Path("/proc/out.csv")):
        raise AssertionError
