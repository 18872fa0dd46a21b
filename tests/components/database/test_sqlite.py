"""What is told of a ledger's file that is damaged, denied, full, or of a later version."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.database.whole import check_database
from components.errors import Refusal
from components.planning.ledger import Ledger, ledger_at
from components.store.artifact import Stamp


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    return ledger_at(path)


@pytest.mark.parametrize("damage", ["overwritten", "torn", "another file"])
def test_a_damaged_ledger_is_refused(ledger: Ledger, path: Path, damage: str) -> None:
    for number in range(50):
        ledger.remember(str(number), Stamp(1, "x" * 500), "d")
    content = bytearray(path.read_bytes())
    if damage == "overwritten":
        content[4096:] = b"\xff" * (len(content) - 4096)
    elif damage == "torn":
        content = content[: len(content) // 3]
    else:
        content = bytearray(b"It isn't a database at all. " * 200)
    path.write_bytes(bytes(content))
    with pytest.raises(Refusal, match="damaged"):
        _ = [ledger.digest(str(number), Stamp(1, "x" * 500)) for number in range(50)]
    with pytest.raises(Refusal, match="damaged"):
        ledger.database.check()


def test_a_ledger_that_cannot_be_opened_is_refused(path: Path, ledger: Ledger) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Refusal, match="the ledger can't be opened"):
        ledger.record("k")


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="can't be made"):
        ledger_at(tmp_path / "file" / "home" / "ledger.db").record("k")


def test_a_full_disk_is_refused(ledger: Ledger) -> None:
    ledger.record("k")

    def fill() -> None:
        with ledger.transaction() as connection:
            connection.execute("PRAGMA max_page_count = 1")
            connection.execute("INSERT INTO digests VALUES ('p', ?, 'd')", ("x" * 1_000_000,))

    with pytest.raises(Refusal, match="no space left"):
        fill()


def test_on_a_disk_without_space_nothing_is_opened(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would map its files where there is no space for them, which on some file systems ends the process."""
    ledger.record("k")
    monkeypatch.setattr("components.disk.FULL", 1 << 60)
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(Refusal, match="no space left on the disk"):
        ledger.record("k")


def test_an_error_of_reading_on_a_disk_without_space_is_told_as_that(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, full: int) -> None:
        with ledger.transaction():
            monkeypatch.setattr("components.disk.FULL", full)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error

    with pytest.raises(Refusal, match="no space left on the disk"):
        fail(full=1 << 60)
    monkeypatch.undo()
    with pytest.raises(Refusal, match=r"the ledger can't be read or written \(disk I/O error\)"):
        fail(full=0)


def test_a_mistake_of_ours_is_no_refusal(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.OperationalError):
        ledger.database.ask("SELECT * FROM nothing")


def test_a_ledger_of_a_later_version_is_refused(ledger: Ledger, path: Path) -> None:
    ledger.record("k")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Refusal, match="later version"):
        ledger.record("k")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_IOERR, "can't be read (.|\n)*whether the disk is full, or failing"),
        (sqlite3.SQLITE_FULL, "no space left"),
    ],
)
def test_a_disk_that_fails_says_nothing_of_the_database(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    def fails(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    path.parent.mkdir()
    path.write_bytes(b"whole")
    monkeypatch.setattr(sqlite3, "connect", fails)
    with pytest.raises(Refusal, match=said) as told:
        check_database(path, name="the ledger's", do="move it away")
    assert "move it away" not in str(told.value)


def test_a_look_at_a_database_on_a_disk_without_space_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    path.write_bytes(b"whole")
    monkeypatch.setattr("components.disk.FULL", 1 << 60)
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(Refusal, match="no space left on the disk\n  to do:   free some space"):
        check_database(path, name="the ledger's", do="move it away")
