import csv as csv_module
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.answering.unlabelled import unlabelled
from components.data.drafting.draft import draft
from components.data.load import load
from components.data.packing.pack import pack
from components.data.sources import csv_file
from components.errors import Refusal
from tests.components.data.tables import COLUMNS, config, csv, packed, refusal, rows

HEAD = "a,k,b,note,y\n"
GOOD = "1,r,yes,n,p\n2,r,no,n,q\n3,r,yes,n,p\n4,r,no,n,q\n"


def test_missing_target_and_unknown_column_are_told_together_with_the_nearest_name(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, "a,k,b,note,yy\n1,r,yes,n,p\n"))
    assert "the target column 'y' is missing" in said
    assert "did you mean 'yy'?" in said
    assert "a column that isn't named yet: 'yy'" in said
    assert "the column 'yy' is not in the recipe" in said
    assert "`yy: ignore`" in said


def test_a_column_name_twice_is_refused(tmp_path: Path) -> None:
    assert "2 columns are named 'a'" in refusal(tmp_path, csv(tmp_path, "a,a,k,b,note,y\n1,1,r,yes,n,p\n"))


def test_words_infinity_and_missing_targets_are_named_by_row_line_and_column(tmp_path: Path) -> None:
    text = HEAD + '1,"two\nlines",yes,n,p\n\nword,r,yes,n,p\ninf,r,maybe,n,q\n3,r,yes,n,\n'
    said = refusal(tmp_path, csv(tmp_path, text))
    assert "t.csv, row 2 (line 5), column 'a': 'word' is not a finite number" in said
    assert "t.csv, row 3 (line 6), column 'a': 'inf' is not a finite number" in said
    assert "t.csv, row 3 (line 6), column 'b': 'maybe' is not a boolean" in said
    assert "t.csv, row 4 (line 7), column 'y': the target is missing" in said


def test_ten_problems_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + "x,r,yes,n,p\n" * 25 + GOOD * 10))
    assert said.count("'x' is not a finite number") == 10
    assert "and 15 more" in said


def test_counts_of_thousands_have_a_mark(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + "x,r,yes,n,p\n" * 1200 + GOOD * 9))
    assert "; so it is in 1,200 of 1,236 rows" in said


def test_a_column_of_another_kind_is_named_once_and_hides_no_other(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + "x,r,yes,n,p\n" * 25 + "1,r,maybe,n,q\n" + "y,r,yes,n,q\n"))
    assert "row 1 (line 2), column 'a': 'x' is not a finite number; so it is in 26 of 27 rows" in said
    assert "under data.columns: another kind" in said
    assert said.count("finite number") == 1
    assert "row 26 (line 27), column 'b': 'maybe'" in said
    assert "more" not in said


def test_nan_in_a_number_target_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, "a,y\n1,2\n2,NaN\n"), config({"a": "number", "y": "number"}))
    assert "row 2 (line 3), column 'y': the target is missing" in said


def test_nan_among_classes_is_a_missing_target_and_no_class(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD + "1,r,yes,n,NaN\n" * 3))
    assert said.count("the target is missing") == 3


@pytest.mark.parametrize("word", ["nan", "NaN", "<NA>", "#N/A"])
def test_what_libraries_write_for_a_missing_label_is_no_class_whatever_the_others_are(
    tmp_path: Path, word: str
) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD + f"1,r,yes,n,{word}\n" * 3))
    assert said.count("the target is missing") == 3


@pytest.mark.parametrize(("others", "missing"), [("01", True), ("1.0 2.5", True), ("yes no", True), ("EU US", False)])
@pytest.mark.parametrize("word", ["NA", "N/A", "null"])
def test_a_word_for_a_missing_label_is_a_class_among_words_alone(
    tmp_path: Path, word: str, others: str, missing: bool
) -> None:
    first, second = others.split() if " " in others else others
    table = csv(tmp_path, HEAD + "".join(f"1,r,yes,n,{label}\n" for label in [first, second, word] * 4))
    if missing:
        assert refusal(tmp_path, table).count("the target is missing") == 4
    else:
        assert pack(config(), tmp_path / "packed", source=table).classes == dict.fromkeys(
            sorted([first, second, word]), 4
        )


