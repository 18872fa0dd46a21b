"""A home that was moved or copied: MLflow's database there still knows its artifacts by the place where they were."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from components.home import Home

PLACES: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
FOLDER: Final = "/mlflow/artifacts/"  # of a home


def follow(home: Home) -> None:
    """Let MLflow's database name the artifacts where they lie now, or would."""
    with closing(sqlite3.connect(home.mlflow_db, timeout=60)) as connection, connection:
        try:
            for old, new in _moved(connection, home):
                for table, column in PLACES:
                    within = f"substr({column} || '/', 1, length(:old) + 1) = :old || '/'"
                    moved = f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) WHERE {within}"  # noqa: S608 - of PLACES alone
                    connection.execute(moved, {"old": old, "new": new})
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):  # tables of another version, of which MLflow says more
                raise


def _moved(connection: sqlite3.Connection, home: Home) -> Iterator[tuple[str, str]]:
    """Yield where the artifacts of an experiment are said to be, and where they are."""
    for (said,) in connection.execute("SELECT artifact_location FROM experiments").fetchall():
        place, _, name = (said or "").rpartition(FOLDER)
        here = home.mlflow_artifacts / unquote(name)
        if place.startswith("file://") and said != here.as_uri() and _left(said, place, here):
            yield said, here.as_uri()


def _left(folder: str, place: str, here: Path) -> bool:
    """Say whether a folder was left for the one here: its home is one that this is a copy of, or isn't there any more.

    Else it is where somebody wanted it.
    """
    there, home = (Path(unquote(uri.removeprefix("file://"))) for uri in (folder, place))
    if Home(home).mlflow_db.exists():
        return True
    return not there.exists() and (here.is_dir() or not home.exists())
