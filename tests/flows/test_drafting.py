"""`init`, as a person calls it."""

from pathlib import Path

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
    assert place.call(*again, "--overwrite", "--model", "other").code == 0
    assert read(tmp_path / "recipes" / "mine.yaml").model == "other"
    assert place.call("init", "rows/people.csv", "--target", "lable", "--output", "x.yaml").refused(
        "did you mean 'label'?"
    )
    assert place.call("init", "rows/peple.csv", "--output", "x.yaml").refused("people.csv")
    assert place.call("init", "https://example.org/rows.csv").refused("elsewhere")
    assert not (tmp_path / "x.yaml").exists()


def test_init_names_the_columns_that_a_person_should_look_at(tmp_path: Path) -> None:
    rows = [f"r{i * 7};{i % 40},5 EUR;{i % 9};{('Ulm', 'ulm')[i % 2]};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id;price;n;town;y", *rows]) + "\n", "utf-8")
    told = Place(folder=tmp_path, home=tmp_path / "home").call("init", "t.csv", "--target", "y", "--output", "r.yaml")
    assert told.code == 0, told.err
    assert "id: ignore, names the row" in told.err
    assert "'10,5 EUR' aren't read as numbers" in told.err
    assert "town: category, 2 values; 'Ulm' and 'ulm' differ in capitals or spaces alone: write them alike" in told.err
    assert "  n: " not in told.err
