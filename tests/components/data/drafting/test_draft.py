from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components import recipe_file
from components.data.drafting.draft import draft
from components.data.images import png
from components.data.packing.pack import pack
from components.data.shipped import SHIPPED, build
from components.errors import Refusal
from components.gate.config import GateConfig
from components.recipe import Recipe
from tests.components.data.tables import csv, packed, rows

rng = np.random.default_rng(0)


def drafted(source: Path, **options: str | None) -> tuple[Recipe, str]:
    text = draft(source, **options)
    return recipe_file.decode(text, source="draft", folder=source.parent), text


def table(folder: Path, count: int = 300, **columns: object) -> Path:
    frame = pd.DataFrame(
        {
            "id": [f"r{i * 7 % 1000}" for i in range(count)],
            "": range(count),
            "age": rng.integers(0, 90, count),
            "price: EUR": rng.lognormal(0, 3, count),
            "zip": [f"{i % 9:05d}" for i in range(count)],
            "day": [f"2024-01-{i % 28 + 1:02d}" for i in range(count)],
            "same": 1,
            "note": [f"a text {i}" for i in range(count)],
            "no": rng.choice(["yes", "No"], count),
            "empty": None,
            "y": rng.choice([0, 1], count),
            **columns,
        }
    )
    frame.to_csv(folder / "my table.csv", index=False)
    return folder / "my table.csv"


def test_each_column_of_a_table_gets_the_kind_that_its_values_suggest(tmp_path: Path) -> None:
    recipe, text = drafted(table(tmp_path), target="y")
    assert recipe.data.columns == {
        "id": "ignore",
        "": "ignore",
        "age": "number",
        "price: EUR": "number",
        "zip": "category",
        "day": "ignore",
        "same": "ignore",
        "note": "ignore",
        "no": "boolean",
        "empty": "ignore",
        "y": "category",
    }
    assert (recipe.task, recipe.network.family, recipe.model) == ("classification", "mlp", "my-table")
    for why in ("a different value in each", "dates: of use", "always the same value", "free text", "always missing"):
        assert why in text
    pack(recipe.data, tmp_path / "packed", source=Path(recipe.data.source))


def test_a_target_of_many_numbers_makes_a_regression(tmp_path: Path) -> None:
    recipe, text = drafted(table(tmp_path), target="price: EUR", model="prices")
    assert (recipe.task, recipe.data.columns["price: EUR"], recipe.model) == ("regression", "number", "prices")
    assert "# floor: " in text
    assert drafted(table(tmp_path), target="age")[0].task == "regression"


def test_long_tails_ask_for_quantiles_and_small_classes_for_strata(tmp_path: Path) -> None:
    recipe, _ = drafted(table(tmp_path, 2000), target="y")
    assert (recipe.prepare.numbers, recipe.split.method) == ("quantile", "hash")
    for few, method in ((50, "stratified"), (499, "stratified"), (500, "hash")):
        even = {"price: EUR": rng.normal(size=2000), "y": ["few"] * few + ["many"] * (2000 - few)}
        recipe, text = drafted(table(tmp_path, 2000, **even), target="y")
        assert (recipe.prepare.numbers, recipe.split.method) == ("standard", method)
        said = (
            f"gets its share of every class: the smallest has {few} rows, too few to leave that to chance, as hash does"
        )
        assert (said in text) == (method == "stratified")
        assert ("# group: a column with method: hash;" in text) == (method == "stratified")


def test_a_target_with_a_long_tail_asks_for_another_metric(tmp_path: Path) -> None:
    for values, asked in ((rng.normal(size=300), False), (rng.lognormal(0, 3, 300), True)):
        _, text = drafted(table(tmp_path, y=values), target="y")
        assert ("# metric: mae" in text) == asked
        assert ("of the target's standard deviation; with metric: mae, a MAE" in text) == asked


def test_where_one_class_is_almost_every_row_accuracy_is_not_what_is_judged(tmp_path: Path) -> None:
    for rare, metric in ((24, "roc_auc"), (60, "accuracy")):
        kinds = ["yes"] * rare + ["no"] * (300 - rare)
        recipe, text = drafted(table(tmp_path, y=kinds), target="y")
        assert recipe.judged_by == metric
        assert ("92% of the rows are 'no'" in text) == (metric == "roc_auc")
        assert "class_weights: balanced" in text
    assert "# floor: 0.90  # least test accuracy; a model that always says 'no' has 0.80" in text
    assert "# compression may cost one point of accuracy (0.90 to 0.89) on validation; of another metric" in text


