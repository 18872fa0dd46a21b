"""How many values are missing, from the files' own statistics."""

from pathlib import Path

import pytest

from components.data.missing import missing
from components.data.packing import writer
from tests.components.data.tables import csv, packed


def test_what_each_column_lacks_is_counted_over_all_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP_ROWS", 2)
    monkeypatch.setattr(writer, "FILE_GROUPS", 1)
    card = packed(tmp_path, csv(tmp_path, "a,k,b,note,y\n1.5,007,Yes,x,p\nNA,,f,,q\n-2e3,7,,z,p\n,NA,1,z,q\n"))
    assert len(card.files) == 2
    assert missing(tmp_path / "packed") == {"a": 2, "k": 1, "b": 1, "note": 1}


def test_a_whole_table_lacks_nothing(tmp_path: Path) -> None:
    packed(tmp_path, csv(tmp_path, "a,k,b,note,y\n1.5,007,Yes,x,p\n2,1,f,u,q\n1,1,f,u,p\n2,1,f,u,q\n"))
    assert missing(tmp_path / "packed") == {}
