"""MLflow's server on PostgreSQL: `python -P -m flows.servers.mlflow_server OPTIONS`, those of `mlflow server`.

MLflow makes its tables in an empty database, and doesn't start on those of an earlier version: they are brought up to
date first. libpq's variables say where the database is, and who asks.
"""

import runpy
import sys
from typing import Final

DATABASE: Final = "postgresql+psycopg2:///mlflow"
OPTIONS: Final = ("--app-name", "basic-auth", "--no-serve-artifacts", "--workers", "1")


def main() -> None:
    """Bring the tables up to date, then serve until told to stop."""
    options = sys.argv[1:]
    bring_up_to_date(DATABASE)
    _mlflow("server", "--backend-store-uri", DATABASE, *OPTIONS, *options)


def bring_up_to_date(uri: str) -> None:
    """Have MLflow change the tables of an earlier version into its own. Nothing happens where there are none."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    made = sqlalchemy.inspect(engine).has_table("alembic_version")
    engine.dispose()
    if made:
        try:
            _mlflow("db", "upgrade", uri)
        except SystemExit as end:
            if end.code:
                raise


def _mlflow(*words: str) -> None:
    """Do in this process what `mlflow WORDS` does."""
    sys.argv[1:] = words
    runpy.run_module("mlflow", run_name="__main__")


if __name__ == "__main__":
    main()
