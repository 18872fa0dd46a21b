"""A database by its address: a path is a SQLite file, `postgresql://` a database on a server."""

from collections.abc import Callable
from pathlib import Path

from components.database.address import address_of
from components.database.database import Database, Tables
from components.database.sqlite import SQLite


def database_at(address: Path | str, tables: Tables, *, say: Callable[[str], object], origin: str = "") -> Database:
    """Return the database. Nothing is opened or made yet. Raises Refusal where a text is no address.

    `say` hears of a server that is waited for; `origin` is where the address was read, for refusals.
    """
    if isinstance(address, Path):
        return SQLite(address, tables)
    from components.database.postgres import PostgreSQL

    return PostgreSQL(address_of(address, origin=origin), tables, say=say)
