"""One real run of a tiny recipe, and one more with a change: the state that the tests of the command line look at."""

import random
import shutil
from pathlib import Path

import pytest

from components.home import Home
from tasks.tracking.moved import follow
from tests.flows.place import Place
from tests.servers.tables import with_tables

RECIPE = """\
model: people
task: classification
data:
  source: people.csv
  target: label
  columns: {age: number, city: category, smoker: boolean, income: number, label: category}
split: {method: stratified, validation: 0.2, test: 0.2}
network: {family: mlp, width: 16, depth: 1}
train: {epochs: 3, batch_size: 32, optimizer: {name: adamw, lr: 0.02}}
evaluate: {resamples: 100, baselines: false}
quantize: [{method: int8_dynamic}]
profile: {rounds: 10}
select: {objective: size, max_loss: 0.9}
# A gate that every model passes: what happens behind it is looked at.
gate: {floor: 0.01, margin: 0.99, class_margin: null, max_slowdown: null, max_growth: null}
"""


def people(rows: int = 200) -> str:
    """A table of numbers, strings and booleans, with values missing in each kind."""
    chance = random.Random(3)
    lines = ["age,city,smoker,income,label"]
    for _ in range(rows):
        age, label = chance.randint(18, 80), ""
        label = "buys" if (age > 45) ^ (chance.random() < 0.05) else "passes"
        shown = "" if chance.random() < 0.05 else str(age)
        city, smoker = chance.choice(["Rome", "Lima", "Zürich, old town", ""]), chance.choice(["yes", "no", ""])
        lines.append(f'{shown},"{city}",{smoker},{chance.gauss(30, 10):.3f},{label}')
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where the recipe ran once: version 1 is champion."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "people.csv").write_text(people(), "utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
    place = Place(folder=folder, home=with_tables(folder / "home"))
    place.told["first"] = place.child("run", "recipe.yaml", "--json")
    return place


@pytest.fixture(scope="session")
def both(first: Place) -> Place:
    """The same, and then with another learning rate: version 2 is champion."""
    second = Place(folder=first.folder, home=first.folder / "both", told=dict(first.told))
    shutil.copytree(first.home, second.home)
    second.told["second"] = second.call("run", "recipe.yaml", "--set", "train.optimizer.lr=0.03", "--json", code=0)
    return second


@pytest.fixture
def place(both: Place, tmp_path: Path) -> Place:
    """A copy of the state, to be changed."""
    shutil.copytree(both.home, tmp_path / "home")
    follow(Home(tmp_path / "home"))  # as the first command there would
    return Place(folder=both.folder, home=tmp_path / "home", told=both.told)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that look at these runs on one worker, so that they are made once."""
    for item in items:
        if {"first", "both"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("runs"))
