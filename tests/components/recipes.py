"""A recipe that is right, and what is said of one that isn't: shared by the tests of recipes."""

from pathlib import Path

import pytest

from components.errors import Problem, Refusal
from components.recipe import Recipe
from components.recipe_file import decode

GOOD = """\
model: digits
task: classification
data:
  source: digits.csv
  target: label
  columns:
    label: category
    width: number
network:
  family: mlp
"""


def problems(text: str, *changes: str) -> list[Problem]:
    with pytest.raises(Refusal) as refused:
        decode(text, source="r.yaml", folder=Path("/data"), changes=changes)
    return list(refused.value.problems)


def good(text: str = GOOD, *changes: str) -> Recipe:
    return decode(text, source="r.yaml", folder=Path("/data"), changes=changes)
