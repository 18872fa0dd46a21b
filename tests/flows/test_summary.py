"""What a run tells MLflow of its recipe."""

from dataclasses import replace
from pathlib import Path

from components.recipe_file import decode
from flows.summary import flat

TEXT = """\
model: digits
task: classification
data: {source: rows/digits.csv, target: label, columns: {label: category, width: number}}
network: {family: mlp}
"""


def test_parameters_are_the_recipe_without_where_its_data_lay() -> None:
    recipe = decode(TEXT, source="r.yaml", folder=Path("/home/someone"))
    told = flat(recipe)
    assert told["model"] == "digits"
    assert (told["train.optimizer.name"], told["profile.batch_sizes.1"]) == ("adamw", "32")
    assert not [name for name in told if "order" in name]  # of keys: that is the cache's
    assert told["data.source"] == "digits.csv"
    assert not any("someone" in value for value in told.values())
    remote = replace(recipe, data=replace(recipe.data, source="https://me:secret@host/digits.csv?token=secret"))
    assert flat(remote)["data.source"] == "https://host/digits.csv"