def test_a_cell_that_can_not_be_printed_is_shown_escaped_and_what_to_do_comes_last(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD + "\x1b[31m7,r,yes,n,p\n"))
    assert "'\\x1b[31m7' is not a finite number" in said
    assert said.splitlines()[-1].startswith("  to do:   mend these rows, or set data.bad_rows: quarantine")


def test_a_ragged_line_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD + "1,r,yes\n" + GOOD + "1,r,yes,n,p,extra\n"))
    assert "t.csv, row 5 (line 6): the line has 3 fields, the header has 5" in said
    assert "t.csv, row 10 (line 11): the line has 6 fields, the header has 5" in said


def test_rows_keep_their_numbers_after_ragged_lines_over_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    text = HEAD + GOOD * 20 + "short\n" + GOOD * 20 + "word,r,yes,n,p\n" + GOOD * 20 + "last,one\n"
    said = refusal(tmp_path, csv(tmp_path, text))
    assert "row 81 (line 82): the line has 1 field," in said
    assert "row 162 (line 163), column 'a': 'word'" in said
    assert "row 243 (line 244): the line has 2 fields" in said


@pytest.mark.parametrize("where", ["header", "cell"])
def test_latin_1_is_refused_with_line_and_byte(tmp_path: Path, where: str) -> None:
    text = ("é,k" if where == "header" else "a,k") + ",b,note,y\n" + GOOD + "5,café,yes,n,p\n"
    said = refusal(tmp_path, csv(tmp_path, text.encode("latin-1")))
    assert ("line 1: byte 1 " if where == "header" else "line 6: byte 6 ") in said
    assert "(0xe9) is not UTF-8" in said
    assert "iconv -f cp1252" in said


def test_text_of_a_code_page_is_shown_as_it_may_read(tmp_path: Path) -> None:
    text = HEAD + GOOD + "5,Škoda Ďuro,yes,n,p\n"
    said = refusal(tmp_path, csv(tmp_path, text.encode("cp1250")))
    assert "Škoda Ïuro,yes,n,p' as cp1252 and '5,Škoda Ďuro,yes,n,p' as cp1250" in said


def test_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    assert "UTF-16" in refusal(tmp_path, csv(tmp_path, (HEAD + GOOD).encode("utf-16")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv: the file is empty"),
        ("\n\n", "t.csv: the file has no header"),
        (HEAD, "t.csv: there are no rows"),
        (HEAD.strip(), "t.csv: there are no rows"),
    ],
)
def test_files_without_rows_are_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, csv(tmp_path, text))


def test_an_open_quote_that_swallows_the_rest_is_refused(tmp_path: Path) -> None:
    text = HEAD + GOOD + '5,r,yes,n,"p\n' + "6 q\n"
    assert "t.csv, line 6: a quotation mark is never closed" in refusal(tmp_path, csv(tmp_path, text))


def test_a_long_cell_before_hides_neither_the_place_of_a_bad_row_nor_an_open_quote(tmp_path: Path) -> None:
    limit = 131_072  # Python's own
    long = HEAD + f"1,{'x' * (limit + 1)},yes,n,p\n" + GOOD
    for ending, said in (
        ("word,r,yes,n,p\n", "row 6 (line 7), column 'a': 'word'"),
        ('5,r,yes,n,"p\n6 q\n', "line 7: a quotation mark is never closed"),
    ):
        csv_module.field_size_limit(limit)  # an earlier test may have raised it
        assert f"t.csv, {said}" in refusal(tmp_path, csv(tmp_path, long + ending))


def test_a_header_of_very_many_names_is_cut_by_its_own_delimiter(tmp_path: Path) -> None:
    csv_module.field_size_limit(131_072)
    names = [f"column {i}" for i in range(20_000)]
    assert csv_file.CsvFile(csv(tmp_path, ";".join(names) + "\n")).names == names
    assert "t.csv: the header is not readable as CSV" in refusal(tmp_path, csv(tmp_path, "x" * (5 << 20)))


def test_a_line_longer_than_a_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1 << 20)
    text = HEAD + GOOD + '5,r,yes,"' + GOOD * 200_000
    assert "longer than 1 MB" in refusal(tmp_path, csv(tmp_path, text))


def test_a_class_with_one_row_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD + "5,r,yes,n,rare\n"))
    assert "column 'y': the class 'rare' has 1 row" in said


