"""`init`, as a person calls it."""

from pathlib import Path

import numpy as np

from components.data.images import png
from components.recipe_file import read
from tests.flows.place import Place


def test_init_writes_a_recipe_that_reads_and_never_replaces_one_silently(both: Place, tmp_path: Path) -> None:
    place = Place(folder=tmp_path, home=tmp_path / "home")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "people.csv").write_bytes((both.folder / "people.csv").read_bytes())
    told = place.call("init", "rows/people.csv", "--target", "label", "--output", "recipes/mine.yaml")
    assert told.code == 0, told.err
    recipe = read(tmp_path / "recipes" / "mine.yaml")
    assert "source: ../rows/people.csv" in (tmp_path / "recipes" / "mine.yaml").read_text().replace('"', "")
    assert Path(recipe.data.source).resolve() == (tmp_path / "rows" / "people.csv").resolve()
    assert (recipe.data.target, recipe.data.columns["city"]) == ("label", "category")
    again = ("init", "rows/people.csv", "--target", "label", "--output", "recipes/mine.yaml")
    assert place.call(*again).refused("there already", "--overwrite")
    gone = [word.replace("people.csv", "peopel.csv") for word in again]
    assert place.call(*gone).refused("no such file or folder", "people.csv")
    assert place.call(*again, "--overwrite", "--model", "other").code == 0
    assert read(tmp_path / "recipes" / "mine.yaml").model == "other"
    assert place.call("init", "rows/people.csv", "--target", "lable", "--output", "x.yaml").refused(
        "did you mean 'label'?"
    )
    assert place.call("init", "rows/people.csv", "--target", "zzz", "--output", "x.yaml").refused(
        "allowed: age, city, smoker, income, label", "to do:   name one of these with --target"
    )
    assert place.call("init", "rows/peple.csv", "--output", "x.yaml").refused("people.csv")
    assert place.call("init", "https://example.org/rows.csv").refused("elsewhere")
    assert place.call(*again[:-1], "/proc/x.yaml").refused("can't be written")
    assert not (tmp_path / "x.yaml").exists()


def test_init_names_the_columns_that_a_person_should_look_at(tmp_path: Path) -> None:
    rows = [f"r{i * 7};{i % 40},5 EUR;{i % 9};{('Ulm', 'ulm')[i % 2]};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id;price;n;town;y", *rows]) + "\n", "utf-8")
    told = Place(folder=tmp_path, home=tmp_path / "home").call("init", "t.csv", "--target", "y", "--output", "r.yaml")
    assert told.code == 0, told.err
    assert "id: ignore, names the row" in told.err
    assert "'10,5 EUR' aren't read as numbers" in told.err
    assert (
        "town: category, 2 values; 'Ulm' and 'ulm' differ in capitals, spaces or decimals alone: write them alike"
        in told.err
    )
    assert "  n: " not in told.err


def test_decimal_commas_are_warned_of_together_where_nobody_overlooks_it(tmp_path: Path) -> None:
    rows = [f"{f'{i % 9},5' if i % 5 else 'NA'};{i % 7};{1000 + i},25;{i}.{i % 10};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["age;n;income;fine;y", *rows]) + "\n", "utf-8")
    place = Place(folder=tmp_path, home=tmp_path / "home")
    told = place.call("init", "t.csv", "--target", "y", "--output", "r.yaml")
    assert told.code == 0, told.err
    *_, before, warning, after, _ = told.err.splitlines()
    assert warning.startswith(
        "WARNING: decimal commas: age, income. Values such as '1,5' are read as text; if they are"
    )
    assert (before, after) == ("", "")
    assert f"# {warning}\n" in (tmp_path / "r.yaml").read_text("utf-8")
    assert place.call("init", "t.csv", "--target", "income", "--output", "s.yaml").refused("decimal comma", "such as")
    (tmp_path / "t.csv").write_text(
        "\n".join(["x;n;y", *(f"0,{250 + i};{i % 7};{'ab'[i % 2]}" for i in range(60))]) + "\n", "utf-8"
    )
    assert "WARNING" not in place.call("init", "t.csv", "--target", "y", "--output", "v.yaml").err
    assert read(tmp_path / "v.yaml").data.decimal == ",", "where no number has a point"
    whole = [f"{'3,5' if i == 7 else i % 9 + 1};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x;y", *whole]) + "\n", "utf-8")
    told = place.call("init", "t.csv", "--target", "y", "--output", "w.yaml").err
    assert "x: number" in (tmp_path / "w.yaml").read_text("utf-8"), "of which its own line says what is wrong"
    assert "WARNING" not in told
    thousands = [f'"{i % 9 + 1},000",{"ab"[i % 2]}' for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["pay,y", *thousands]) + "\n", "utf-8")
    assert "WARNING" not in place.call("init", "t.csv", "--target", "y", "--output", "u.yaml").err


def test_images_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    for label in ("x", "y"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(6):
            (tmp_path / "pictures" / label / f"{i}.png").write_bytes(png(np.full((8, 8), 9 * i, dtype=np.uint8)))
    place = Place(folder=tmp_path, home=tmp_path / "home")
    assert "WARNING" not in place.call("init", "pictures", "--output", "r.yaml").err
    (tmp_path / "pictures" / "y" / "2.png").write_text("no picture")
    told = place.call("init", "pictures", "--output", "s.yaml")
    assert told.code == 0, told.err
    assert "WARNING: 1 of 12 images can't be opened: y/2.png. Mend or remove them" in told.err


def test_torn_lines_are_warned_of_where_nobody_overlooks_it(tmp_path: Path) -> None:
    rows = [f"{i};{i % 7};{'ab'[i % 2]}" for i in range(60)]
    rows[8] += ";more"
    (tmp_path / "t.csv").write_text("\n".join(["x;n;y", *rows]) + "\n", "utf-8")
    told = Place(folder=tmp_path, home=tmp_path / "home").call("init", "t.csv", "--target", "y", "--output", "r.yaml")
    assert told.code == 0, told.err
    assert "WARNING: 1 of 60 rows can't be read: t.csv, row 9 (line 10): the line has 4 fields" in told.err
