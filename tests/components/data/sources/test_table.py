from pathlib import Path

import pytest

from components.data.sources.table import kind_of
from components.errors import Refusal
from tests.components.data.tables import csv, refusal


@pytest.mark.parametrize(
    ("name", "text", "allowed", "do"),
    [
        ("t.csv", "", "a first line with the names of the columns", "was it written to its end?"),
        ("t.csv", "a,k,b,note,y\n", "one row or more", "put rows into it"),
        ("t.parquet", "hello", "a whole Parquet file", "the ending of what it is"),
        ("t.npz", "hello", "x [N, F]", "np.savez"),
        ("t.doc", "hello", ".csv, .tsv", "save it as one of these"),
    ],
)
def test_a_file_that_can_not_be_read_says_what_could_and_what_to_do(
    tmp_path: Path, name: str, text: str, allowed: str, do: str
) -> None:
    said = refusal(tmp_path, csv(tmp_path, text, name))
    assert allowed in said.partition("  allowed: ")[2]
    assert do in said.partition("  to do:   ")[2]


def test_a_path_with_nothing_near_says_what_could_be_there(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"allowed: a CSV, Parquet or npz file[^\n]*\n  to do:   mend the path"):
        kind_of(tmp_path / "nosuch.csv")
