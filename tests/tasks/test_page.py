"""What of the stages' outputs the report is given."""

from components.data.config import DataConfig
from components.data.purposes import PARTS
from components.models.config import MLP
from components.recipe import Recipe
from components.store.artifact import Artifact
from tasks.ingest import Dataset
from tasks.page import _data
from tasks.split import Splits

FILE = Artifact(digest="0" * 64, kind="file", size_bytes=1, name="file")


def test_classes_that_are_numbers_stand_in_their_order() -> None:
    columns = DataConfig(source="", target="y", columns={"x": "number", "y": "category"})
    data = Dataset(folder=FILE, dvc_file=FILE, dvc_md5="", rows=3, source="", quarantined=0, quarantine=None)
    splits = Splits(
        dataset=data,
        assignments=FILE,
        previous=None,
        rows=dict.fromkeys(PARTS, 6),
        classes={part: {"10": 3, "2": 2, "1": 1} for part in PARTS},
    )
    shown = _data(Recipe(model="m", task="classification", data=columns, network=MLP()), splits)
    assert [(one.name, one.rows[0]) for one in shown.classes] == [("1", 1), ("2", 2), ("10", 3)]
