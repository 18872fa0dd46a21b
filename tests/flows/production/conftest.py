"""A real Prefect server, a real MLflow server, and two workers of a process pool, for all tests of this folder."""

from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from components.home import Home
from flows.servers.services import down, up
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place
from tests.flows.servers.test_services import free_port
from tests.flows.workers.crew import LONG, another_worker, end, onnx, run
from tests.servers.tables import with_tables

WORKERS = """
workers:
  train: {pool: local, cpus: 1, time_limit_minutes: 10}
  evaluate: {pool: local}
  export: {pool: local}
"""
TRAINER = "\nworkers: {train: {pool: local, cpus: 1}}\n"


@pytest.fixture(scope="package")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home whose servers are up, with a second worker beside the one of `up`, and a recipe that uses them."""
    folder = tmp_path_factory.mktemp("crew")
    (folder / "people.csv").write_text(people(), "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    (folder / "workers.yaml").write_text(RECIPE + WORKERS, "utf-8")
    (folder / "trainer.yaml").write_text(RECIPE + TRAINER, "utf-8")
    home = Home(with_tables(folder / "home"))
    with_tables(folder / "alone")
    services = up(home, prefect_port=free_port(), mlflow_port=free_port())
    second = another_worker(home, services)
    try:
        yield Place(folder=folder, home=home.root)
    finally:
        end(psutil.Process(second.pid))
        second.wait()
        down(home)


@pytest.fixture(scope="package")
def undisturbed(crew: Place) -> str:
    """The file of a long run in one process, in a home of its own."""
    return onnx(run(replace(crew, home=crew.folder / "alone"), *LONG, recipe="recipe.yaml"))
