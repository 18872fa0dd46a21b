"""`predict`: rows of a file in, a file of answers out."""

import csv
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)


HOUSES = """\
model: houses
task: regression
data: {source: houses.csv, target: price, columns: {rooms: number, price: number}}
network: {family: mlp, width: 8, depth: 1}
train: {epochs: 2}
evaluate: {resamples: 100}
profile: {rounds: 10}
"""


def answers(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_csv_with_strings_and_missing_values_is_answered_row_by_row(both: Place, tmp_path: Path) -> None:
    told = both.call("predict", "people", "people.csv", "--output", str(tmp_path / "out.csv"))
    assert told.code == 0, told.err
    found = answers(tmp_path / "out.csv")
    assert len(found) == 200
    assert list(found[0]) == ["prediction", "probability_buys", "probability_passes"]
    true = [row["label"] for row in answers(both.folder / "people.csv")]
    right = sum(one["prediction"] == label for one, label in zip(found, true, strict=True))
    assert right / len(true) > 0.6  # the rows' order is the file's, or this would be chance
    assert "wrote 200 answers" in told.err
    assert "in place of the answers that were there" not in told.err
    again = both.call("predict", "people", "people.csv", "--output", str(tmp_path / "out.csv"))
    assert "in place of the answers that were there" in again.err


@pytest.mark.slow
def test_answers_beyond_all_prices_of_training_are_told(place: Place, tmp_path: Path) -> None:
    """A line that goes on: rooms that no house of training had cost more than any of them."""
    lines = [f"{rooms},{100 * rooms + rooms % 3}" for rooms in range(1, 201)]
    (tmp_path / "houses.csv").write_text("\n".join(["rooms,price", *lines]))
    (tmp_path / "more.csv").write_text("rooms\n50\n380\n390\n")
    (tmp_path / "houses.yaml").write_text(HOUSES)
    assert place.call("run", str(tmp_path / "houses.yaml"), "--json").json["decision"]["promoted"]
    told = place.call("predict", "houses", str(tmp_path / "more.csv"), "--output", str(tmp_path / "out.csv"))
    assert "2 answers lie beyond what 'price' was in training (about 0 to 21000), the farthest is 3" in told.err


@pytest.mark.slow
def test_a_champion_of_decimal_commas_reads_them_in_other_files(place: Place, tmp_path: Path) -> None:
    lines = [f"{rooms},5;{100 * rooms + rooms % 3},25" for rooms in range(1, 201)]
    (tmp_path / "houses.csv").write_text("\n".join(["rooms;price", *lines]))
    (tmp_path / "houses.yaml").write_text(HOUSES.replace("target: price", 'decimal: ",", target: price'))
    assert place.call("run", str(tmp_path / "houses.yaml"), "--json").json["decision"]["promoted"]
    answered = []
    for name, text in (("whole.csv", "rooms\n20\n40\n"), ("commas.csv", "rooms;id\n20,0;a\n40,00;b\n")):
        (tmp_path / name).write_text(text)
        told = place.call("predict", "houses", str(tmp_path / name), "--output", str(tmp_path / "out.csv"))
        assert told.code == 0, told.err
        answered.append(answers(tmp_path / "out.csv"))
    assert answered[0] == answered[1]
    (tmp_path / "points.csv").write_text("rooms\n20\n40.5\n")
    told = place.call("predict", "houses", str(tmp_path / "points.csv"), "--output", str(tmp_path / "out.csv"))
    assert told.refused("points.csv, row 2 (line 3), column 'rooms': '40.5' is not a finite number with a decimal")


def test_parquet_in_and_out_gives_what_csv_gives(both: Place, tmp_path: Path) -> None:
    both.call("predict", "people", "people.csv", "--output", str(tmp_path / "a.csv"))
    frame = pd.read_csv(both.folder / "people.csv", keep_default_na=False, na_values=[""])
    frame.assign(smoker=frame.smoker.map({"yes": True, "no": False})).drop(columns="label").to_parquet(
        tmp_path / "rows.parquet"
    )
    told = both.call("predict", "people", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "b.parquet"))
    assert told.code == 0, told.err
    expected = answers(tmp_path / "a.csv")
    found = pq.read_table(tmp_path / "b.parquet").to_pylist()
    assert [one["prediction"] for one in found] == [one["prediction"] for one in expected]
    shares = [float(one["probability_buys"]) for one in expected]
    assert [one["probability_buys"] for one in found] == pytest.approx(shares, abs=1e-9)


