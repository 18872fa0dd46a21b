"""What the tests of PostgreSQL's own ways share; those of both databases lie with the ledger."""

import pytest

from components.planning.ledger import Ledger, ledger_at
from tests.servers.postgres import PostgresServer


@pytest.fixture
def address(postgres: PostgresServer) -> str:
    """Of an empty database."""
    return postgres.emptied()


@pytest.fixture
def ledger(address: str) -> Ledger:
    return ledger_at(address)
