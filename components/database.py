"""Whether an SQLite database is whole, asked before anything hangs on it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from components.errors import refuse


def check_database(file: Path, *, name: str, do: str) -> None:
    """Refuse a damaged database, with what to do about it. One that isn't there yet is fine."""
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=60)) as connection:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        said = " ".join(str(verdict).split())
        raise refuse(f"{name} database is damaged ({said})", where=str(file), do=do)
