"""An npz file's way from arrays to a recipe, to packed and divided rows, and back."""

import errno
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import recipe_file
from components.data.drafting.draft import draft
from components.data.images import decode
from components.data.load import load
from components.data.packing.pack import pack
from components.data.sources import npz_file
from components.data.sources.npz_file import NpzFile
from components.data.splitting.split import split
from components.errors import Refusal

rng = np.random.default_rng(0)
NUMBERS = rng.normal(size=(90, 2))
LABELS = np.arange(90) % 3


@pytest.mark.parametrize(
    ("x", "y", "names"),
    [
        (NUMBERS.astype(np.float32), LABELS, "012"),
        (NUMBERS.astype(np.float16), LABELS.astype(np.float16), "012"),
        (NUMBERS.astype(">f2"), LABELS.astype(">f8"), "012"),
        (np.asfortranarray(NUMBERS, ">f8"), LABELS.astype(">i4"), "012"),
        (NUMBERS.astype(">f4"), np.array(list("abc"), ">U1")[LABELS], "abc"),
        (rng.integers(2**63, 2**64, (90, 2), dtype=np.uint64), LABELS.astype(">u8"), "012"),
        (rng.integers(-99, 9, (90, 2), dtype=np.int8), LABELS.astype(np.uint16) + 65_533, ("65533", "65534", "65535")),
        (NUMBERS > 0, np.array(list("abc"))[LABELS], "abc"),
        (rng.integers(0, 9, size=(90, 2)), np.array(list("abc"))[LABELS], "abc"),
        (NUMBERS, np.array([b"a", b"b", b"c"])[LABELS], "abc"),
        (rng.integers(0, 256, (90, 6, 5), dtype=np.uint8), np.array(list("abc"))[LABELS], "abc"),
    ],
    ids=[
        "float32",
        "float16",
        "swapped float16",
        "swapped float64 by columns",
        "swapped float32 and text",
        "uint64",
        "small integers",
        "boolean",
        "text",
        "bytes",
        "images",
    ],
)
def test_arrays_come_back_as_they_were_under_a_recipe_of_their_own(
    tmp_path: Path, x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], names: Sequence[str]
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


def test_a_target_of_booleans_has_two_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=NUMBERS, y=LABELS > 0)
    recipe = recipe_file.decode(draft(tmp_path / "t.npz"), source="draft", folder=tmp_path)
    assert recipe.task == "classification"
    assert pack(recipe.data, tmp_path / "packed", source=tmp_path / "t.npz").classes == {"false": 30, "true": 60}


def opened(path: Path, *, labelled: bool = True, **arrays: npt.NDArray[np.generic]) -> tuple[str, str | None]:
    """The members that are taken for features and target."""
    np.savez(path / "t.npz", allow_pickle=False, **arrays)
    found = NpzFile(path / "t.npz", image="image", label="label", labelled=labelled)
    return found.x.member, None if found.y is None else found.y.member


def test_a_name_that_is_there_decides_also_where_the_other_is_called_something_else(tmp_path: Path) -> None:
    column = np.ones((3, 1))
    assert opened(tmp_path, y=column, features=column) == ("features.npy", "y.npy")
    assert opened(tmp_path, other=column, X=column) == ("X.npy", "other.npy")
    assert opened(tmp_path, labelled=False, other=column, x=column)[0] == "x.npy"
    assert opened(tmp_path, labelled=False, other=np.ones(7), x=column) == ("x.npy", None)
    assert opened(tmp_path, b=np.ones((3, 2)), a=np.ones(3)) == ("b.npy", "a.npy")
    with pytest.raises(Refusal, match="can't tell features and target apart"):
        opened(tmp_path, a=column, b=column)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long doubles are doubles here")
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_long_doubles_are_refused_by_the_name_of_their_array(tmp_path: Path, name: str, order: str) -> None:
    arrays = {"x": np.ones((3, 2)), "y": np.ones(3)}
    arrays[name] = arrays[name].astype(np.dtype(np.longdouble).newbyteorder(order))
    with pytest.raises(Refusal) as refused:
        opened(tmp_path, **arrays)
    (problem,) = refused.value.problems
    assert (problem.where, problem.do) == ("t.npz", f"save {name}.astype('float64')")
    assert problem.what.startswith(f"the array {name} holds long doubles (")


def test_a_disk_that_is_full_while_columns_are_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> IO[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")

    np.savez(tmp_path / "t.npz", x=np.ones((3, 2), order="F"), y=np.ones(3))
    monkeypatch.setattr(npz_file, "TemporaryFile", full)
    with pytest.raises(Refusal, match="no space left on the disk"):
        list(NpzFile(tmp_path / "t.npz", image="image", label="label").chunks())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(50, 3), (50, 4, 3), (50, 4, 3, 3)])
def test_rows_come_as_they_were_in_either_order_whatever_the_chunks(
    tmp_path: Path, order: Literal["C", "F"], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = rng.integers(0, 256, shape, dtype=np.uint8), rng.integers(0, 3, (50, 1))
    np.savez_compressed(tmp_path / "t.npz", x=np.asarray(x, order=order), y=np.asarray(y, order=order))
    whole = pa.concat_tables(chunk.table for chunk in NpzFile(tmp_path / "t.npz", image="image", label="y").chunks())
    monkeypatch.setattr(npz_file, "CHUNK_BYTES", 7 * (x[0].nbytes + 8))
    monkeypatch.setattr(npz_file, "COPY_BYTES", 11)
    chunks = list(NpzFile(tmp_path / "t.npz", image="image", label="y").chunks())
    assert [len(chunk.rows) for chunk in chunks] == [7] * 7 + [1]
    assert np.concatenate([chunk.rows for chunk in chunks]).tolist() == list(range(1, 51))
    cut = pa.concat_tables(chunk.table for chunk in chunks)
    assert cut.equals(whole)
    assert cut["y"].to_pylist() == y[:, 0].tolist()
    back = [decode(image["bytes"]) for image in cut["image"].to_pylist()] if len(shape) > 2 else None
    assert np.array_equal(np.column_stack(cut.columns[:-1]) if back is None else np.stack(back).reshape(shape), x)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_that_is_unpacked_takes_the_memory_of_a_few_of_its_rows(
    tmp_path: Path, order: Literal["C", "F"]
) -> None:
    x = np.zeros((1_000_000, 8), order=order)  # 64 MB
    np.savez_compressed(tmp_path / "t.npz", x=x, y=np.zeros(len(x), dtype=np.int8))
    del x
    tracemalloc.start()
    try:
        assert sum(len(chunk.rows) for chunk in NpzFile(tmp_path / "t.npz", image="", label="y").chunks()) == 1_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6
