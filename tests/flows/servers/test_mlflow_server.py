"""The tables of another version of MLflow's, and of none."""

from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from flows.servers.mlflow_server import bring_up_to_date


def revision(uri: str) -> str:
    with sqlalchemy.create_engine(uri).connect() as connection:
        return str(connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar_one())


def test_tables_of_an_earlier_version_are_brought_up_to_date_and_those_of_now_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["of the test"])
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    scripts = ScriptDirectory.from_config(_get_alembic_config(uri))
    head, before = [one.revision for one in scripts.walk_revisions()][:2]
    Base.metadata.create_all(sqlalchemy.create_engine(uri))
    command.upgrade(_get_alembic_config(uri), before)
    assert revision(uri) == before
    for _ in range(2):
        bring_up_to_date(uri)
        assert revision(uri) == head
    assert MlflowClient(uri).search_experiments()  # it is content with them


def test_an_empty_database_is_left_to_mlflow(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    bring_up_to_date(uri)
    assert not sqlalchemy.inspect(sqlalchemy.create_engine(uri)).get_table_names()
