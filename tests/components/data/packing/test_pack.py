import json
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.answering.unlabelled import unlabelled
from components.data.card import read_card
from components.data.config import ColumnKind, DataConfig
from components.data.drafting.draft import draft
from components.data.load import load
from components.data.packing import pack as pack_module
from components.data.packing.pack import look_ahead, pack
from components.data.packing.quarantine import first_of, quarantine_path
from components.data.packing.writer import PartWriter
from components.data.sources import csv_file
from components.data.splitting.hashing import value_hashes
from components.errors import Refusal
from tests.components.data.tables import COLUMNS, config, csv, packed, rows


def test_csv_becomes_typed_columns_and_a_card(tmp_path: Path) -> None:
    card = packed(tmp_path, csv(tmp_path, "a,k,b,note,y\n1.5,007,Yes,x,p\nNA,,f,,q\n-2e3,7,,z,p\n+1,NA,1,z,q\n"))
    table = pq.read_table(tmp_path / "packed" / card.files[0])
    assert table.to_pydict() == {
        "a": [1.5, None, -2000.0, 1.0],
        "k": ["007", None, "7", "NA"],
        "b": [True, False, None, True],
        "note": ["x", None, "z", "z"],
        "y": ["p", "q", "p", "q"],
    }
    assert (card.rows, card.classes, card.source, card.columns) == (4, {"p": 2, "q": 2}, "t.csv", COLUMNS)
    assert read_card(tmp_path / "packed") == card


def test_the_same_rows_give_the_same_bytes_from_csv_parquet_and_a_packed_set(tmp_path: Path) -> None:
    source = csv(tmp_path, rows(3000))
    packed(tmp_path, source)
    frame = pd.read_csv(source)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=77)
    packed(tmp_path, tmp_path / "t.parquet", name="b")
    packed(tmp_path, tmp_path / "packed", name="c")
    files = [(tmp_path / name / "part-00000.parquet").read_bytes() for name in ("packed", "b", "c")]
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("names", [("a.parquet", "b.pq"), ("a.pq", "b.PARQUET")])
def test_every_parquet_file_of_a_folder_is_read_and_hidden_ones_are_not(tmp_path: Path, names: tuple[str, str]) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for row, name in enumerate(names):
        pq.write_table(pa.table({"a": [row] * 3, "y": ["p", "p", "q"]}), folder / name)
    csv(folder, "left by a system", "._a.parquet")
    (folder / "_delta_log").mkdir()
    csv(folder / "_delta_log", "of another's", "1.checkpoint.parquet")
    given = config({"a": "number", "y": "category"})
    assert packed(tmp_path, folder, given).rows == 6
    assert load(tmp_path / "packed", None, given.columns)["a"].tolist() == [0, 0, 0, 1, 1, 1]
    assert "6 rows" in draft(folder, target="y")
    asked = unlabelled(folder, {"a": "number"}, target="y", known={})
    assert sum(len(one.table) for one in asked) == 6


def test_a_packed_source_keeps_its_origin_and_must_have_the_rows_that_its_card_says(tmp_path: Path) -> None:
    packed(tmp_path, csv(tmp_path, rows(40)))
    card = tmp_path / "packed" / "card.json"
    said = json.loads(card.read_text())
    card.write_text(json.dumps(said | {"source": "a survey", "licence": "CC0"}))
    again = packed(tmp_path, tmp_path / "packed", name="again")
    assert (again.source, again.licence) == ("a survey", "CC0")


@given(
    cells=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5),
            st.sampled_from([True, False, None]),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=30)
def test_what_was_packed_is_loaded_again(
    tmp_path_factory: object, cells: list[tuple[float | None, str, bool | None]]
) -> None:
    folder = tmp_path_factory.mktemp("round")  # type: ignore[attr-defined]
    frame = pd.DataFrame({"a": [c[0] for c in cells], "k": [c[1] for c in cells], "b": [c[2] for c in cells]})
    frame["y"] = 1.0
    frame.to_csv(folder / "t.csv", index=False)
    columns = {"a": "number", "k": "category", "b": "boolean", "y": "number"}
    pack(DataConfig(source="", target="y", columns=columns), folder / "packed", source=folder / "t.csv")  # type: ignore[arg-type]
    got = load(folder / "packed", None, columns)  # type: ignore[arg-type]
    wanted = [np.nan if c[0] is None else c[0] for c in cells]
    assert np.array_equal(got["a"].astype(float), wanted, equal_nan=True)
    assert got["k"].tolist() == [c[1] for c in cells]
    truth = [np.nan if c[2] is None else float(c[2]) for c in cells]
    assert np.array_equal(got["b"].astype(float), truth, equal_nan=True)


