"""How good what `steelyard init` writes is: test figures on many tables, beside those of simple models.

Each table is a CSV; its drafted recipe is run up to the trained model, over several seeds of split and training. The
trained model is what all candidates are measured against, and has the figures that `evaluate_test` calls uncompressed.
Differences are by seed, on the same test rows; above 0 the network is better, in accuracy or in shares of the
constant's RMSE.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from benchmarks.frame import Figures, write
from benchmarks.inline import run_inline
from benchmarks.table_sets import CHOOSING, TABLES, TARGET
from components.data.drafting.draft import draft
from components.evaluation.baselines import baselines
from components.evaluation.metrics import figures
from components.home import Home
from components.recipe import Recipe
from components.recipe_file import read
from components.task import LOWER_IS_BETTER
from flows.running import yard_of
from tasks.evaluate import evaluate
from tasks.split import Splits
from tasks.stage import Yard
from tasks.train import Trained

WAYS = ("network", "constant", "linear", "gradient_boosting")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The metric on the test rows, by way, and the seconds of training."""

    values: dict[str, float]
    seconds: float


def scores(file: Path, *, seed: int, home: Home) -> Scores:
    """Return how good the network of a recipe is under a seed, and the simple models on the same rows."""
    recipe = read(file, changes=[f"seed={seed}", f"split.seed={seed}", "train.threads=1"])
    yard = yard_of(home, f"{recipe.model}-{seed}")
    found = run_inline(recipe, yard, until=evaluate)
    trained: Trained = found[Trained]
    return Scores(values=_figures(recipe, yard, splits=found[Splits], trained=trained), seconds=trained.seconds)


def _figures(recipe: Recipe, yard: Yard, *, splits: Splits, trained: Trained) -> dict[str, float]:
    from components.data.load import load as load_rows
    from components.data.preparing.prepare import encode_target
    from components.data.splitting.purposes import rows_of
    from components.export.parity import reference
    from components.models.model import load

    store, columns = yard.store, recipe.data.columns
    folder, parts = store.get(splits.dataset.folder), store.get(splits.assignments)
    learned = load_rows(folder, rows_of(parts, "train", purpose="fit"), columns)
    rows = load_rows(folder, rows_of(parts, "test", purpose="report"), columns)
    loaded = load(store.get(trained.model))
    preparation = loaded.spec.preparation
    simple = baselines(
        recipe.task,
        train=learned,
        part=rows,
        preparation=preparation,
        metric=recipe.judged_by,
        seed=recipe.seed,
        balanced=recipe.train.balanced,
    ).outputs
    outputs = {"network": reference(loaded.model, preparation, rows).astype(float), **simple}
    target, classes = encode_target(preparation, rows), len(preparation.target.classes)
    return {
        way: figures(recipe.task, target=target, output=output, classes=classes)[recipe.judged_by]
        for way, output in outputs.items()
    }


def gains(found: Sequence[Scores], way: str, *, lower: bool) -> list[float]:
    """Return by how much the network is better than the other way, seed by seed."""
    unit = -mean(one.values["constant"] for one in found) if lower else 1.0
    return [(one.values["network"] - one.values[way]) / unit for one in found]


def rank(found: Sequence[Scores], *, lower: bool) -> float:
    """Return the network's place among the ways by their means: 1 is best, equals share their places."""
    means = {way: mean(one.values[way] for one in found) * (-1 if lower else 1) for way in WAYS}
    above = sum(value > means["network"] for value in means.values())
    equal = sum(value == means["network"] for value in means.values())
    return above + (1 + equal) / 2


def row(name: str, *, seeds: int) -> Figures:
    """Return the figures of a table."""
    frame = TABLES[name].make()
    with tempfile.TemporaryDirectory() as folder:
        source, file = Path(folder) / f"{name}.csv", Path(folder) / f"{name}.yaml"
        frame.to_csv(source, index=False)
        file.write_text(draft(source, target=TARGET))
        metric = read(file).judged_by
        found = [scores(file, seed=seed, home=Home(Path(folder) / "home")) for seed in range(seeds)]
    lower = metric in LOWER_IS_BETTER
    linear, boosted = (gains(found, way, lower=lower) for way in ("linear", "gradient_boosting"))
    return {
        "table": name,
        "for": "choosing" if name in CHOOSING else "judging",
        "rows": len(frame),
        "columns": frame.shape[1] - 1,
        "metric": metric,
        **{way: mean(one.values[way] for one in found) for way in WAYS},
        "over_linear": mean(linear),
        "linear_sd": stdev(linear) if seeds > 1 else 0.0,
        "over_boosting": mean(boosted),
        "boosting_sd": stdev(boosted) if seeds > 1 else 0.0,
        "rank": rank(found, lower=lower),
        "train_s": mean(one.seconds for one in found),
        "n": seeds,
    }


def total(rows: Sequence[Figures], name: str) -> Figures:
    """Return on how many tables the network is at least as good, and its mean rank."""
    each = [one for one in rows if name in ("all", one["for"])]
    counts = {key: sum(float(one[key]) >= 0 for one in each) for key in ("over_linear", "over_boosting")}
    known: dict[str, float | int | str] = {"table": f"{name}: {len(each)} tables", **counts}
    known["rank"] = mean(float(one["rank"]) for one in each)
    return {key: known.get(key, "") for key in rows[0]}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", nargs="*", default=list(TABLES))
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows: list[Figures] = [row(name, seeds=given.seeds) for name in given.tables]
    halves = [half for half in ("choosing", "judging") if any(one["for"] == half for one in rows)]
    write("tables", [*rows, *(total(rows, name) for name in (*halves, "all"))], libraries=("torch", "scikit-learn"))


if __name__ == "__main__":
    main()
