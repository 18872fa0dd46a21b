"""Servers that tests of several rooms use."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, for a whole session of tests: each asks it for a `fresh` database, or an `emptied` one."""
    with tempfile.TemporaryDirectory(prefix="steelyard-postgres-") as folder, postgres_server(Path(folder)) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return tmp_path / "home" / "ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.emptied()