def test_delimiter_bom_quoted_line_breaks_and_blank_lines_are_understood(tmp_path: Path) -> None:
    text = '\ufeffa;k;b;note;y\n1;"two\nlines; here";yes;;p\n\n2;x;no;;q\n3;x;no;;q\n4;x;no;;p\n'
    card = packed(tmp_path, csv(tmp_path, text))
    got = load(tmp_path / "packed", None, COLUMNS)
    assert got["k"].tolist() == ["two\nlines; here", "x", "x", "x"]
    assert card.rows == 4


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ('a,"b;c;d;e",y\n' + "1,2,p\n" * 5, ","),
        ("a;b;y\n" + "1,5;2,5;p\n" * 5, ";"),
        ("a,b,y\n1,2,p\n1,2\n1,2,p\n", ","),  # a torn line
        ("a|b\n", "|"),
        ("y\n1;2\n3;4\n", ","),
    ],
)
def test_the_delimiter_is_the_one_that_the_rows_agree_on(tmp_path: Path, text: str, delimiter: str) -> None:
    assert csv_file.find_delimiter(csv(tmp_path, text)) == delimiter


def test_whole_numbers_of_a_category_lose_their_point_and_parquet_types_become_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "k": pa.array([1.0, 2.5, None, float("nan")]),
            "d": pa.array([1, 2, 3, 4], pa.date32()),
            "c": pa.array(["u", "v", "u", None]).dictionary_encode(),
            "y": pa.array([7, 7, 8, 8]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    columns = {"k": "category", "d": "category", "c": "category", "y": "category"}
    packed(tmp_path, tmp_path / "t.parquet", config(columns))  # type: ignore[arg-type]
    got = load(tmp_path / "packed", None, columns)  # type: ignore[arg-type]
    assert got["k"].tolist() == ["1", "2.5", "", ""]
    assert got["d"].tolist()[0] == "1970-01-02"
    assert got["c"].tolist() == ["u", "v", "u", ""]
    assert got["y"].tolist() == ["7", "7", "8", "8"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_text_of_any_parquet_type_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    columns: dict[str, ColumnKind] = {"a": "number", "b": "boolean", "k": "category", "y": "category"}
    text = {"a": ["1", "2.5", "", "4"], "b": ["yes", "no", "yes", "no"], "k": ["u", "v", "u", "v"], "y": ["p", "q"] * 2}
    pq.write_table(pa.table({name: pa.array(cells, kind) for name, cells in text.items()}), tmp_path / "t.parquet")
    packed(tmp_path, tmp_path / "t.parquet", config(columns))
    got = load(tmp_path / "packed", None, columns)
    assert np.array_equal(got["a"].astype(float), [1, 2.5, np.nan, 4], equal_nan=True)
    assert [got[name].tolist() for name in "ky"] == [text["k"], text["y"]]


def test_half_precision_numbers_are_numbers_categories_and_groups_like_others(tmp_path: Path) -> None:
    half = pa.array(np.array([1, 2.5, np.nan, 7], dtype=np.float16))
    pq.write_table(pa.table({"a": half, "k": half, "note": half, "y": half.take([0, 0, 1, 1])}), tmp_path / "t.parquet")
    columns: dict[str, ColumnKind] = {"a": "number", "k": "category", "note": "ignore", "y": "category"}
    packed(tmp_path, tmp_path / "t.parquet", config(columns))
    got = load(tmp_path / "packed", None, columns)
    assert np.array_equal(got["a"].astype(float), [1, 2.5, np.nan, 7], equal_nan=True)
    assert got["k"].tolist() == ["1", "2.5", "", "7"]
    assert got["y"].tolist() == ["1", "1", "2.5", "2.5"]
    assert len(set(value_hashes(half).tolist())) == 4


def test_row_groups_are_cut_by_rows_and_by_bytes_whatever_the_chunks(tmp_path: Path) -> None:
    table = pa.table({"t": ["x" * 1_000_000] * 100})
    sizes = []
    for step in (1, 7, 100):
        folder = tmp_path / str(step)
        folder.mkdir()
        with PartWriter(folder) as writer:
            for start in range(0, 100, step):
                writer.write(table.slice(start, step))
        metadata = pq.read_metadata(folder / writer.files[0])
        sizes.append([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
    assert sizes[0] == sizes[1] == sizes[2] == [33, 33, 33, 1]


def test_quarantine_sets_bad_and_ragged_rows_aside_beside_the_data(tmp_path: Path) -> None:
    text = rows(40) + "word,r,yes,n,p\n1,2\n5,g,perhaps,n,\n"
    card = packed(tmp_path, csv(tmp_path, text), config(share=0.1))
    aside = pq.read_table(quarantine_path(tmp_path / "packed")).to_pylist()
    assert (card.rows, card.quarantined) == (40, 3)
    assert [(line["row"], line["column"]) for line in aside] == [(41, "a"), (42, None), (43, "b"), (43, "y")]
    assert json.loads(aside[0]["raw"])["a"] == "word"
    assert aside[1]["raw"] == "1,2"
    assert first_of(quarantine_path(tmp_path / "packed")) == "row 41, column 'a': 'word' is not a finite number"


@pytest.mark.parametrize(("row", "refused"), [(10, True), (20_000, False)])
def test_a_look_ahead_ends_in_time_unless_it_has_found_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: int, refused: bool
) -> None:
    """Then it reads on, to name all of it."""
    monkeypatch.setattr(pack_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1 << 15)  # some four thousand rows
    lines = ["a,y", *(f"{i},{'np'[i % 2]}" for i in range(20_001))]
    lines[row] = "word,n"
    lines[-1] = "last,n"
    source, columns = csv(tmp_path, "\n".join(lines)), {"a": "number", "y": "category"}
    with pytest.raises(Refusal, match=rf"row {row} (.|\n)*row 20001 ") if refused else nullcontext():
        look_ahead(config(columns), source)
    with pytest.raises(Refusal, match="row 20001"):
        packed(tmp_path, source, config(columns))


def test_a_look_ahead_refuses_what_packing_would_and_leaves_nothing(tmp_path: Path) -> None:
    few = csv(tmp_path, rows(40) + "word,r,yes,n,p\n1,2\n")
    look_ahead(config(share=0.1), few)
    with pytest.raises(Refusal, match="2 of 42 rows are bad"):
        look_ahead(config(share=0.01), few)
    with pytest.raises(Refusal, match=r"row 41 \(line 42\), column 'a'"):
        look_ahead(config(), few)
    assert list(tmp_path.iterdir()) == [few]


def test_a_clean_pack_removes_an_earlier_quarantine(tmp_path: Path) -> None:
    quarantine_path(tmp_path / "packed").write_bytes(b"old")
    packed(tmp_path, csv(tmp_path, rows(40)), config(share=0.1))
    assert not quarantine_path(tmp_path / "packed").exists()


def test_progress_counts_the_rows(tmp_path: Path) -> None:
    seen: list[int] = []
    pack(config(), tmp_path / "packed", source=csv(tmp_path, rows(50)), progress=seen.append)
    assert seen[-1] == 50


def test_a_million_rows_with_one_bad_cell_are_refused_in_little_memory(tmp_path: Path) -> None:
    block = "".join(f"{i % 977},{'uv'[i % 2]}\n" for i in range(100_000))
    with (tmp_path / "t.csv").open("w") as stream:
        stream.write("a,y\n")
        for part in range(10):
            stream.write(block if part != 9 else block.replace("\n123,", "\noops,", 1))
    code = (
        "import sys, pathlib\n"
        "from components.data.config import DataConfig\nfrom components.data.packing.pack import pack\n"
        "from components.errors import Refusal\n"
        "config = DataConfig(source='', target='y', columns={'a': 'number', 'y': 'category'})\n"
        "try:\n    pack(config, pathlib.Path(sys.argv[1]) / 'out', source=pathlib.Path(sys.argv[1]) / 't.csv')\n"
        "except Refusal as refusal:\n    print(refusal)\n"
        "print(pathlib.Path('/proc/self/status').read_text())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "row 900124 (line 900125), column 'a': 'oops' is not a finite number" in done.stdout, done.stderr
    # Not by getrusage: its largest size outlives an exec, and so counts what pytest held.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stdout)
    assert int(peak) < 1_000_000
