"""The servers of `up --production` with their two workers, after one run, for all tests of this folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.home import Home
from components.production import Production
from flows.servers.services import down
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place
from tests.flows.production.crew import LONG, production_at, trained, words
from tests.flows.servers.test_production import free_ports
from tests.servers.tables import with_tables

UP = ("up", "--production")
WORKERS = "workers: {train: {pool: local}, export: {pool: local}}\n"
TRAINER = "workers: {train: {pool: local, cpus: 1}}\n"


@pytest.hookimpl(tryfirst=True)  # before other groups are named
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep them on one process of pytest-xdist, since the servers are started once; the slow ones on two, with two sets."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            apart = item.path.stem == "test_dying" and item.get_closest_marker("slow")
            for mark in (pytest.mark.timeout(900), pytest.mark.xdist_group("dying" if apart else "production")):
                item.add_marker(mark)


@pytest.fixture(scope="package")
def company() -> Iterator[Place]:
    """A home whose servers are up, after one run: two of its stages were done by workers."""
    with TemporaryDirectory(prefix="steelyard-company-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where root starts it
        (folder / "people.csv").write_text(people(), "utf-8")
        for recipe, more in (("recipe", ""), ("workers", WORKERS), ("trainer", TRAINER)):
            (folder / f"{recipe}.yaml").write_text(RECIPE + more, "utf-8")
        place = Place(folder=folder, home=folder / ".steelyard")
        with_tables(folder / "alone")
        ports = [word for name, port in free_ports().items() for word in (f"--{name}-port", str(port))]
        try:
            place.told["up"] = place.child(*UP, *ports)
            place.told["run"] = place.child("run", "workers.yaml", "--json")
            yield place
        finally:
            down(Home(place.home))


@pytest.fixture
def production(company: Place) -> Production:
    """What is written down by now: a test changes the secrets."""
    return production_at(company)


@pytest.fixture(scope="package")
def alone(company: Place) -> Place:
    """The same folder, with a home that has no servers."""
    return replace(company, home=company.folder / "alone")


@pytest.fixture(scope="package")
def undisturbed(alone: Place) -> str:
    """What a long training at home, in one process, makes."""
    return trained(alone, alone.call("run", "recipe.yaml", *words(LONG)))
