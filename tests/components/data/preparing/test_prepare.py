import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.config import ColumnKind, PrepareConfig
from components.data.load import load
from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import _fit_number, encode, encode_target, fit
from components.data.rows import Rows
from components.errors import Refusal
from tests.components.data.tables import config, csv, packed

COLUMNS: dict[str, ColumnKind] = {"a": "number", "k": "category", "b": "boolean", "note": "ignore", "y": "category"}


def given_rows(**columns: object) -> Rows:
    arrays = {
        name: np.asarray(values, dtype=object if isinstance(values[0], str) else float)
        for name, values in columns.items()
    }  # type: ignore[index]
    return Rows(columns=arrays)


def learned(
    rows: Rows,
    prepare: PrepareConfig | None = None,
    *,
    columns: dict[str, ColumnKind] = COLUMNS,
    task: str = "classification",
) -> Preparation:
    return fit(prepare or PrepareConfig(), config(columns), rows, task=task)  # type: ignore[arg-type]


TRAIN = given_rows(a=[1, 2, np.nan, 9], k=["r", "g", "r", ""], b=[1, 0, 1, np.nan], y=["2", "10", "2", "10"])


def test_numbers_learn_median_mean_and_deviation_and_flag_the_missing() -> None:
    number, truth = learned(TRAIN).numbers
    assert (number.name, number.fill, number.flag, truth.name) == ("a", 2.0, True, "b")
    assert number.center == pytest.approx(4.0)
    assert number.scale == pytest.approx(np.std([1, 2, 9]))
    assert not learned(TRAIN.take(slice(0, 2))).numbers[0].flag


def test_numbers_are_left_alone_when_asked() -> None:
    number = learned(TRAIN, PrepareConfig(numbers="none")).numbers[0]
    assert (number.center, number.scale, number.fill) == (0.0, 1.0, 2.0)
    assert not learned(TRAIN, PrepareConfig(numbers="none")).standard  # nor bounded by the network
    assert learned(TRAIN).standard


def test_ranks_among_quantiles_are_standardised_and_truth_has_none() -> None:
    values = np.random.default_rng(0).lognormal(0, 2, 300)
    rows = given_rows(a=values, k=["r"] * 300, b=[1.0, 0.0, np.nan] * 100, y=["p", "q"] * 150)
    number, truth = learned(rows, PrepareConfig(numbers="quantile")).numbers
    assert number.ranks is not None
    ranks = np.interp(values, number.ranks.quantiles, np.linspace(-1, 1, len(number.ranks.quantiles)))
    assert (number.ranks.center, number.ranks.scale) == pytest.approx((ranks.mean(), ranks.std()))
    assert (number.center, number.scale) == pytest.approx((values.mean(), values.std()))
    assert (truth.ranks, truth.center, truth.scale) == (None, 0.5, 0.5)


@pytest.mark.parametrize(
    "values", [[5.0] * 4, [np.nan] * 4, [0.1 + 0.2, 0.3, 0.3, 0.3], [1e308, 1e308, -1e308, -1e308]]
)
@pytest.mark.parametrize("numbers", ["standard", "quantile"])
def test_constant_missing_and_huge_columns_have_a_finite_scale(values: list[float], numbers: str) -> None:
    rows = given_rows(a=values, k=["r"] * 4, b=[1.0] * 4, y=["p", "q", "p", "q"])
    column = learned(rows, PrepareConfig(numbers=numbers)).numbers[0]  # type: ignore[arg-type]
    assert np.isfinite([column.fill, column.center, column.scale]).all()
    assert column.scale > 0
    if len(set(values)) < 3:
        assert column.scale == 1.0 or values[0] == 1e308


