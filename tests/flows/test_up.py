"""A run that finds the servers of plain `up`: its worker does what the recipe sends there."""

from pathlib import Path

import pytest

from components.home import Home
from flows.servers.services import down
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place
from tests.flows.servers.test_services import free_port
from tests.servers.tables import with_tables

WORKERS = "workers: {train: {pool: local, cpus: 1}}\n"


@pytest.mark.slow
def test_its_worker_does_a_stage_to_the_same_bytes(first: Place, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE + WORKERS, "utf-8")
    place = Place(folder=tmp_path, home=with_tables(tmp_path / "home"))
    try:
        place.child("up", "--prefect-port", str(free_port()), "--mlflow-port", str(free_port()))
        told = place.child("run", "recipe.yaml", "--json")
    finally:
        down(Home(place.home))
    assert "train: asked of pool 'local'" in told.err
    assert told.json["onnx"]["sha256"] == first.told["first"].json["onnx"]["sha256"]
    assert told.json["decision"]["promoted"]
