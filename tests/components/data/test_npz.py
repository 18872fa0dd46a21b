"""An npz file's way from arrays to a recipe, to packed and divided rows, and back."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from components import recipe_file
from components.data.draft import draft
from components.data.load import load
from components.data.pack import pack
from components.data.split import split

rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=(90, 2))
LABELS = np.arange(90) % 3


@pytest.mark.parametrize(
    ("x", "y", "names"),
    [
        (NUMBERS.astype(np.float32), LABELS, "012"),
        (NUMBERS.astype(np.float16), LABELS.astype(np.float16), "012"),
        (rng.integers(0, 9, size=(90, 2)), np.array(list("abc"))[LABELS], "abc"),
        (NUMBERS, np.array([b"a", b"b", b"c"])[LABELS], "abc"),
        (rng.integers(0, 256, (90, 6, 5), dtype=np.uint8), np.array(list("abc"))[LABELS], "abc"),
    ],
    ids=["float32", "float16", "text", "bytes", "images"],
)
def test_arrays_come_back_as_they_were_under_a_recipe_of_their_own(
    tmp_path: Path, x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], names: str
) -> None:
    source = tmp_path / "t.npz"
    np.savez(source, x=x, y=y)
    recipe = recipe_file.decode(draft(source), source="draft", folder=tmp_path)
    pack(recipe.data, tmp_path / "packed", source=source)
    made = split(recipe.split, recipe.data, tmp_path / "packed", tmp_path / "s.parquet", task=recipe.task)
    rows = load(tmp_path / "packed", None, recipe.data.columns)
    back = rows["image"][..., 0] if x.ndim == 3 else np.column_stack([rows["x0"], rows["x1"]])
    assert np.array_equal(back, x)
    assert rows["y"].tolist() == [names[label] for label in LABELS]
    assert {part: sum(counts.values()) for part, counts in made.classes.items()} == made.rows
    assert set(made.classes["train"]) == set(names)
    assert pq.read_metadata(tmp_path / "s.parquet").num_rows == len(x)