def test_where_another_metric_is_advised_each_number_says_of_which_metric_it_is(tmp_path: Path) -> None:
    _, text = drafted(table(tmp_path, y=["no"] * 240 + ["yes"] * 40 + ["perhaps"] * 20), target="y")
    assert "# metric: balanced_accuracy" in text
    assert "# floor: 0.90  # least test accuracy; a model that always says 'no' has 0.80" in text
    always = "a model that always gives the same answer has a balanced accuracy of 0.33"
    assert f"# or, with metric: balanced_accuracy, floor: 0.67  # {always}" in text
    assert "max_loss: 0.01  # compression may cost one point of accuracy (0.90 to 0.89) on validation; " in text
    assert "of another metric as much in its unit, such as 0.01 nats of log_loss" in text
    assert "margin: 0.01  # a later release must be shown to lose less than one point of accuracy (0.90 to" in text
    _, even = drafted(table(tmp_path), target="y")
    assert "balanced_accuracy" not in even


def test_the_limit_on_what_a_class_may_lose_is_shown_where_there_are_classes(tmp_path: Path) -> None:
    limit = f"  # class_margin: {GateConfig().class_margin}  # "
    assert limit in drafted(table(tmp_path), target="y")[1]
    assert limit not in drafted(table(tmp_path), target="price: EUR")[1]


def test_the_share_to_set_aside_holds_what_was_seen_to_be_wrong(tmp_path: Path) -> None:
    wrong = {"age": [*range(280), *["?"] * 10, *["old"] * 10], "y": ["a", "b"] * 148 + [None] * 4}
    recipe, text = drafted(table(tmp_path, **wrong), target="y")
    (line,) = (line for line in text.splitlines() if line.startswith("  bad_rows"))
    assert line.endswith("quarantine_share: 0.06 (at most 14 of 300 rows were seen to be wrong)")
    config = replace(recipe.data, bad_rows="quarantine", quarantine_share=0.06)
    assert pack(config, tmp_path / "packed", source=Path(config.source)).rows == 290  # 4 rows are wrong twice


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ([f"{i}.234,{i % 90 + 10} EUR" for i in range(300)], "numbers written as '100.234,20 EUR' aren't read"),
        ([f"{i % 40},5" for i in range(300)], "numbers written as '10,5' aren't read as numbers: write them like"),
        ([f"${i % 40},000" for i in range(300)], "'$10,000'"),
        ([f"A{i % 40}" for i in range(300)], None),
        ([f"{i % 40:03}" for i in range(300)], None),
    ],
)
def test_numbers_with_a_unit_or_a_decimal_comma_are_not_passed_over_in_silence(
    tmp_path: Path, values: list[str], remark: str | None
) -> None:
    _, text = drafted(table(tmp_path, price=values), target="y")
    (line,) = (line for line in text.splitlines() if line.startswith("    price:"))
    assert (remark or "values") in line
    assert ("written as" in line) == (remark is not None)


def test_one_word_among_many_numbers_is_a_mistake_and_not_a_category(tmp_path: Path) -> None:
    recipe, text = drafted(table(tmp_path, **{"age": [*range(299), "unknown"]}), target="y")
    assert recipe.data.columns["age"] == "number"
    assert "not every value is a number, such as 'unknown'" in text


def test_numbers_are_seen_as_such_however_many_rows_come_at_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": rng.normal(size=21_000), "b": rng.choice([0.5, 2.0], 21_000), "y": range(21_000)})
    frame["y"] %= 7
    frame.to_csv(tmp_path / "t.csv", index=False)
    recipe, _ = drafted(tmp_path / "t.csv", target="y")
    assert recipe.data.columns == {"a": "number", "b": "number", "y": "category"}


def test_without_a_target_the_columns_are_listed(tmp_path: Path) -> None:
    source = csv(tmp_path, rows(30))
    with pytest.raises(Refusal, match=r"which column is the target\?(.|\n)*a, k, b, note, y"):
        draft(source)
    with pytest.raises(Refusal, match=r"there is no column 'yy'(.|\n)*did you mean 'y'"):
        draft(source, target="yy")


@pytest.mark.parametrize(
    ("text", "said"),
    [("a,y\n", "t.csv: there are no rows"), ("a,b,a,y\n1,2,3,p\n", "t.csv: several columns are named a")],
)
def test_a_table_that_no_recipe_could_read_gets_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        draft(csv(tmp_path, text), target="y")


