from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from components.data.rows import Array, Rows
from components.errors import Refusal
from components.export.canonical import canonical_bytes
from components.export.parity import reference
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.runtimes.config import RuntimeName
from components.runtimes.feeds import batches, core_batches, predict, repeated
from components.runtimes.onnx_runtime import OnnxRuntimeSession
from components.runtimes.table import RUNTIMES
from tests.components.export.samples import (
    TINY_CNN,
    TINY_MLP,
    exported,
    image_preparation,
    mixed_image_rows,
    model,
    table_preparation,
    table_rows,
)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_mixed_images_come_back_in_the_order_of_their_rows(batch_size: int) -> None:
    rows = mixed_image_rows()
    preparation = image_preparation(rows, size=(8, 8))

    class Brightness:
        def run(self, feeds: dict[str, Array]) -> Array:
            return feeds["image"].reshape(len(feeds["image"]), -1).astype(np.float32).mean(1, keepdims=True)

    seen = [batch.index for batch in batches(preparation, rows, batch_size=batch_size)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(len(rows)))
    assert max(map(len, seen)) <= batch_size
    found = predict(Brightness(), preparation, rows, batch_size=batch_size)  # type: ignore[arg-type]
    grey = [i for i in range(len(rows)) if rows["image"][i].shape[2] == 1]
    expected = [rows["image"][i].mean() for i in grey]
    np.testing.assert_allclose(found[grey, 0], expected, rtol=1e-5)


def test_table_feeds_are_columns_of_their_own_types() -> None:
    preparation = table_preparation()
    (batch,) = batches(preparation, table_rows(3), batch_size=10)
    assert list(batch.feeds) == ["size", "price", "on sale", "kind", "city"]
    assert {name: values.dtype.kind for name, values in batch.feeds.items()} == {
        "size": "f",
        "price": "f",
        "on sale": "f",
        "kind": "O",
        "city": "O",
    }
    assert all(values.shape == (3, 1) for values in batch.feeds.values())
    (inner,) = core_batches(preparation, table_rows(3), batch_size=10)
    assert {name: values.shape for name, values in inner.feeds.items()} == {"numbers": (3, 3), "codes": (3, 2)}


def test_no_rows_give_no_answers() -> None:
    preparation = table_preparation()
    path = table_rows(0)
    assert list(batches(preparation, path, batch_size=4)) == []


@pytest.mark.parametrize("size", [1, 32])
def test_few_rows_are_repeated_for_timing(size: int) -> None:
    preparation = table_preparation()
    assert repeated(preparation, table_rows(5), batch_size=size)["price"].shape == (size, 1)
    rows = mixed_image_rows()
    feeds = repeated(image_preparation(rows, size=(8, 8)), rows, batch_size=size)
    assert feeds["image"].shape == (size, 9, 14, 3)


def test_every_runtime_answers_as_pytorch_does(tmp_path: Path) -> None:
    rows = mixed_image_rows()
    preparation = image_preparation(rows, size=(8, 8))
    trained = model(TINY_CNN, preparation)
    path = tmp_path / "model.onnx"
    path.write_bytes(canonical_bytes(with_raw_inputs(core(trained, preparation), preparation)))
    expected = reference(trained, preparation, rows)
    for name in RUNTIMES:
        session = RUNTIMES[name](path, threads=2)
        np.testing.assert_allclose(predict(session, preparation, rows), expected, atol=1e-5, err_msg=name)


def test_a_session_has_the_threads_that_were_asked_for() -> None:
    preparation = table_preparation()
    file = canonical_bytes(exported(TINY_MLP, preparation))
    for threads in (1, 2):
        options = OnnxRuntimeSession(file, threads=threads)._session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(Refusal, match=r"can't open model\.onnx"):
        RUNTIMES["onnxruntime"](path, threads=1)


def test_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal, match="onnxruntime"):
        RUNTIMES["onnxruntme"]


def test_rows_need_no_target() -> None:
    preparation = table_preparation()
    rows = table_rows(3)
    features = Rows(columns={name: rows[name] for name in ("size", "price", "on sale", "kind", "city")})
    assert len(list(batches(preparation, features, batch_size=2))) == 2


def test_a_recipe_can_name_every_runtime() -> None:
    assert set(RUNTIMES) == set(get_args(RuntimeName))
