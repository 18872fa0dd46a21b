import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components import disk
from components.disk import check_rights, check_space, full_disk_refused
from components.errors import Refusal


def fill_a_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE rows (text)")
        connection.execute("INSERT INTO rows VALUES (?)", ("x" * 100_000,))


def test_a_full_disk_is_known_behind_a_librarys_own_error(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no space left"), full_disk_refused(tmp_path):
        try:
            fill_a_database(tmp_path / "full.db")
        except sqlite3.OperationalError as error:
            raise RuntimeError("the library failed") from error


def test_a_used_up_quota_is_a_full_disk_and_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no space left"), full_disk_refused(tmp_path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    with pytest.raises(PermissionError), full_disk_refused(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
    with (
        pytest.raises(sqlite3.OperationalError),
        full_disk_refused(tmp_path),
        closing(sqlite3.connect(":memory:")) as db,
    ):
        db.execute("SELECT * FROM nothing")


def test_a_disk_that_is_nearly_full_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_space(tmp_path)
    check_space(tmp_path / "to be made")
    monkeypatch.setattr(disk, "LEAST_FREE", 1 << 60)
    with pytest.raises(Refusal, match="MB are left on the disk"):
        check_space(tmp_path)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    check_rights(tmp_path)
    check_rights(tmp_path / "to be made")
    assert list(tmp_path.iterdir()) == []
    for folder in (Path("/proc"), Path("/proc/to be made")):
        with pytest.raises(Refusal, match="can't be written"):
            check_rights(folder)
