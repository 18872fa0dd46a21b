"""Secrets are changed as docs/production.md says: the new ones serve, and the old ones no more."""

from dataclasses import asdict, replace

import psycopg2
import pytest

from components.home import Home
from components.production import USER, Production, new_secrets, write_down
from flows.servers.processes import asked
from tests.flows.place import Place
from tests.flows.production.conftest import UP
from tests.flows.production.crew import database, follow, run


def rename(production: Production, password: str, *, login: str) -> bool:
    """Change MLflow's password, and say whether that was granted."""
    url = f"{production.urls['mlflow']}/api/2.0/mlflow/users/update-password"
    content = {"username": USER, "current_password": login, "password": password}
    return asked(url, seconds=30, method="PATCH", content=content, login=f"{USER}:{login}") is not None


@pytest.mark.slow
def test_secrets_are_changed_as_documented(company: Place, production: Production) -> None:
    old, new = production.secrets, new_secrets()
    assert rename(production, new.mlflow, login=old.mlflow)
    follow(company, "PostgreSQL's password", typed=f"{new.postgres}\n" * 2)
    company.child("down")
    write_down(replace(production, secrets=new), Home(company.home))
    company.child(*UP)
    doctor = company.child("doctor")
    assert "all is well" in doctor.out + doctor.err
    told = run(company, "--force", "train")
    assert told.code == 0, told.err[-3000:]
    with (
        pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
        database(production, "ledger"),
    ):
        pass
    assert not rename(production, "another-password", login=old.mlflow)
    logs = "".join(path.read_text("utf-8", "replace") for path in (company.home / "logs").iterdir())
    assert not [secret for secret in asdict(new).values() if secret in logs]
