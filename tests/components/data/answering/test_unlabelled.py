"""Rows to be answered are read as ingest reads rows, without a target."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.answering.unlabelled import IMAGES_AT_ONCE, unlabelled
from components.data.config import ColumnKind
from components.data.images import png
from components.errors import Refusal

COLUMNS: dict[str, ColumnKind] = {"age": "number", "city": "category", "smoker": "boolean"}


def read(path: Path, columns: dict[str, ColumnKind] = COLUMNS, **known: list[str]) -> pa.Table:
    return pa.concat_tables(asked.table for asked in unlabelled(path, columns, target="label", known=known))


def picture(path: Path, shade: int, side: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(np.full((side, side), shade, dtype=np.uint8)))


def test_cells_are_read_by_their_kinds_and_missing_ones_are_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("city;extra;smoker;age\nRome;1;yes;3\n;2;;NA\nNA;3;F;4e1\n")
    assert read(path).to_pylist() == [
        {"age": 3.0, "city": "Rome", "smoker": True},
        {"age": None, "city": None, "smoker": None},
        {"age": 40.0, "city": "NA", "smoker": False},
    ]


def test_decimal_commas_are_read_in_text_files_and_columns_to_keep_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age;city;smoker\n3,5;1,5;yes\n4;Rome;no\n")
    (asked,) = unlabelled(path, COLUMNS, target="label", known={}, decimal=",", keep=["age"])
    assert asked.table["age"].to_pylist() == [3.5, 4.0]
    assert asked.table["city"].to_pylist() == ["1,5", "Rome"]
    assert asked.kept["age"].to_pylist() == ["3,5", "4"]
    pq.write_table(pa.table({"age": [3.5], "city": ["Rome"], "smoker": [True]}), tmp_path / "rows.parquet")
    (typed,) = unlabelled(tmp_path / "rows.parquet", COLUMNS, target="label", known={}, decimal=",")
    assert typed.table["age"].to_pylist() == [3.5]
    path.write_text("age;city;smoker\n3;a;yes\n3.5;a;no\n")
    with pytest.raises(Refusal, match=r"row 2 \(line 3\), column 'age': '3.5' is not a finite number with a decimal"):
        list(unlabelled(path, COLUMNS, target="label", known={}, decimal=","))


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        ([1.0, None, 2.5], ["1.0", "2.50"], ["1.0", None, "2.50"]),
        ([1.0, 2.0, 3.0], ["1", "2.0"], ["1", "2.0", "3"]),
        ([7, 1234], ["007", "01234"], ["007", "01234"]),
        ([True, False], ["True", "false"], ["True", "false"]),
        (["1", "true"], ["1.0", "True"], ["1", "true"]),
    ],
)
def test_a_typed_category_is_the_text_that_the_model_knows_and_text_stays_as_it_is(
    tmp_path: Path, values: list[object], names: list[str], expected: list[str | None]
) -> None:
    pq.write_table(pa.table({"city": values}), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", {"city": "category"}, city=names)["city"].to_pylist() == expected


def test_many_rows_come_in_order_and_in_pieces(tmp_path: Path) -> None:
    count = 40_000
    table = pa.table({"age": np.arange(count), "city": ["x"] * count, "smoker": [None] * count})
    pq.write_table(table, tmp_path / "rows.parquet")
    pieces = list(unlabelled(tmp_path / "rows.parquet", COLUMNS, target="label", known={}))
    assert len(pieces) > 1
    assert pa.concat_tables(piece.table for piece in pieces)["age"].to_pylist() == list(range(count))


def test_missing_columns_and_columns_of_an_impossible_type_are_all_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"age": [[1]], "citty": ["x"]}), tmp_path / "rows.parquet")
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "rows.parquet")
    told = str(refused.value)
    assert "column 'age': holds values of type list" in told
    assert "rows.parquet: the columns 'city', 'smoker' are missing; there are " in told
    assert "needed are age, city, smoker" in told
    assert "for 'city', did you mean 'citty'?" in told


def test_a_column_to_keep_that_is_not_there_is_not_said_to_be_needed_by_the_model(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,city,smoker,customer\n1,a,yes,7\n")
    with pytest.raises(Refusal) as refused:
        next(unlabelled(path, COLUMNS, target="label", known={}, keep=["custmer"]))
    told = str(refused.value)
    assert "there is no column 'custmer' to keep beside the answers; the model itself doesn't need it" in told
    assert "did you mean 'customer'?" in told
    assert "needed are" not in told
    path.write_text("age,smoker\n1,yes\n")
    with pytest.raises(Refusal) as both:
        next(unlabelled(path, COLUMNS, target="label", known={}, keep=["id", "city"]))
    assert [problem.what.partition(";")[0] for problem in both.value.problems] == [
        "the column 'city' is missing",
        "there is no column 'id' to keep beside the answers",
    ]


def test_bad_cells_and_torn_lines_are_named_by_their_places(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,city,smoker\n1,a,yes\nx,a,maybe\n1,a,no,more\n")
    with pytest.raises(Refusal) as refused:
        read(path)
    told = str(refused.value)
    for words in ("row 2 (line 3), column 'age'", "'maybe' is not a boolean", "row 3 (line 4)", "4 fields"):
        assert words in told


@pytest.mark.parametrize("name", ["x", "X", "features", "y"])
def test_an_npz_file_of_features_alone_is_answered_whatever_their_name(tmp_path: Path, name: str) -> None:
    numbers = np.arange(10.0).reshape(5, 2)
    np.savez(tmp_path / "rows.npz", allow_pickle=False, **{name: numbers})
    found = read(tmp_path / "rows.npz", {"x0": "number", "x1": "number"})
    assert [found["x0"].to_pylist(), found["x1"].to_pylist()] == numbers.T.tolist()
    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    np.savez(tmp_path / "images.npz", allow_pickle=False, **{name: pixels})
    images = read(tmp_path / "images.npz", {"picture": "image"})["picture"]
    assert [one["bytes"] for one in images.to_pylist()] == [png(image) for image in pixels]


def test_of_several_arrays_of_an_npz_file_their_names_decide(tmp_path: Path) -> None:
    columns: dict[str, ColumnKind] = {"x0": "number"}
    x, path = np.ones((3, 1)), tmp_path / "rows.npz"
    np.savez(path, x=x, other=np.zeros((3, 1)), id=np.arange(3))
    assert read(path, columns)["x0"].to_pylist() == [1, 1, 1]
    np.savez(path, x=x, y=np.array(["a", "b", "c"]))
    (asked,) = unlabelled(path, columns, target="label", known={}, keep=["label"])
    assert asked.kept["label"].to_pylist() == ["a", "b", "c"]
    np.savez(path, x=x, y=np.zeros((3, 2)))
    assert read(path, columns)["x0"].to_pylist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": np.zeros((3, 1)), "b": np.zeros((2, 1))}, "features in: a float64 [3, 1], b float64 [2, 1]\n"),
        ({"X": np.zeros(3)}, "can't find the features in: X float64 [3]\n"),
        ({"x": np.zeros((3, 8, 8))}, "can't find the features in: x float64 [3, 8, 8]\n"),
        ({}, "can't find the features in: nothing\n"),
    ],
)
def test_an_npz_file_without_clear_features_is_refused_and_no_target_is_asked_for(
    tmp_path: Path, arrays: dict[str, npt.NDArray[np.float64]], said: str
) -> None:
    np.savez(tmp_path / "rows.npz", allow_pickle=False, **arrays)
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "rows.npz", {"x0": "number"})
    assert said in str(refused.value)
    assert "no target is needed" in str(refused.value)
    assert "y [N]" not in str(refused.value)


def test_images_anywhere_in_a_folder_come_by_their_paths(tmp_path: Path) -> None:
    for number in range(IMAGES_AT_ONCE + 3):
        picture(tmp_path / f"deep/{number:03}.png", number)
    picture(tmp_path / "a.png", 0)
    picture(tmp_path / ".hidden/b.png", 0)
    (tmp_path / "notes.txt").write_text("not one")
    pieces = list(unlabelled(tmp_path, {"image": "image"}, target="label", known={}))
    names = [name for piece in pieces for name in piece.files]
    assert names == ["a.png", *(f"deep/{number:03}.png" for number in range(IMAGES_AT_ONCE + 3))]
    assert len(pieces) == 2
    assert pieces[0].table["image"][0].as_py()["bytes"] == (tmp_path / "a.png").read_bytes()


def test_what_may_be_an_image_is_refused_and_what_is_none_is_told(tmp_path: Path) -> None:
    """Else a folder of a hundred photos of which five can be read has five answers, and nobody hears of it."""
    (tmp_path / "a.png").write_bytes(png(np.zeros((4, 4, 1), dtype=np.uint8)))
    (tmp_path / "notes.txt").write_text("of the photos")
    (asked,) = unlabelled(tmp_path, {"picture": "image"}, target="kind", known={})
    assert (asked.files, asked.strays) == (("a.png",), ("notes.txt",))
    for name in ("b.heic", "c.HEIC"):
        (tmp_path / name).write_bytes(b"photo")
    with pytest.raises(Refusal, match=r"b\.heic(.|\n)*images of this format can't be read(.|\n)*c\.HEIC"):
        list(unlabelled(tmp_path, {"picture": "image"}, target="kind", known={}))


def test_a_file_that_a_model_of_images_cannot_read_is_told_which_ones_it_can(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"photo")
    with pytest.raises(Refusal, match=r"a\.heic: images of this format can't be read(.|\n)*allowed: \.bmp"):
        list(unlabelled(tmp_path / "a.heic", {"picture": "image"}, target="kind", known={}))


def test_one_image_is_one_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    (asked,) = unlabelled(tmp_path / "a.png", {"image": "image"}, target="label", known={})
    assert asked.files == ("a.png",)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    (tmp_path / "text.png").write_text("I am text")
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(Refusal) as refused:
        list(unlabelled(tmp_path, {"image": "image"}, target="label", known={}))
    assert "text.png: is not an image" in str(refused.value)
    assert "torn.png" in str(refused.value)
    assert "a.png" not in str(refused.value)


def test_names_that_are_not_utf_8_are_refused_escaped(tmp_path: Path) -> None:
    picture(tmp_path / "café.png", 0)
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    picture(odd, 0)
    for path in (tmp_path, odd):
        with pytest.raises(Refusal) as refused:
            list(unlabelled(path, {"image": "image"}, target="label", known={}))
        assert str(refused.value) == "caf\\xe9.png: the name is not UTF-8\n  to do:   rename it"


def test_images_for_a_table_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no images"):
        list(unlabelled(tmp_path, {"image": "image"}, target="label", known={}))
    with pytest.raises(Refusal, match="wants the columns of a table"):
        list(unlabelled(tmp_path, COLUMNS, target="label", known={}))
    with pytest.raises(Refusal, match="no such file"):
        list(unlabelled(tmp_path / "nothing.csv", COLUMNS, target="label", known={}))


def test_columns_to_keep_come_as_they_are_and_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,age,note,city,smoker\n007,3,x,Rome,yes\n,4,y,Rome,yes\n")
    (asked,) = unlabelled(path, COLUMNS, target="label", known={}, keep=["id", "age"])
    assert {name: column.to_pylist() for name, column in asked.kept.items()} == {"id": ["007", ""], "age": ["3", "4"]}
    assert asked.ignored == ("note",)
    with pytest.raises(Refusal, match=r"no column 'idd' to keep(.|\n)*did you mean 'id'"):
        list(unlabelled(path, COLUMNS, target="label", known={}, keep=["idd"]))
    pq.write_table(pa.table({"age": [1], "city": ["x"], "smoker": [True], "tags": [["a"]]}), tmp_path / "rows.parquet")
    with pytest.raises(Refusal, match=r"column 'tags': holds values of type list.*, which can't be kept"):
        list(unlabelled(tmp_path / "rows.parquet", COLUMNS, target="label", known={}, keep=["tags"]))


def test_images_in_a_table_say_what_files_they_were(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    bytes_ = (tmp_path / "a.png").read_bytes()
    for paths, expected in ((["a.png", "b.png"], ("a.png", "b.png")), (["a.png", None], ())):
        cells = [{"bytes": bytes_, "path": path} for path in paths]
        pq.write_table(pa.table({"image": cells}), tmp_path / "rows.parquet")
        (asked,) = unlabelled(tmp_path / "rows.parquet", {"image": "image"}, target="label", known={})
        assert asked.files == expected
    with pytest.raises(Refusal, match="no columns to keep"):
        list(unlabelled(tmp_path / "a.png", {"image": "image"}, target="label", known={}, keep=["id"]))


@pytest.mark.parametrize(
    ("row", "lines", "cells"),
    [("4,Rome,yes,extra", True, False), ("x,Rome,yes", False, True), ("x,Rome,yes\n4", True, True)],
)
def test_what_to_do_is_of_lines_where_these_are_torn_and_of_cells_where_those_are_bad(
    tmp_path: Path, row: str, lines: bool, cells: bool
) -> None:
    (tmp_path / "rows.csv").write_text(f"age,city,smoker\n3,Rome,yes\n{row}\n")
    with pytest.raises(Refusal) as refused:
        read(tmp_path / "rows.csv")
    do = str(refused.value).partition("  to do:   ")[2]
    assert ("as many fields as the header" in do, "mend these cells" in do) == (lines, cells)


def test_a_damaged_image_is_named_with_the_folder_that_was_given(tmp_path: Path) -> None:
    picture(tmp_path / "pets" / "dog" / "7.png", 3)
    (tmp_path / "pets" / "dog" / "7.png").write_text("no picture")
    with pytest.raises(Refusal, match=r"^pets/dog/7.png: is not an image[^\n]*\n  allowed: .*\n  to do: "):
        read(tmp_path / "pets", {"i": "image"})
