"""What ingest says of the data."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.data.images import png
from components.errors import Refusal
from components.planning.source import look_at
from tasks.ingest import ingest
from tasks.perform import perform
from tasks.tracker import Silent
from tests.components.data.tables import config, csv, rows
from tests.tasks.tiny import yard_at


class Heard(Silent):
    """Remembers what a person is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line.strip())


def test_data_that_changed_since_it_was_looked_at_is_refused_and_not_recorded(tmp_path: Path) -> None:
    yard = yard_at(tmp_path / "home")
    source = look_at(csv(tmp_path, rows(40)), yard.ledger)
    assert source is not None
    inputs = ingest.bind(config(), source=source)
    for text in (rows(41), rows(40).replace("0.125", "0.625")):
        csv(tmp_path, text)
        with pytest.raises(Refusal, match=r"t\.csv: the data changed while it was being read"):
            perform(ingest, inputs, yard, log=logging.getLogger())
    csv(tmp_path, rows(40))
    assert perform(ingest, inputs, yard, log=logging.getLogger()).outputs.rows == 40


def test_rows_that_are_set_aside_are_told_with_the_first_of_them(tmp_path: Path) -> None:
    heard = Heard()
    yard = replace(yard_at(tmp_path / "home"), tracker=heard)
    for text, said in (
        (
            rows(40) + "word,r,yes,n,p\n1,2\n",
            ["bad rows set aside: 2, the first: row 41, column 'a': 'word' is not a finite number"],
        ),
        (rows(41), []),
    ):
        heard.lines.clear()
        source = look_at(csv(tmp_path, text), yard.ledger)
        perform(ingest, ingest.bind(config(share=0.1), source=source), yard, log=logging.getLogger())
        assert heard.lines == said


def test_files_that_are_no_images_are_told_once(tmp_path: Path) -> None:
    heard = Heard()
    yard = replace(yard_at(tmp_path / "home"), tracker=heard)
    for label in "pq":
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "images" / label / f"{i}.png").write_bytes(png(np.full((4, 4, 1), i, np.uint8)))
    (tmp_path / "images" / "README.txt").write_text("x")
    given = config({"image": "image", "label": "category"}, target="label")
    source = look_at(tmp_path / "images", yard.ledger)
    done = perform(ingest, ingest.bind(given, source=source), yard, log=logging.getLogger())
    assert done.outputs.rows == 4
    assert heard.lines == ["1 file in the folder is no image, by the name, and passed over: README.txt"]
