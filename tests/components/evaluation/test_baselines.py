"""The simple models beside the net."""

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor

from components.data.config import DataConfig, PrepareConfig
from components.data.preparing.prepare import encode_target, fit
from components.data.rows import Rows
from components.evaluation import baselines as room
from components.evaluation.baselines import baselines
from components.evaluation.metrics import figures
from components.evaluation.one_column import OneColumn


def table(rows=600, *, seed=0):
    random = np.random.default_rng(seed)
    x, z = random.normal(size=rows), random.normal(size=rows)
    colour = random.choice(["red", "green", "blue", ""], size=rows).astype(object)
    value = 3 * x + np.sin(4 * z) * 4 + (colour == "red") * 5 + (colour == "") * -5
    x = np.where(random.random(rows) < 0.1, np.nan, x)
    named = np.where(value > 0, "high", "low").astype(object)
    return Rows(columns={"x": x, "z": z, "colour": colour, "value": value, "named": named})


def prepared(rows, target, task, **config):
    kinds = {"x": "number", "z": "number", "colour": "category", target: "category" if target == "named" else "number"}
    return fit(PrepareConfig(**config), DataConfig(source="-", target=target, columns=kinds), rows, task=task)


def pictures(rows=300, side=8, *, seed=0, sizes=(0,)):
    random = np.random.default_rng(seed)
    label = random.integers(3, size=rows)
    images = []
    for row in range(rows):
        grown = side + sizes[row % len(sizes)]
        image = random.integers(0, 120, size=(grown, grown, 1))
        image[:, grown * label[row] // 3 : grown * (label[row] + 1) // 3] += 90
        images.append(image.astype(np.uint8))
    column = np.stack(images) if len(sizes) == 1 else np.empty(rows, dtype=object)
    if len(sizes) > 1:
        column[:] = images
    return Rows(columns={"image": column, "label": np.array([f"c{k}" for k in label], dtype=object)})


def test_on_a_table_each_baseline_beats_the_one_before():
    train, test = table(1500), table(400, seed=1)
    preparation = prepared(train, "named", "classification")
    made = baselines("classification", metric="accuracy", train=train, part=test, preparation=preparation, seed=0)
    assert list(made.outputs) == ["constant", "linear", "gradient_boosting", "one_column"]
    truth = encode_target(preparation, test)
    accuracy = [
        figures("classification", target=truth, output=output, classes=2)["accuracy"]
        for output in made.outputs.values()
    ]
    assert accuracy[0] + 0.1 < accuracy[1] < accuracy[2]
    assert accuracy[0] < accuracy[3] < accuracy[2]
    assert made.notes == ()


@pytest.mark.parametrize("leak", ["number", "category"])
@pytest.mark.parametrize("target", ["named", "value"])
def test_the_column_that_tells_most_alone_is_found_among_all_kinds(leak, target):
    def leaking(rows):
        low = rows["value"] < np.median(rows["value"])
        told = np.where(low, "r", "s").astype(object) if leak == "category" else rows["value"] + 100
        return Rows(columns={**rows.columns, "z" if leak == "number" else "colour": told})

    train, test = leaking(table(1500)), leaking(table(400, seed=1))
    task = "classification" if target == "named" else "regression"
    preparation = prepared(train, target, task)
    made = baselines(
        task,
        metric="accuracy" if target == "named" else "rmse",
        train=train,
        part=test,
        preparation=preparation,
        seed=0,
    )
    assert made.column == ("z" if leak == "number" else "colour")
    metric = "accuracy" if target == "named" else "r2"
    truth, classes = encode_target(preparation, test), len(preparation.target.classes)
    alone = figures(task, target=truth, output=made.outputs["one_column"], classes=classes)[metric]
    assert alone > (0.97 if leak == "number" else 0.5)


def test_the_column_is_chosen_on_rows_that_its_tree_did_not_see():
    """A tree of many leaves fits noise better than it does a weak column of two values."""
    random = np.random.default_rng(0)
    target = random.integers(0, 2, size=300)
    features = random.normal(size=(300, 21))
    features[:, 7] = np.where(random.random(300) < 0.35, 1 - target, target)
    alone = OneColumn(2, balanced=False, absolute=False, seed=0)
    alone.fit(features, target)
    assert alone.place == 7


@pytest.mark.parametrize(("absolute", "place"), [(True, 0), (False, 1)])
def test_the_column_is_the_one_that_is_best_by_what_is_judged(absolute, place):
    """One tells nearly all of most rows, the other which few are ten times as far off."""
    random = np.random.default_rng(0)
    most, far = random.normal(size=3000), random.random(3000) < 0.05
    alone = OneColumn(0, balanced=False, absolute=absolute, seed=0)
    alone.fit(np.column_stack([most, far]), most + 10 * far)
    assert alone.place == place


def test_a_table_of_one_column_has_no_better_one():
    rows = table(200)
    kinds = {"x": "number", "named": "category"}
    preparation = fit(
        PrepareConfig(), DataConfig(source="-", target="named", columns=kinds), rows, task="classification"
    )
    made = baselines("classification", metric="accuracy", train=rows, part=rows, preparation=preparation, seed=0)
    assert "one_column" not in made.outputs
    assert made.column == ""


def test_classes_are_weighed_for_the_simple_models_as_for_the_net():
    train, test = table(1500), table(400, seed=1)
    rare = np.flatnonzero(train["named"] == "high")[:60]  # of 1,500 rows, beside all of the others
    train = train.take(np.sort(np.concatenate([rare, np.flatnonzero(train["named"] == "low")])))
    preparation = prepared(train, "named", "classification")
    truth = encode_target(preparation, test)

    def found(balanced):
        made = baselines(
            "classification",
            metric="accuracy",
            train=train,
            part=test,
            preparation=preparation,
            seed=0,
            balanced=balanced,
        )
        return {
            name: figures("classification", target=truth, output=output, classes=2)["balanced_accuracy"]
            for name, output in made.outputs.items()
        }

    plain, weighed = found(False), found(True)
    assert weighed["constant"] == plain["constant"] == 0.5
    assert weighed["linear"] > plain["linear"] + 0.05
    assert weighed["gradient_boosting"] > plain["gradient_boosting"] + 0.02
    assert weighed["one_column"] > plain["one_column"] + 0.05


def test_the_linear_model_is_told_of_missing_numbers_and_boosting_of_categories():
    random = np.random.default_rng(0)
    x, named = random.normal(size=400), np.array(["low", "high"], dtype=object)[np.arange(400) % 2]
    x[named == "high"] = np.nan
    rows = Rows(columns={**table(400).columns, "x": x, "named": named})
    preparation = prepared(rows, "named", "classification")
    made = baselines("classification", metric="accuracy", train=rows, part=rows, preparation=preparation, seed=0)
    known = figures("classification", target=encode_target(preparation, rows), output=made.outputs["linear"], classes=2)
    assert known["accuracy"] > 0.99
    assert room._boosted(2, preparation, seed=0, balanced=False, absolute=False).categorical_features == [
        False,
        False,
        True,
    ]


def test_a_regression_answers_in_the_targets_own_units():
    train, test = table(1500), table(400, seed=1)
    preparation = prepared(train, "value", "regression")
    made = baselines("regression", metric="rmse", train=train, part=test, preparation=preparation, seed=0)
    r2 = [figures("regression", target=test["value"], output=o, classes=0)["r2"] for o in made.outputs.values()]
    assert r2[0] == pytest.approx(0, abs=0.02)
    assert r2[0] < r2[1] < r2[2]


def test_for_absolute_errors_each_simple_model_makes_them_small():
    """Of a target with a long tail, each is better by that measure than the same model of squared errors."""

    def tailed(rows):
        noise = np.exp(1.5 * np.random.default_rng(len(rows)).normal(size=len(rows)))
        return Rows(columns={**rows.columns, "value": 1000 * (rows["value"] + 3 * noise)})

    train, test = tailed(table(1500)), tailed(table(400, seed=1))
    preparation = prepared(train, "value", "regression")
    errors = {}
    for metric in ("mae", "rmse"):
        made = baselines("regression", metric=metric, train=train, part=test, preparation=preparation, seed=0)
        assert made.notes == ()
        errors[metric] = {
            name: figures("regression", target=test["value"], output=output, classes=0)["mae"]
            for name, output in made.outputs.items()
        }
        if metric == "mae":
            assert np.all(made.outputs["constant"] == np.median(train["value"]))
    assert errors["mae"].keys() == {"constant", "linear", "gradient_boosting", "one_column"}
    for name, error in errors["mae"].items():
        assert error < 0.97 * errors["rmse"][name], name


def test_the_linear_model_of_absolute_errors_is_the_median_regression_of_scikit_learn():
    random = np.random.default_rng(3)
    features = random.normal(size=(500, 4))
    target = 1e5 * (features @ [1, -2, 0.5, 0] + np.exp(random.normal(size=500)))
    ours = room._linear(0, balanced=False, absolute=True)
    ours.fit(features, target)
    wanted = QuantileRegressor(quantile=0.5, alpha=0).fit(features, target).predict(features)
    error, least = np.abs(ours.predict(features) - target).mean(), np.abs(wanted - target).mean()
    assert least * (1 - 1e-9) <= error < 1.002 * least


@pytest.mark.parametrize("sizes", [(0,), (0, 5, 60)])
def test_images_of_one_size_and_of_mixed_sizes_are_flattened(sizes):
    train, test = pictures(sizes=sizes), pictures(seed=1, sizes=sizes)
    config = DataConfig(source="-", target="label", columns={"image": "image", "label": "category"})
    preparation = fit(PrepareConfig(image_size=(8, 8)), config, train, task="classification")
    made = baselines("classification", metric="accuracy", train=train, part=test, preparation=preparation, seed=0)
    assert list(made.outputs) == ["constant", "linear"]
    seen = figures("classification", target=encode_target(preparation, test), output=made.outputs["linear"], classes=3)
    assert seen["accuracy"] > 0.9


def test_large_images_are_averaged_down_and_that_is_said():
    train = pictures(40, 64)
    config = DataConfig(source="-", target="label", columns={"image": "image", "label": "category"})
    preparation = fit(PrepareConfig(), config, train, task="classification")
    made = baselines("classification", metric="accuracy", train=train, part=train, preparation=preparation, seed=0)
    assert "linear saw the images averaged down to 32 pixels." in made.notes


def test_many_rows_are_capped_and_that_is_said(monkeypatch):
    monkeypatch.setattr(room, "LINEAR_WORK", 10)
    train = table(1500)
    preparation = prepared(train, "value", "regression")
    made = baselines("regression", metric="rmse", train=train, part=train, preparation=preparation, seed=0)
    assert "linear was fitted on 1,000 of 1,500 train rows." in made.notes
    other = baselines("regression", metric="rmse", train=train, part=train, preparation=preparation, seed=1)
    assert not np.array_equal(made.outputs["linear"], other.outputs["linear"])  # the seed draws them


def test_a_linear_model_that_has_not_converged_says_so(monkeypatch):
    monkeypatch.setattr(room, "LINEAR_STEPS", 1)
    train = table(300)
    preparation = prepared(train, "named", "classification")
    made = baselines("classification", metric="accuracy", train=train, part=train, preparation=preparation, seed=0)
    assert "linear was stopped after 1 steps, before it had converged." in made.notes


def test_the_constant_is_the_shares_of_the_classes_or_the_mean():
    shares = room.constant(np.array([0, 2, 2, 2]), rows=3, classes=4)
    assert np.array_equal(shares, [[0.25, 0, 0.75, 0]] * 3)
    assert np.array_equal(room.constant(np.array([1.0, 5.0]), rows=2, classes=0), [3.0, 3.0])


def test_one_class_in_train_leaves_the_constant_alone():
    train = table(50)
    train = Rows(columns={**train.columns, "named": np.array(["low"] * 50, dtype=object)})
    made = baselines(
        "classification",
        metric="accuracy",
        train=train,
        part=train,
        preparation=prepared(train, "named", "classification"),
        seed=0,
    )
    assert list(made.outputs) == ["constant"]
    assert "one value" in made.notes[0]


def test_a_class_of_one_row_and_unseen_categories_do_no_harm():
    train, part = table(300), table(50, seed=2)
    named = train["named"].copy()
    named[0] = "rare"
    train = Rows(columns={**train.columns, "named": named})
    part = Rows(columns={**part.columns, "colour": np.array(["never seen"] * 50, dtype=object)})
    made = baselines(
        "classification",
        metric="accuracy",
        train=train,
        part=part,
        preparation=prepared(train, "named", "classification"),
        seed=0,
    )
    for output in made.outputs.values():
        assert output.shape == (50, 3)
        assert np.allclose(output.sum(axis=1), 1)


def test_a_column_of_a_thousand_categories_is_bounded():
    random = np.random.default_rng(0)
    colour = np.array([f"id{k}" for k in random.integers(1000, size=4000)], dtype=object)
    train = Rows(columns={**table(4000).columns, "colour": colour})
    preparation = prepared(train, "value", "regression", min_category_rows=1)
    made = baselines(
        "regression", metric="rmse", train=train, part=train.take(slice(0, 9)), preparation=preparation, seed=0
    )
    assert all(output.shape == (9,) for output in made.outputs.values())


def test_the_same_seed_gives_the_same_answers():
    train = table(200)
    preparation = prepared(train, "value", "regression")
    first, second = (
        baselines("regression", metric="rmse", train=train, part=train, preparation=preparation, seed=3)
        for _ in range(2)
    )
    assert all(np.array_equal(first.outputs[name], second.outputs[name]) for name in first.outputs)