def test_many_classes_with_one_row_are_one_refusal(tmp_path: Path) -> None:
    rare = "".join(f"5,r,yes,n,k{i:02}\n" for i in range(12))
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD * 3 + rare))
    assert "column 'y': the 12 classes 'k00', 'k01'," in said
    assert "'k09', ... have 1 row each" in said


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    assert "every row is of the one class 'p'" in refusal(tmp_path, csv(tmp_path, HEAD + "1,r,yes,n,p\n" * 3))


def test_a_target_of_very_many_classes_is_refused(tmp_path: Path) -> None:
    text = "a,y\n" + "".join(f"1,{i}\n" for i in range(10_001))
    said = refusal(tmp_path, csv(tmp_path, text), config({"a": "number", "y": "category"}))
    assert "more than 10,000 classes" in said


def test_more_bad_rows_than_the_quarantine_may_hold_are_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, csv(tmp_path, HEAD + GOOD * 2 + "word,r,yes,n,p\n" * 2), config(share=0.1))
    assert "2 of 10 rows are bad (20.00%), more than data.quarantine_share 10.00%" in said
    at_most = packed(
        tmp_path, csv(tmp_path, HEAD + GOOD * 2 + "5,r,yes,n,p\nword,r,yes,n,p\n"), config(share=0.1), name="a"
    )
    assert (at_most.rows, at_most.quarantined) == (9, 1)
    said = refusal(tmp_path, csv(tmp_path, HEAD + "x,r,yes,n,p\n" * 25 + GOOD), config(share=0.1))
    assert "under data.columns: another kind" in said
    assert "raise it" not in said


def test_what_lies_at_the_path_must_be_something_readable(tmp_path: Path) -> None:
    csv(tmp_path, "x", "t.xlsx")
    assert "Steelyard can't read this kind of file" in refusal(tmp_path, tmp_path / "t.xlsx")
    csv(tmp_path, "x", "table.csv")
    said = refusal(tmp_path, tmp_path / "tabel.csv")
    assert "no such file" in said
    assert "did you mean 'table.csv'?" in said


def test_a_damaged_parquet_file_and_a_column_of_a_wrong_type_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [[1], [2]], "y": ["p", "q"]}), tmp_path / "t.parquet")
    said = refusal(tmp_path, tmp_path / "t.parquet", config({"a": "number", "y": "category"}))
    assert "column 'a': holds values of type list" in said
    assert "can't be of kind number" in said
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data[: len(data) // 2])
    assert "not a Parquet file, or a damaged one" in refusal(tmp_path, tmp_path / "t.parquet")


def test_parquet_problems_name_the_file_and_its_row(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    pq.write_table(pa.table({"a": ["1", "2"], "y": ["p", "q"]}), folder / "1.parquet")
    pq.write_table(pa.table({"a": ["1", "word"], "y": ["p", "q"]}), folder / "2.parquet")
    said = refusal(tmp_path, folder, config({"a": "number", "y": "category"}))
    assert "2.parquet, row 2, column 'a': 'word'" in said


@pytest.mark.parametrize("beside", [["a.parquet"], []], ids=["beside others", "alone"])
def test_parquet_files_in_folders_within_are_refused(tmp_path: Path, beside: list[str]) -> None:
    for name in [*beside, "year=2023/b.parquet", "year=2024/more/c.pq"]:
        (tmp_path / "many" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"a": ["1", "2"], "y": ["p", "q"]}), tmp_path / "many" / name)
    said = refusal(tmp_path, tmp_path / "many", config({"a": "number", "y": "category"}))
    assert "many: 2 Parquet files lie in folders within: year=2023/b.parquet, year=2024/more/c.pq" in said
    assert "allowed: Parquet files that lie in the folder itself" in said
    with pytest.raises(Refusal, match="2 Parquet files lie in folders within"):
        draft(tmp_path / "many", target="y")
    with pytest.raises(Refusal, match="2 Parquet files lie in folders within"):
        list(unlabelled(tmp_path / "many", {"a": "number"}, target="y", known={}))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x_train": np.zeros((4, 2)), "y_train": np.zeros(4), "x_test": np.zeros((2, 2))}, "x_train float64 [4, 2]"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3)}, "can't tell features and target apart"),
        ({"x": np.zeros((4, 8, 8)), "y": np.zeros(4)}, "can't tell features and target apart"),
        ({"X": np.zeros((4, 2))}, "the target is missing: there is only X float64 [4, 2]"),
        ({"y": np.zeros(4)}, "the features are missing: there is only y float64 [4]"),
        ({"x": np.zeros((2, 2)), "y": np.array(["p", None], dtype=object)}, "only pickle could read"),
    ],
)
def test_npz_files_without_clear_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], said: str) -> None:
    np.savez(tmp_path / "t.npz", **arrays)  # type: ignore[arg-type]
    assert said in refusal(tmp_path, tmp_path / "t.npz")


