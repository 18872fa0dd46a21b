"""Homes in which servers begin at once: the tables of Prefect's and of MLflow's database were made before, for all."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from components.home import Home
from components.locked import locked
from flows.servers.services import temporary
from tasks.tracking.connecting import make_ready

SHARED = "FOLDER_OF_TABLES"  # an environment variable: processes that are to make them once, and not each its own


def with_tables(root: Path) -> Path:
    """Lay empty tables into a home that isn't there yet, and return it. To make them takes fifteen seconds."""
    made, home = _made(), Home(root)
    shutil.copytree(made.prefect, home.prefect)
    home.mlflow_db.parent.mkdir()
    shutil.copy(made.mlflow_db, home.mlflow_db)
    return root


@contextmanager
def shared_tables() -> Iterator[None]:
    """Have this process and all that it starts make them once."""
    with tempfile.TemporaryDirectory(prefix="steelyard-tables-") as folder:
        os.environ[SHARED] = folder
        try:
            yield
        finally:
            del os.environ[SHARED]


@cache
def _made() -> Home:
    folder = Path(os.environ[SHARED]) if SHARED in os.environ else _own()
    home = Home(folder / "home")
    with locked(folder / "turn"):
        if not (folder / "made").exists():
            with temporary(home) as server:
                make_ready(home)
                server.ready()
            (folder / "made").touch()
    return home


def _own() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="steelyard-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
