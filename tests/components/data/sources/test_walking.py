import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.data.sources import image_folder, table
from components.data.sources.table import kind_of
from components.data.sources.walking import files_below
from components.errors import Refusal
from tests.components.data.tables import config, csv, refusal

IMAGES = config({"i": "image", "y": "category"})


def test_a_folder_that_changes_while_it_is_walked_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some" / "gone").mkdir(parents=True)
    csv(tmp_path / "some", "x", "notes.md")
    scan = os.scandir

    def vanish(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("gone") and Path(path).exists():
            Path(path).rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", vanish)
    assert kind_of(tmp_path / "some") == "images"
    (tmp_path / "some" / "gone").mkdir()
    assert [path.name for path in files_below(tmp_path / "some")] == ["notes.md"]


def test_parquet_in_a_folder_within_tells_the_kind_whatever_is_found_after_it(tmp_path: Path) -> None:
    (tmp_path / "some" / "2024" / "notes").mkdir(parents=True)
    csv(tmp_path / "some" / "2024", "x", "1.parquet")
    csv(tmp_path / "some" / "2024" / "notes", "x", "notes.md")
    assert kind_of(tmp_path / "some") == "parquet"


def test_a_folder_that_may_not_be_read_is_no_bug_and_never_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some" / "shut").mkdir(parents=True)
    scan = os.scandir

    def forbid(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", forbid)
    assert kind_of(tmp_path / "some") == "images"
    with pytest.raises(Refusal, match=r"shut: can't be read \(Permission denied\)\n  allowed: .*\n  to do: "):
        list(files_below(tmp_path / "some"))
    assert "shut: can't be read" in refusal(tmp_path, tmp_path / "some", IMAGES)


def test_a_folder_of_many_other_files_is_not_walked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (table, image_folder):
        monkeypatch.setattr(module, "MOST_OTHERS", 9)
    for number in range(40):
        (tmp_path / "some" / str(number)).mkdir(parents=True)
        csv(tmp_path / "some" / str(number), "x", "notes.md")
    walked: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: walked.append(str(path)) or scan(path))
    said = refusal(tmp_path, tmp_path / "some", IMAGES)
    assert "more than 9 files in it are no images, such as " in said
    assert len(walked) < 40