def test_an_npz_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "not an npz file" in refusal(tmp_path, csv(tmp_path, "hello", "t.npz"))


NPZ: dict[str, npt.NDArray[np.generic]] = {
    "x": np.random.default_rng(0).normal(size=(6000, 2)),
    "y": np.arange(6000) % 2,
}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-900],  # the member ends early
        lambda data: data[:2000],
        lambda data: data[:40],  # within the header
        lambda data: data.replace(b"6000, 2", b"9999, 2"),
        lambda data: data.replace(b"6000, 2", b"-600, 2"),
        lambda data: data.replace(b"6000, 2", b"6000, ("),
        lambda data: data.replace(b"NUMPY\1", b"NUMPY\7"),
        lambda data: b"",
        lambda data: b"hello",
    ],
)
def test_an_npz_whose_member_is_damaged_is_refused(
    tmp_path: Path, order: Literal["C", "F"], method: int, damage: Callable[[bytes], bytes]
) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w", method) as archive:
        for name, array in NPZ.items():
            stream = io.BytesIO()
            np.save(stream, np.asarray(array, order=order))
            archive.writestr(f"{name}.npy", damage(stream.getvalue()) if name == "x" else stream.getvalue())
    given = config({"x0": "number", "x1": "number", "y": "category"})
    said = refusal(tmp_path, tmp_path / "t.npz", given)
    assert "t.npz: is not an npz file, or a damaged one (" in said


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_bytes_of_an_npz_that_changed_are_refused(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "t.npz", **NPZ)
    data = bytearray((tmp_path / "t.npz").read_bytes())
    data[3000:3008] = b"?" * 8
    given = config({"x0": "number", "x1": "number", "y": "category"})
    said = refusal(tmp_path, csv(tmp_path, bytes(data), "t.npz"), given)
    assert "t.npz: is not an npz file, or a damaged one (" in said


def test_a_card_that_disagrees_with_its_files_is_refused(tmp_path: Path) -> None:
    packed(tmp_path, csv(tmp_path, rows(40)))
    card = tmp_path / "packed" / "card.json"
    text = card.read_text()
    for broken, said in (
        (text.replace('"rows": 40', '"rows": 41'), "the card says 41 rows"),
        (text.replace('"rows": 40', '"rows": "many"'), "card is damaged"),
        (text.replace('"format": 1', '"format": 9'), "the card is of format 9"),
        ("{", "card is damaged"),
    ):
        card.write_text(broken)
        with pytest.raises(Refusal, match=said):
            pack(config(COLUMNS), tmp_path / "again", source=tmp_path / "packed")


def test_a_folder_without_a_card_is_no_packed_data_set(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no card\.json: it is not a packed data set"):
        load(tmp_path, None, COLUMNS)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "file is missing or damaged"),
        (lambda file: file.unlink(), "file is missing or damaged"),
        (lambda file: pq.write_table(pq.read_table(file).drop_columns("k"), file), "the columns k are missing"),
    ],
)
def test_a_damaged_data_set_is_refused_where_it_is_read(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    card = packed(tmp_path, csv(tmp_path, rows(40)))
    damage(tmp_path / "packed" / card.files[0])
    with pytest.raises(Refusal, match=f"(?s)part-00000.parquet: .*{said}.*pack the data again"):
        load(tmp_path / "packed", None, COLUMNS)


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    csv(tmp_path / "packed", "mine", "mine.txt")
    with pytest.raises(Refusal, match="not empty"):
        packed(tmp_path, csv(tmp_path, rows(10)))
    assert (tmp_path / "packed" / "mine.txt").exists()
