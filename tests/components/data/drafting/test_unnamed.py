"""Columns that may say whom rows are of, though their names don't: told of, and kept quiet about where it is chance."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.data.drafting import unnamed as room
from components.data.drafting.draft import draft
from components.data.drafting.survey import survey
from components.data.drafting.unnamed import unnamed_subjects
from components.data.sources.csv_file import CsvFile

ROWS = 4000
WHOSE = np.random.default_rng(0).integers(0, 200, ROWS)  # 20 rows each
rng = np.random.default_rng(1)
OF_EACH = rng.integers(0, 2, 200)  # an answer


def table(folder: Path, **columns: object) -> Path:
    pd.DataFrame({"x": rng.normal(size=ROWS), **columns}).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def found(path: Path, target: str = "ill") -> dict[str, int]:
    source = CsvFile(path)
    return {one.column: one.count for one in unnamed_subjects(source, survey(source), target)}


@pytest.mark.parametrize("form", ["P{:03}", "{}", "{:05}"])
def test_a_column_within_whose_values_rows_have_the_same_answer_is_found(tmp_path: Path, form: str) -> None:
    patients = [form.format(one) for one in WHOSE]
    assert found(table(tmp_path, patient=patients, ill=OF_EACH[WHOSE])) == {"patient": 200}
    mostly = np.where(rng.random(ROWS) < 0.02, 1 - OF_EACH[WHOSE], OF_EACH[WHOSE])
    assert found(table(tmp_path, patient=patients, ill=mostly)) == {"patient": 200}


def test_words_that_say_that_there_is_no_value_are_no_subject_whose_rows_disagree(tmp_path: Path) -> None:
    words = ["N/A", "?", "None", "na", "NULL", "NaN"]
    patients = [words[i % 6] if i % 2 else f"P{one}" for i, one in enumerate(WHOSE)]
    answers = np.where(np.arange(ROWS) % 2, rng.integers(0, 2, ROWS), OF_EACH[WHOSE])
    assert found(table(tmp_path, patient=patients, ill=answers)) == {"patient": 200}


def test_a_number_that_each_has_is_an_answer_too(tmp_path: Path) -> None:
    heights = rng.normal(170, 9, 200).round(2)
    assert found(table(tmp_path, patient=WHOSE, height=heights[WHOSE]), "height") == {"patient": 200}


ordinary = {
    "values without an answer of their own": {"n": WHOSE, "ill": rng.integers(0, 2, ROWS)},
    "answers that are rare": {"n": WHOSE, "ill": rng.random(ROWS) < 0.02},
    "answers that are rare, and texts of which one comes often": {
        "n": [f"text {i}" if i % 20 else "all is well" for i in range(ROWS)],
        "ill": rng.random(ROWS) < 0.03,
    },
    "few rows whose answers are rare": {
        "n": np.where(np.arange(ROWS) < 400, WHOSE, np.nan),
        "ill": np.arange(ROWS) % 50 == 0,
    },
    "rows that agree since nearly all do": {
        "n": [f"c{i // 2}" if i < 400 else "" for i in range(ROWS)],
        "ill": np.arange(ROWS) < 2,
    },
    "a category of few values that decides": {"n": [f"c{one % 12}" for one in WHOSE], "ill": WHOSE % 12 % 2},
    "a quantity whose size decides": {"n": WHOSE, "ill": WHOSE > 100},
    "a quantity of which the answer is made": {"n": WHOSE, "ill": WHOSE**2 + 0.5},
    "a category that says much": {
        "n": [f"c{one}" for one in WHOSE],
        "ill": np.where(rng.random(ROWS) < 0.1, 1 - OF_EACH[WHOSE], OF_EACH[WHOSE]),
    },
    "a different value in each row": {"n": [f"r{i}" for i in range(ROWS)], "ill": np.arange(ROWS) % 2},
    "numbers that aren't whole": {"n": WHOSE + 0.5, "ill": OF_EACH[WHOSE]},
    "dates": {"n": pd.Timestamp("2024-01-01") + pd.to_timedelta(WHOSE, "D"), "ill": OF_EACH[WHOSE]},
}


@pytest.mark.parametrize("name", ordinary)
def test_nothing_is_said_of(tmp_path: Path, name: str) -> None:
    assert found(table(tmp_path, **ordinary[name])) == {}


def test_what_is_remembered_is_bounded_however_many_columns_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REMEMBERED", 100)
    path = table(tmp_path, patient=WHOSE, ward=[f"w{one // 2}" for one in WHOSE], ill=OF_EACH[WHOSE // 2 * 2])
    assert found(path) == {"patient": 50, "ward": 50}


def test_a_column_is_given_up_as_soon_as_its_rows_disagree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    add = room.Tally.add
    monkeypatch.setattr(
        room.Tally, "add", lambda one, values, given: (seen.append(len(values)), add(one, values, given))[1]
    )
    assert found(table(tmp_path, n=WHOSE, ill=rng.integers(0, 2, ROWS))) == {}
    assert sum(seen) == room.PIECE


def test_a_person_is_told_beside_the_column_and_in_the_first_lines_and_nothing_is_changed(tmp_path: Path) -> None:
    answers = OF_EACH[WHOSE // 4 * 4]
    path = table(tmp_path, patient=WHOSE * 37 % 200, ward=[f"w{one // 4}" for one in WHOSE], ill=answers)
    text = draft(path, target="ill")
    assert "    patient: number  # 100% of the rows of one value have the same 'ill': see the WARNING above\n" in text
    assert "    ward: category  # 50 values; 100% of the rows of one value have the same 'ill': see" in text
    said = "# WARNING: 100% of the rows of one 'ward' have the same 'ill' (so it is with 'patient' too). If they are of"
    assert said in text
    assert "write `method: hash` and `group: ward` under split" in text
    assert "\n  group:" not in text


def test_where_rows_are_kept_together_already_no_other_column_is_told_of(tmp_path: Path) -> None:
    text = draft(table(tmp_path, patient_id=WHOSE, patient=WHOSE, ill=OF_EACH[WHOSE]), target="ill")
    assert "\n  group: patient_id" in text
    assert "of one value have the same" not in text
