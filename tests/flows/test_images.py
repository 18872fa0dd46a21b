"""A folder of images, from `init` to answers."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

from components.data.images import png
from tests.flows.place import Place
from tests.servers.tables import with_tables

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("runs")]  # where the Prefect server is
QUICK = {
    "train.epochs": "4",
    "train.stop_after_epochs": "null",
    "network.width": "8",
    "evaluate.resamples": "100",
    "evaluate.baselines": "false",
    "prune": "[]",
    "quantize": "[]",
    "profile.rounds": "10",
}


def draw(folder: Path, *, count: int) -> None:
    """Bars that stand or lie, grey and coloured, in two sizes."""
    chance = random.Random(1)
    for kind in ("lying", "standing"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            side = chance.choice([8, 12])
            pixels = np.full((side, side, chance.choice([1, 3])), 20, dtype=np.uint8)
            place = chance.randrange(1, side - 2)
            pixels[place : place + 2] = 230
            (folder / kind / f"{number}.png").write_bytes(png(pixels if kind == "lying" else pixels.swapaxes(0, 1)))


def test_images_of_mixed_sizes_go_from_init_to_answers(tmp_path: Path) -> None:
    draw(tmp_path / "bars", count=60)
    place = Place(folder=tmp_path, home=with_tables(tmp_path / "home"))
    assert place.call("init", "bars", "--output", "bars.yaml").code == 0
    changes = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    result = place.call("run", "bars.yaml", *changes, "--json", code=0).json
    assert result["decision"]["promoted"], result["decision"]
    (tmp_path / "bars" / "notes.txt").write_text("of the bars")
    told = place.call("predict", "bars", "bars", "--output", "out.csv")
    assert told.code == 0, told.err
    assert "1 file in the folder is no image, by the name, and passed over: notes.txt" in told.err
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert len(rows) == 120
    right = sum(row["prediction"] == row["file"].partition("/")[0] for row in rows)
    assert right / len(rows) == pytest.approx(result["test"]["selected"]["accuracy"], abs=0.35)
    one = place.call("predict", "bars", "bars/lying/0.png", "--output", "one.csv")
    assert one.code == 0, one.err
    (tmp_path / "people.csv").write_text("age\n3\n")
    assert place.call("predict", "bars", "people.csv").refused("'image' is missing")
    (tmp_path / "bars" / "text.png").write_text("I am text")
    assert place.call("predict", "bars", "bars").refused("text.png: is not an image")
    assert json.loads(place.call("verify", "bars", "--json").out)[0]["status"] == "verified"


@pytest.mark.slow
def test_a_model_of_one_size_names_the_images_of_another(tmp_path: Path) -> None:
    for kind, level in (("dark", 20), ("bright", 230)):
        (tmp_path / "shades" / kind).mkdir(parents=True)
        for number in range(40):
            shade = np.full((8, 8, 1), level + number % 16, dtype=np.uint8)
            (tmp_path / "shades" / kind / f"{number}.png").write_bytes(png(shade))
    place = Place(folder=tmp_path, home=with_tables(tmp_path / "home"))
    assert place.call("init", "shades", "--output", "shades.yaml").code == 0
    changes = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    place.call("run", "shades.yaml", *changes, code=0)
    (tmp_path / "new").mkdir()
    for name, side in (("fits", 8), ("large", 20), ("small", 5)):
        (tmp_path / "new" / f"{name}.png").write_bytes(png(np.full((side, side, 1), 25, dtype=np.uint8)))
    told = place.call("predict", "shades", "new")
    assert told.refused("large.png: the image has 20 x 20 pixels", "takes 8 x 8 alone", "prepare.image_size: [8, 8]")
    assert "small.png" in told.err
    assert "fits.png" not in told.err
    assert place.call("predict", "shades", "new/fits.png").code == 0