@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=2, max_size=200))
def test_quantiles_rise_strictly_within_the_values(values: list[float]) -> None:
    n = len(values)
    rows = given_rows(a=values, k=["r"] * n, b=[1.0] * n, y=["p", "q"] * (n // 2) + ["p"] * (n % 2))
    number, truth = learned(rows, PrepareConfig(numbers="quantile")).numbers
    quantiles = number.ranks.quantiles if number.ranks else ()
    assert (np.diff(quantiles) > 0).all()
    assert quantiles == () if len(set(values)) == 1 else (quantiles[0], quantiles[-1]) == (min(values), max(values))
    assert set(quantiles) <= set(values)
    assert truth.ranks is None


def test_rare_categories_unknown_and_missing_have_codes_of_their_own() -> None:
    preparation = learned(TRAIN)
    assert preparation.categories[0].values == ("r",)
    assert learned(TRAIN, PrepareConfig(min_category_rows=1)).categories[0].values == ("g", "r")
    new = given_rows(a=[np.nan, 7], k=["never seen", ""], b=[np.nan, 1])
    numbers, codes = encode(preparation, new)
    assert np.array_equal(numbers, [[np.nan, np.nan], [7, 1]], equal_nan=True)
    assert codes.tolist() == [[0], [1]]
    assert (numbers.dtype, codes.dtype) == (np.float64, np.int64)
    assert encode(preparation, TRAIN)[1].tolist() == [[2], [0], [2], [1]]


@given(st.lists(st.text(max_size=3), min_size=1, max_size=40), st.lists(st.text(max_size=3), min_size=1, max_size=20))
def test_every_text_has_a_code_within_the_column(train: list[str], new: list[str]) -> None:
    column: dict[str, ColumnKind] = {"k": "category", "y": "category"}
    preparation = learned(given_rows(k=train, y=["p"] * len(train)), columns=column)
    numbers, codes = encode(preparation, given_rows(k=new))
    category = preparation.categories[0]
    assert numbers.shape == (len(new), 0)
    for text, code in zip(new, codes[:, 0], strict=True):
        assert code < category.codes
        assert code == (1 if not text else category.values.index(text) + 2 if text in category.values else 0)


def test_classes_sort_as_numbers_where_all_are_whole() -> None:
    assert learned(TRAIN).target.classes == ("2", "10")
    assert encode_target(learned(TRAIN), TRAIN).tolist() == [0, 1, 0, 1]
    floats = Rows(columns={**TRAIN.columns, "y": np.array([2.0, 10.0, 2.0, 10.0])})
    assert learned(floats, columns={**COLUMNS, "y": "number"}).target.classes == ("2", "10")
    words = Rows(columns={**TRAIN.columns, "y": np.array(["b", "10", "2", "a"], dtype=object)})
    assert learned(words).target.classes == ("10", "2", "a", "b")


def test_a_boolean_target_has_the_classes_false_and_true() -> None:
    rows = Rows(columns={**TRAIN.columns, "y": np.array([1.0, 0.0, 1.0, 0.0])})
    preparation = learned(rows, columns={**COLUMNS, "y": "boolean"})
    assert preparation.target.classes == ("false", "true")
    assert encode_target(preparation, rows).tolist() == [1, 0, 1, 0]


def test_a_regression_keeps_the_raw_target_and_its_scale() -> None:
    rows = Rows(columns={**TRAIN.columns, "y": np.array([1.0, 2.0, 3.0, 6.0])})
    preparation = learned(rows, columns={**COLUMNS, "y": "number"}, task="regression")
    assert (preparation.target.center, preparation.outputs) == (3.0, 1)
    assert preparation.target.scale == pytest.approx(np.std([1, 2, 3, 6]))
    assert encode_target(preparation, rows).tolist() == [1.0, 2.0, 3.0, 6.0]


def test_a_class_that_train_lacks_is_refused() -> None:
    later = Rows(columns={**TRAIN.columns, "y": np.array(["2", "new", "new", "10"], dtype=object)})
    with pytest.raises(Refusal, match="the class 'new' of 2 rows is in no train row"):
        encode_target(learned(TRAIN), later)


def test_some_of_the_rows_are_drawn_by_the_seed_and_stay_in_order() -> None:
    rows = given_rows(a=list(range(100)))
    first, again, other = (rows.some(30, seed=seed)["a"] for seed in (0, 0, 1))
    assert len(set(first)) == 30
    assert (np.diff(first) > 0).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert rows.some(100, seed=0) is rows


def test_rows_load_in_the_order_of_the_index_and_without_ignored_columns(tmp_path: Path) -> None:
    lines = "".join(f"{i},{'rgb'[i % 3]},{i % 2},note,{'pq'[i % 2]}\n" for i in range(100))
    packed(tmp_path, csv(tmp_path, "a,k,b,note,y\n" + lines))
    rows = load(tmp_path / "packed", np.array([50, 3, 99, 3]), COLUMNS)
    assert rows["a"].tolist() == [50, 3, 99, 3]
    assert rows["k"].tolist() == ["b", "r", "r", "r"]
    assert "note" not in rows.columns
    assert len(load(tmp_path / "packed", np.array([], dtype=np.int64), COLUMNS)) == 0
    assert load(tmp_path / "packed", np.array([3]), {"a": "category"})["a"].tolist() == ["3"]
    with pytest.raises(Refusal, match="row 100 was asked for, the data set has 100"):
        load(tmp_path / "packed", np.array([100]), COLUMNS)


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([8.428, 30.0, 58.097], (8.0, 59.0)),
        ([-0.123, 0.456], (-0.13, 0.46)),
        ([1234.0, 98765.0], (1000.0, 99000.0)),
        ([7.0, 7.0], None),
        ([0.0, 5e-324], None),
        ([-1.7e308, 1.7e308], None),
        ([math.nan], None),
    ],
)
def test_the_span_of_a_number_is_rounded_outwards_and_names_no_row(
    values: list[float], span: tuple[float, float] | None
) -> None:
    made = _fit_number("x", np.array(values), PrepareConfig(), truth=False).span
    assert made == (None if span is None else pytest.approx(span))
    assert made is None or not {*values} & {*made}
    assert _fit_number("x", np.array(values), PrepareConfig(), truth=True).span is None
