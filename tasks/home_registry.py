"""The registry in the home's own database, read without MLflow: a run with nothing to do has no time to load that."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from components.home import Home
from tasks.tracking.connecting import check
from tasks.tracking.moved import follow

CHAMPION: Final = "champion"
FILE: Final = "file://"


def alias_in_database(home: Home, model: str) -> int | None:
    """Return the version that the alias `champion` names."""
    query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
    rows = _read_only(home, query, (model, CHAMPION))
    return int(rows[0][0]) if rows else None


def places_in_database(home: Home, model: str) -> dict[int, str]:
    """Return the versions that are there, each with the address of its files."""
    query = (
        "SELECT version, coalesce(storage_location, source) FROM model_versions "
        "WHERE name = ? AND current_stage != 'Deleted_Internal'"
    )
    return {int(version): str(place) for version, place in _read_only(home, query, (model,))}


def place_in_database(home: Home, model: str, version: int) -> str | None:
    """Return the address of a version's files, also in a home that was moved; None where there is no such version."""
    if version not in places_in_database(home, model):
        return None
    follow(home)
    return places_in_database(home, model).get(version)


def folder_at(place: str) -> Path | None:
    """Return the folder that an address names, None where it names none of this machine."""
    if place.startswith(FILE):
        return Path(unquote(place.removeprefix(FILE)))
    return Path(place) if place.startswith("/") else None


def _read_only(home: Home, query: str, values: tuple[str, ...]) -> list[tuple[int | str, ...]]:
    if not home.mlflow_db.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{home.mlflow_db.as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError:  # no such table: MLflow has yet to make it
        return []
    except sqlite3.DatabaseError:
        check(home)
        raise
