import os
import time
from pathlib import Path

import pytest

from components.planning import source as source_module
from components.planning.ledger import Ledger, ledger_at
from components.planning.source import look_at
from components.store.artifact import Stamp


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "ledger.db")


def digest(path: Path, ledger: Ledger) -> str:
    found = look_at(path, ledger)
    assert found is not None
    return found.digest


def test_nothing_there_is_none(tmp_path: Path, ledger: Ledger) -> None:
    assert look_at(tmp_path / "nothing", ledger) is None


def test_a_change_of_the_same_size_with_its_time_restored_is_seen(tmp_path: Path, ledger: Ledger) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a,b\n1,2\n")
    time.sleep(0.15)
    before, times = digest(file, ledger), file.stat()
    file.write_text("a,b\n1,3\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(file, ledger) != before


def test_a_change_right_after_the_look_is_seen(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one tick of the file system's clock nothing but the content differs."""
    monkeypatch.setattr(source_module, "_folder_stamp", lambda files, root: Stamp(1, "the same"))
    for path in (tmp_path / "a.csv", tmp_path / "folder" / "a.png"):
        path.parent.mkdir(exist_ok=True)
        looked_at = path if path.parent == tmp_path else path.parent
        path.write_text("1")
        before = digest(looked_at, ledger)
        path.write_text("2")
        assert digest(looked_at, ledger) != before


def test_an_unchanged_source_is_not_read_again(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "images"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.png").write_bytes(b"1")
    file = tmp_path / "a.csv"
    file.write_text("x")
    time.sleep(0.15)
    before = digest(folder, ledger), digest(file, ledger)
    monkeypatch.setattr(source_module, "sha256", None)
    assert (digest(folder, ledger), digest(file, ledger)) == before


def test_a_folder_is_its_names_and_contents_but_hidden_files(tmp_path: Path, ledger: Ledger) -> None:
    folder = tmp_path / "images"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.png").write_bytes(b"1")
    before = digest(folder, ledger)
    (folder / ".cache").write_bytes(b"x")
    assert digest(folder, ledger) == before
    (folder / "cat" / "1.png").rename(folder / "cat" / "2.png")
    renamed = digest(folder, ledger)
    assert renamed != before
    (folder / "cat" / "2.png").write_bytes(b"2")
    assert digest(folder, ledger) not in (before, renamed)


def test_where_it_lies_is_not_its_identity(tmp_path: Path, ledger: Ledger) -> None:
    for name in ("one.csv", "other.csv"):
        (tmp_path / name).write_text("a")
    assert digest(tmp_path / "one.csv", ledger) == digest(tmp_path / "other.csv", ledger)


def test_what_is_passed_over_among_images_changes_nothing_but_a_card_does(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "some" / "cat").mkdir(parents=True)
    (tmp_path / "some" / "cat" / "1.png").write_bytes(b"1")
    before = digest(tmp_path / "some", ledger)
    for name in (".DS_Store", "Thumbs.db", "README", "cat/notes.txt"):
        (tmp_path / "some" / name).write_text("x")
    assert digest(tmp_path / "some", ledger) == before
    (tmp_path / "some" / "card.json").write_text("{}")
    assert digest(tmp_path / "some", ledger) != before
