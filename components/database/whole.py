"""Whether an SQLite database is whole, asked before anything hangs on it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from components.disk import full, is_full
from components.errors import refuse


def check_database(file: Path, *, name: str, do: str) -> None:
    """Refuse a damaged database, with what to do about it. One that isn't there yet is fine."""
    if not file.exists():
        return
    if is_full(file.parent):
        raise full(file)
    try:
        with closing(sqlite3.connect(file, timeout=60)) as connection:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code == sqlite3.SQLITE_CANTOPEN:
            what = f"{name} database can't be opened ({error})"
            raise refuse(what, where=str(file), do="look at the rights of the file and its folder") from error
        if code == sqlite3.SQLITE_FULL:
            raise full(file) from error
        if code == sqlite3.SQLITE_IOERR:  # that says nothing of the database
            what = f"{name} database can't be read ({error})"
            raise refuse(what, where=str(file), do="look whether the disk is full, or failing") from error
        verdict = str(error)
    if verdict != "ok":
        said = " ".join(str(verdict).split())
        raise refuse(f"{name} database is damaged ({said})", where=str(file), do=do)