def test_an_earlier_version_can_be_asked(both: Place, tmp_path: Path) -> None:
    both.call("predict", "people", "people.csv", "--output", str(tmp_path / "new.csv"))
    both.call("predict", "people", "people.csv", "--version", "1", "--output", str(tmp_path / "old.csv"))
    assert answers(tmp_path / "new.csv") != answers(tmp_path / "old.csv")


def test_missing_columns_and_bad_cells_are_all_named_and_nothing_is_written(both: Place, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("agee,smoker,income\n3,yes,1\n")
    out = ("--output", str(tmp_path / "out.csv"))
    told = both.call("predict", "people", str(rows), *out)
    assert told.refused("rows.csv: the columns 'age', 'city' are missing", "for 'age', did you mean 'agee'?")
    rows.write_text("age,city,smoker,income\n3,Rome,yes,1\nold,Rome,perhaps,1\n4,Rome,no,1,1\n")
    told = both.call("predict", "people", str(rows), *out)
    assert told.refused("row 2 (line 3), column 'age'", "'perhaps' is not a boolean", "has 5 fields")
    rows.write_text("age,city,smoker,income\n")
    assert both.call("predict", "people", str(rows), *out).refused("no rows")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_places_that_cannot_be_are_refused(both: Place, tmp_path: Path) -> None:
    assert both.call("predict", "people", "poeple.csv").refused("poeple.csv", "did you mean 'people.csv'?")
    assert both.call("predict", "people", "people.csv", "--output", "out.xlsx").refused("out.xlsx", ".csv, .parquet")
    assert both.call("predict", "people", "people.csv", "--output", "people.csv").refused("would replace the rows")
    (tmp_path / "rents.csv").write_text("rooms,rent\n1,2\n")
    told = both.call("predict", "people", "people.csv", "--output", str(tmp_path / "rents.csv"))
    assert told.refused("rents.csv: there is a file already", "name another file with --output, or remove this one")
    assert (tmp_path / "rents.csv").read_text() == "rooms,rent\n1,2\n"
    nowhere = str(tmp_path / "nowhere" / "out.csv")
    assert both.call("predict", "people", "people.csv", "--output", nowhere).refused("no folder")
    assert both.call("predict", "people", "recipe.yaml", "--output", str(tmp_path / "o.csv")).refused(
        "this kind of file"
    )


def test_a_model_of_tables_refuses_images(both: Place, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"")
    told = both.call("predict", "people", str(tmp_path / "pictures"), "--output", str(tmp_path / "o.csv"))
    assert told.refused("was given images", "age, city, smoker, income")


def test_a_column_is_carried_along_and_what_is_strange_is_said(both: Place, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,age,city,smoker,income,note,\n007,3,Rome,yes,1,a,1\n008,,Ulm,no,,b,2\n009,5,Lima,,2,c,3\n")
    told = both.call("predict", "people", str(rows), "--keep", "id", "--output", str(tmp_path / "out.csv"))
    assert told.code == 0, told.err
    found = answers(tmp_path / "out.csv")
    assert list(found[0]) == ["id", "prediction", "probability_buys", "probability_passes"]
    assert [row["id"] for row in found] == ["007", "008", "009"]
    assert told.err.count("ignored, since the model doesn't take them: note, a column without a name\n") == 1
    assert "column 'city': 1 row has a category that the model doesn't know, such as 'Ulm'" in told.err
    assert "column 'income': 1 row has no value, which no train row lacked" in told.err
    assert "column 'age'" not in told.err, "train rows lacked it too"
    rows.write_text("prediction,age,city,smoker,income\n1,3,Rome,yes,1\n")
    again = both.call("predict", "people", str(rows), "--keep", "prediction", "--output", str(tmp_path / "b.csv"))
    assert again.refused("--keep: the answers have a column 'prediction' of their own")
    assert not (tmp_path / "b.csv").exists()
