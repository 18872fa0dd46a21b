"""Rows to try a release with: of every shape that the model takes, and nobody's."""

import numpy as np
import pytest

from components.data.config import ColumnKind, PrepareConfig
from components.data.preparing.invented import invented
from components.data.preparing.preparation import CategoryColumn, ImageColumn, NumberColumn, Preparation, Target
from components.data.preparing.prepare import fit
from components.data.rows import Rows
from tests.components.export.samples import table_data, table_rows

GREY = ImageColumn(name="image", channels=1, size=(10, 6), resize=False, mean=(0.3,), std=(0.1,))


def of_image(column: ImageColumn) -> Rows:
    return invented(Preparation(target=Target(name="y"), image=column), {"image": "image"}, count=8, seed=0)


def records(rows: Rows) -> set[tuple[str, ...]]:
    return {tuple(str(rows[name][row]) for name in sorted(rows.columns)) for row in range(len(rows))}


@pytest.mark.parametrize("config", [PrepareConfig(), PrepareConfig(numbers="quantile"), PrepareConfig(numbers="none")])
def test_no_row_is_one_of_the_data_and_every_column_has_values_and_gaps(config: PrepareConfig) -> None:
    real, data = table_rows(200), table_data("label")
    preparation = fit(config, data, real, task="classification")
    rows = invented(preparation, data.columns, count=8, seed=0)
    assert set(rows.columns) == {"size", "price", "on sale", "kind", "city"}
    assert not records(rows) & records(Rows(columns={name: real[name] for name in rows.columns}))
    assert not set(rows["price"]) & set(real["price"])
    for name in ("price", "on sale"):  # what the train rows missed too
        assert np.isnan(rows[name]).sum() == 1, name
    assert not np.isnan(rows["size"]).any(), "a number that was never missing"
    assert set(rows["on sale"][~np.isnan(rows["on sale"])]) == {0.0, 1.0}
    assert set(rows["kind"]) == {"a", "b", "c"}
    assert set(rows["city"]) == {"", "Ulm", "Köln", "Bad Urach", "Ulm\n"}
    assert len(set(rows["size"])) == len(rows)
    if config.numbers != "none":  # which keeps no spread
        assert abs(rows["size"] - 3e6).max() < 50
    first = rows.take(slice(0, 1))
    assert not any(value[0] == "" or value[0] != value[0] for value in first.columns.values())


def test_rows_are_drawn_by_the_seed() -> None:
    preparation = fit(PrepareConfig(), table_data("label"), table_rows(50), task="classification")
    one, same, other = (
        records(invented(preparation, table_data("label").columns, count=8, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_numbers_are_drawn_within_what_was_seen_and_whole_where_that_was() -> None:
    kinds: dict[str, ColumnKind] = {"visits": "number", "share": "number"}
    columns = (
        NumberColumn(name="visits", fill=1.0, center=2.0, scale=3.0, span=(0.0, 12.0)),
        NumberColumn(name="share", fill=0.01, center=0.2, scale=0.4, span=(0.0, 1.0)),
    )
    rows = invented(Preparation(target=Target(name="y"), numbers=columns), kinds, count=50, seed=0)
    assert set(rows["visits"]) <= set(range(13))
    assert len(set(rows["visits"])) > 4
    assert 0 == rows["share"].min() < rows["share"].max() <= 1
    assert any(not value.is_integer() for value in rows["share"])


def test_columns_that_know_little_are_drawn_too() -> None:
    kinds: dict[str, ColumnKind] = {"rare": "category", "steady": "number", "tiny": "number", "huge": "number"}
    preparation = Preparation(
        target=Target(name="y"),
        numbers=(
            NumberColumn(name="steady", fill=7.0, center=7.0, scale=1.0),
            NumberColumn(name="tiny", fill=0.0, center=0.0, scale=1e-200, flag=True),
            NumberColumn(name="huge", fill=0.0, center=0.0, scale=1e200),
        ),
        categories=(CategoryColumn(name="rare", values=()),),
    )
    rows = invented(preparation, kinds, count=4, seed=0)
    assert rows["rare"].tolist() == ["", "", "", ""]
    assert np.isfinite(rows["huge"]).all()
    assert len(set(rows["tiny"][~np.isnan(rows["tiny"])])) == 3


def test_images_have_the_size_and_brightness_that_the_model_knows() -> None:
    images = of_image(GREY)["image"]
    assert {image.shape for image in images} == {(10, 6, 1)}
    assert np.mean([image.mean() for image in images]) / 255 == pytest.approx(0.3, abs=0.03)
    assert len({image.tobytes() for image in images}) == 8


def test_a_model_that_resizes_is_tried_with_two_sizes() -> None:
    coloured = ImageColumn(name="image", channels=3, size=(10, 6), resize=True, mean=(0.3,) * 3, std=(0.1,) * 3)
    assert {image.shape for image in of_image(coloured)["image"]} == {(10, 6, 3), (15, 9, 3)}