def test_targets_that_nothing_can_be_learned_of_are_refused(tmp_path: Path) -> None:
    source = table(tmp_path)
    for target, said in (("note", "these are no classes"), ("same", "fewer than two values")):
        with pytest.raises(Refusal, match=said):
            draft(source, target=target)
    with pytest.raises(Refusal, match="no column looks like something to learn from"):
        draft(csv(tmp_path, "id,y\n" + "".join(f"{i},{'pq'[i % 2]}\n" for i in range(30))), target="y")


@pytest.mark.parametrize(
    ("shapes", "family", "size"),
    [([(8, 8)], "cnn", None), ([(8, 8), (10, 12)], "cnn", (10, 12)), ([(128, 96)], "resnet", (64, 48))],
)
def test_images_get_a_network_and_a_size_that_fit(
    tmp_path: Path, shapes: list[tuple[int, int]], family: str, size: tuple[int, int] | None
) -> None:
    for label in ("x", "y"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(6):
            data = png(rng.integers(0, 256, shapes[i % len(shapes)], dtype=np.uint8))
            (tmp_path / "images" / label / f"{i}.png").write_bytes(data)
    recipe, _ = drafted(tmp_path / "images")
    assert recipe.data.columns == {"image": "image", "label": "category"}
    assert (recipe.network.family, recipe.prepare.image_size) == (family, size)


def test_npz_and_packed_sets_know_their_target(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=rng.normal(size=(60, 2)), y=np.arange(60) % 3)
    assert drafted(tmp_path / "t.npz")[0].data.columns == {"x0": "number", "x1": "number", "y": "category"}
    packed(tmp_path, csv(tmp_path, rows(30)))
    recipe, _ = drafted(tmp_path / "packed")
    assert (recipe.data.target, recipe.data.columns["note"]) == ("y", "ignore")


def test_the_source_is_written_as_the_caller_says(tmp_path: Path) -> None:
    assert 'source: "../t.csv"' in draft(csv(tmp_path, rows(30)), target="y", written_as="../t.csv")


@pytest.mark.parametrize(
    ("name", "count"), [("digits", 1797), ("breast_cancer", 569), ("diabetes", 442), ("mnist5k", 5000)]
)
def test_shipped_data_sets_are_built_with_their_origin(tmp_path: Path, name: str, count: int) -> None:
    card = build(name, tmp_path / name)
    assert (card.rows, card.target) == (count, SHIPPED[name].target)
    assert card.licence
    assert card.source
    assert drafted(tmp_path / name)[0].data.columns == SHIPPED[name].columns


def test_digits_keep_their_seventeen_levels(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    from components.data.load import load

    build("digits", tmp_path / "digits")
    pixels = load(tmp_path / "digits", None, {"image": "image"})["image"]
    assert np.array_equal(np.rint(pixels[:, :, :, 0] / 255.0 * 16), load_digits().images)


@pytest.mark.parametrize("name", ["größe 2024", "_x_", "-", "a" * 150, "2024.v1", "数据"])
def test_the_model_is_named_after_its_source_as_a_recipe_allows(tmp_path: Path, name: str) -> None:
    source = csv(tmp_path, rows(30)).rename(tmp_path / f"{name}.csv")
    recipe, _ = drafted(source, target="y")
    assert recipe.model == draft_name(name)


def draft_name(stem: str) -> str:
    named = {"größe 2024": "gr--e-2024", "_x_": "x", "2024.v1": "2024-v1", "a" * 150: "a" * 100}
    return named.get(stem, "model")


def test_texts_for_no_value_do_not_hide_a_column_of_numbers(tmp_path: Path) -> None:
    """As R writes them."""
    columns = {
        "real": [f"{i / 7:.4f}" if i % 10 else "NA" for i in range(300)],
        "few": [*map(str, range(297)), *["?"] * 3],
    }
    recipe, text = drafted(table(tmp_path, **columns), target="y")
    assert (recipe.data.columns["real"], recipe.data.columns["few"]) == ("number", "number")
    assert "real: number  # missing in 30 of 300 rows" in text
    assert "were seen to be wrong" not in text
    assert pack(recipe.data, tmp_path / "packed", source=Path(recipe.data.source)).rows == 300


def test_a_group_is_offered_where_an_identifier_comes_again_and_again(tmp_path: Path) -> None:
    machines = {"machine_id": [f"m{i % 9}" for i in range(300)], "maker": [f"m{i % 9}" for i in range(300)]}
    recipe, text = drafted(table(tmp_path, **machines), target="y")
    assert recipe.data.columns["machine_id"] == recipe.data.columns["maker"] == "category"
    assert [line for line in text.splitlines() if "# group: " in line and "a column" not in line] == [
        "  # group: machine_id, and the kind ignore above, if later rows will be of others than these"
    ]


def patients(rows: int = 400) -> dict[str, list[str]]:
    """Several rows of each, who are ill or not."""
    whose = [i * i % 97 for i in range(rows)]
    return {"patient_id": [f"p{one}" for one in whose], "ill": [("no", "yes")[one % 3 == 0] for one in whose]}


@pytest.mark.parametrize("number", [False, True])
def test_rows_of_one_who_has_one_answer_are_kept_together(tmp_path: Path, number: bool) -> None:
    given = patients()
    if number:
        given["patient_id"] = [f"1{one[1:]}" for one in given["patient_id"]]
    recipe, text = drafted(table(tmp_path, len(given["ill"]), **given), target="ill")
    assert recipe.data.columns["patient_id"] == "ignore"
    assert (recipe.split.method, recipe.split.group) == ("hash", "patient_id")
    assert "# WARNING: 100% of the rows of one 'patient_id' have the same 'ill': they are kept together" in text


@pytest.mark.parametrize("why", ["another answer in each", "one class", "few rows", "no identifier", "few of them"])
def test_else_they_are_kept_together_only_if_a_person_says_so(tmp_path: Path, why: str) -> None:
    given = patients(90 if why == "few rows" else 400)
    if why == "another answer in each":
        given["ill"] = [("no", "yes")[i // 5 % 2] for i in range(400)]
    if why == "one class":  # nearly: by chance alone most agree
        given["ill"] = [("no", "yes")[i % 50 == 0] for i in range(400)]
    if why == "no identifier":
        given["town"] = given.pop("patient_id")
    if why == "few of them":
        given["patient_id"] = [f"p{int(one[1:]) % 6}" for one in given["patient_id"]]
        given["ill"] = [("no", "yes")[int(one[1:]) % 2] for one in given["patient_id"]]
    recipe, _ = drafted(table(tmp_path, len(given["ill"]), **given), target="ill")
    assert recipe.split.group is None


def test_numbers_that_name_something_are_no_quantity(tmp_path: Path) -> None:
    stores = [str(10 + i * i % 17) for i in range(400)]
    recipe, text = drafted(table(tmp_path, 400, store_id=stores), target="y")
    assert recipe.data.columns["store_id"] == "category"
    assert "if later rows are of others, ignore it and set split.group to it" in text


@pytest.mark.parametrize(("day", "offered"), [("2024-01-{:02d}", True), ("{:02d}.01.2024", False)])
def test_a_split_by_time_is_offered_only_where_it_can_read_the_dates(tmp_path: Path, day: str, offered: bool) -> None:
    days = [day.format(i % 28 + 1) for i in range(300)]
    recipe, text = drafted(table(tmp_path, day=days), target="y")
    assert recipe.data.columns["day"] == "ignore"
    assert ("time_column: day" in text) == offered
    assert ("day: ignore  # dates: of use for a split by time" in text) == offered
    wanted = "day: ignore  # dates such as '01.01.2024': a split by time wants them written as 2024-12-31"
    assert (wanted in text) != offered
    _, gap = drafted(table(tmp_path, day=[*days[:-1], None]), target="y")
    assert "time_column" not in gap
    assert "of use for a split by time" not in gap


def test_a_regression_is_told_of_no_classes(tmp_path: Path) -> None:
    recipe, text = drafted(table(tmp_path), target="price: EUR")
    assert recipe.judged_by == "rmse"
    assert "class_weights" not in text
    assert "0%" not in text
    assert "shown to lose less than 1 % of the champion's rmse" in text
    assert "# compression may cost 1 % of the uncompressed model's rmse on validation\n" in text


def test_the_folders_of_images_are_their_only_target(tmp_path: Path) -> None:
    for label in ("x", "y"):
        (tmp_path / label).mkdir()
        for i in range(6):
            (tmp_path / label / f"{i}.png").write_bytes(png(rng.integers(0, 256, (8, 8), dtype=np.uint8)))
    with pytest.raises(Refusal, match="there is no column 'foo'"):
        draft(tmp_path, target="foo")
    recipe, _ = drafted(tmp_path, target="label")
    assert recipe.split.method == "stratified"


@pytest.mark.parametrize(("word", "classes"), [("nan", 2), ("NA", 2), ("none", 3)])
def test_a_label_that_is_missing_is_no_class(tmp_path: Path, word: str, classes: int) -> None:
    recipe, text = drafted(table(tmp_path, a=list(range(300)), y=["0", "1", word] * 100), target="y")
    assert recipe.task == "classification"
    assert f"{classes} classes" in text
    assert ("missing in 100 of 300 rows" in text) == (classes == 2)
    assert ("quarantine_share: 0.35 (at most 100 of 300 rows" in text) == (classes == 2)


def test_one_number_in_two_spellings_is_named(tmp_path: Path) -> None:
    _, text = drafted(table(tmp_path, a=list(range(300)), y=["1", "1.0", "2", "x"] * 75), target="y")
    assert "'1' and '1.0' differ in capitals, spaces or decimals alone" in text


def test_values_that_differ_in_capitals_and_spaces_alone_are_named(tmp_path: Path) -> None:
    towns, answers = ["Ulm", "ulm ", "Graz", "graz"] * 75, ["stays", "Stays", "goes"] * 100
    recipe, text = drafted(table(tmp_path, town=towns, y=answers), target="y")
    assert (recipe.data.columns["town"], recipe.data.columns["y"]) == ("category", "category")
    assert (
        "town: category  # 4 values; 'Ulm' and 'ulm ' differ in capitals, spaces or decimals alone, as 1 more do: write them alike"
        in text
    )
    assert (
        "category  # the target; 'stays' and 'Stays' differ in capitals, spaces or decimals alone: write them alike"
        in text
    )
    _, plain = drafted(table(tmp_path, town=["Maße", "Masse", "Massen"] * 100), target="y")
    assert "write them alike" not in plain


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("customer_id", [f"c {i % 290}" for i in range(300)], "looks like an identifier: 290 different values"),
        ("customer", [f"KD-{i * 13}" for i in range(300)], "looks like an identifier: 300 different values"),
        ("customer", [f"mr {i}" for i in range(300)], "free text or names: 300 different values"),
    ],
)
def test_what_names_rows_is_told_from_free_text(tmp_path: Path, name: str, values: list[str], said: str) -> None:
    _, text = drafted(table(tmp_path, **{name: values}), target="y")
    assert f"    {name}: ignore  # {said}" in text


def test_the_floor_of_a_regression_is_written_as_people_write_numbers(tmp_path: Path) -> None:
    _, text = drafted(table(tmp_path, price=rng.normal(5e5, 1e5, 300)), target="price")
    (floor,) = (line.split()[2] for line in text.splitlines() if line.startswith("  # floor: "))
    assert floor.isdigit()
    assert 6e4 < float(floor) < 1e5


def test_a_name_whose_ending_alone_is_alike_is_no_near_one(tmp_path: Path) -> None:
    (tmp_path / "new_case.csv").write_text("a,y\n1,2\n")
    with pytest.raises(Refusal) as refused:
        draft(tmp_path / "nothere.csv", target="y")
    assert "did you mean" not in str(refused.value)
    for near in ("new_cases.csv", "new_case"):
        with pytest.raises(Refusal, match=r"did you mean 'new_case\.csv'"):
            draft(tmp_path / near, target="y")


def test_torn_lines_are_warned_of_first_and_the_rows_are_counted_without_them(tmp_path: Path) -> None:
    lines = rows(120).splitlines()
    lines[51] += ",extra"
    _, text = drafted(csv(tmp_path, "\n".join(lines) + "\n"), target="y")
    said = "t.csv, row 51 (line 52): the line has 6 fields, the header has 5"
    warning = (
        f"# WARNING: 1 of 120 rows can't be read: {said}. Mend or remove it; with `bad_rows: refuse` no run begins"
    )
    assert text.splitlines()[1] == warning
    assert "# 119 rows that can be read, of 120; relative to this file" in text
    lines[-1] = "short"
    _, text = drafted(csv(tmp_path, "\n".join(lines) + "\n"), target="y")
    assert f"# WARNING: 2 of 120 rows can't be read, the first is {said}. Mend or remove them;" in text
    assert "can be read" not in drafted(csv(tmp_path, rows(120)), target="y")[1]


def test_a_file_of_torn_lines_alone_is_not_said_to_have_no_rows(tmp_path: Path) -> None:
    with pytest.raises(
        Refusal, match=r"no row can be read, of 9; the first is t.csv, row 1 \(line 2\): the line has 3"
    ):
        draft(csv(tmp_path, "a,y\n" + "1,2,p\n" * 9), target="y")


@pytest.mark.parametrize("torn", ['r,"yes,n,p', 'r,yes,n,"p'])
def test_a_quotation_mark_that_is_never_closed_is_refused_also_where_its_line_is_torn(
    tmp_path: Path, torn: str
) -> None:
    lines = rows(120).splitlines()
    lines[51] = f"1,{torn}"
    with pytest.raises(Refusal, match=r"t.csv, line 52: a quotation mark is never closed"):
        draft(csv(tmp_path, "\n".join(lines) + "\n"), target="y")
