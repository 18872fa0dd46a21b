"""Which epoch's weights to keep: rules that see validation rows, judged on test rows, over the epochs of one training.

Each training is done once, all rules choose among its epochs, and each is compared with the epoch of the best metric.
Tables are drafted by `init`, whole and as a few hundred of their rows, so that few validate; images are the shipped
recipes. Classification only: elsewhere metric and loss hardly disagree.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final
from unittest.mock import patch

import torch

from benchmarks.frame import Figures, write
from benchmarks.inline import run_inline
from benchmarks.table_sets import TABLES, TARGET
from components.data.drafting.draft import draft
from components.evaluation.metrics import figures
from components.home import Home
from components.recipe import Recipe
from components.recipe_file import read
from components.task import Metric
from components.training import loop
from components.training.examples import Dataset, dataset
from components.training.validate import improvements, outputs, telling_rows, validate
from flows.running import yard_of
from tasks.split import Splits
from tasks.train import train

Epoch = Mapping[str, float]
RECIPES: Final = {"images of digits": "digits", "images of mnist5k": "mnist5k"}
FEW: Final = 250  # rows of a table that is taken in part


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """The epochs of one training, as validation and as test rows judge them."""

    metric: Metric
    rows: int  # of validation
    telling: float  # the same, as `improvements` counts them
    validation: list[Epoch] = field(default_factory=list)
    test: list[Epoch] = field(default_factory=list)


def best_metric(seen: Seen) -> int:
    """By the metric, then by the loss, then the earlier one."""
    name = f"validation_{seen.metric}"
    return max(_places(seen), key=lambda at: (seen.validation[at][name], -seen.validation[at]["validation_loss"], -at))


def lowest_loss(seen: Seen) -> int:
    """By the loss alone."""
    return min(_places(seen), key=lambda at: seen.validation[at]["validation_loss"])


def last(seen: Seen) -> int:
    """The last one, whatever it is like."""
    return len(seen.validation) - 1


def standard_error(seen: Seen) -> int:
    """What training does: lower losses within one standard error of the best metric."""
    better = improvements(seen.validation, metric=seen.metric, rows=seen.telling)
    return max(at for at in _places(seen) if better[at])


RULES: Final[dict[str, Callable[[Seen], int]]] = {
    "one standard error": standard_error,
    "lowest loss": lowest_loss,
    "last": last,
}


def _places(seen: Seen) -> range:
    return range(len(seen.validation))


def trained(recipe: Recipe, home: Home) -> Seen:
    """Train, and have each epoch judged by the test rows too."""
    from components.data.load import load as load_rows
    from components.data.preparing.prepare import fit as fit_preparation
    from components.data.splitting.purposes import rows_of
    from components.models.model import ModelSpec, build
    from components.training.from_rows import examples
    from components.training.linear_start import start_linear_
    from components.training.watch import Silent

    yard = yard_of(home, f"{recipe.model}-{recipe.seed}")
    splits: Splits = run_inline(recipe, yard, until=train)[Splits]
    folder, parts = yard.store.get(splits.dataset.folder), yard.store.get(splits.assignments)
    learned, stopping, testing = (
        load_rows(folder, rows, recipe.data.columns)
        for rows in (
            rows_of(parts, "train", purpose="fit"),
            rows_of(parts, "validation", purpose="stop"),
            rows_of(parts, "test", purpose="report"),
        )
    )
    preparation = fit_preparation(recipe.prepare, recipe.data, learned, task=recipe.task)
    spec = ModelSpec(task=recipe.task, network=recipe.network, preparation=preparation)
    model, given = build(spec, seed=recipe.seed), examples(preparation, learned)
    judging = examples(preparation, stopping)
    test = dataset(
        examples(preparation, testing), model, model.head.target, device=torch.device("cpu"), channels_last=True
    )
    telling = telling_rows(torch.from_numpy(judging.target), metric=recipe.judged_by)
    seen = Seen(metric=recipe.judged_by, rows=len(judging), telling=telling)

    def watched(network: torch.nn.Module, rows: Dataset, **rest: Any) -> dict[str, float]:
        known = validate(network, rows, **rest)
        answers = rest["head"](outputs(network, test, chunk=1024, together=rest["together"])).numpy()
        target = test.target.numpy()
        judged = figures("classification", target=target, output=answers, classes=answers.shape[1])
        seen.test.append({f"{metric}": value for metric, value in judged.items()})
        seen.validation.append(known)
        return known

    with tempfile.TemporaryDirectory() as place, patch.object(loop, "validate", watched):
        beginning = Path(place) / "linear.safetensors"
        start_linear_(model, recipe.train, given, seed=recipe.seed, file=beginning)
        loop.fit(
            model,
            recipe.train,
            given,
            judging,
            spec=spec,
            metric=recipe.judged_by,
            seed=recipe.seed,
            folder=Path(place),
            observer=Silent(),
        )
    return seen


def recipe_of(name: str, folder: Path, *, seed: int) -> Recipe:
    """Return a shipped recipe, or the drafted one of a table: `moons`, or `moons in part` for a few of its rows."""
    changes = [f"seed={seed}", f"split.seed={seed}", "train.threads=1"]
    if name in RECIPES:
        return read(Path("recipes") / f"{RECIPES[name]}.yaml", changes=changes)
    table, _, part = name.partition(" ")
    frame = TABLES[table].make()
    source, file = folder / f"{table}-{seed}.csv", folder / f"{table}-{seed}.yaml"
    (frame.sample(FEW, random_state=seed) if part else frame).to_csv(source, index=False)
    file.write_text(draft(source, target=TARGET))
    return read(file, changes=changes)


def of(name: str, *, seeds: int) -> list[Seen]:
    """Return the trainings of a recipe; none where it is a regression."""
    with tempfile.TemporaryDirectory() as folder:
        recipes = [recipe_of(name, Path(folder), seed=seed) for seed in range(seeds)]
        chosen = [recipe for recipe in recipes if recipe.task == "classification"]
        return [trained(recipe, Home(Path(folder) / "home")) for recipe in chosen]


def row(name: str, found: Sequence[Seen]) -> Figures:
    """Return by how much each rule's epochs are better on test than those of the best metric, in points and in nats."""
    figures_of: dict[str, float | int | str] = {"data": name, "validation rows": found[0].rows, "n": len(found)}
    for words, rule in RULES.items():
        pairs = [(seen.test[rule(seen)], seen.test[best_metric(seen)]) for seen in found]
        metric = found[0].metric
        figures_of[f"{words}: points"] = 100 * mean(new[metric] - old[metric] for new, old in pairs)
        figures_of[f"{words}: log loss"] = mean(new["log_loss"] - old["log_loss"] for new, old in pairs)
    return figures_of


def total(rows: Sequence[Figures], *, few: bool) -> list[Figures]:
    """Return the mean over the data sets and its standard error, of those whose validation rows are few or many."""
    chosen = [one for one in rows if (float(one["validation rows"]) < 2 * FEW * 0.2) == few]
    if len(chosen) < 2:
        return []
    known: dict[str, list[float]] = {key: [float(one[key]) for one in chosen] for key in rows[0] if ":" in key}
    words = f"{'fewer than' if few else 'at least'} {round(2 * FEW * 0.2)} validation rows"
    head: dict[str, float | int | str] = {"data": f"mean, {words}", "validation rows": "", "n": len(chosen)}
    errors = {key: stdev(values) / len(values) ** 0.5 for key, values in known.items()}
    return [{**head, **{key: mean(values) for key, values in known.items()}}, {**head, "data": "its error", **errors}]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="*", default=[*TABLES, *(f"{name} in part" for name in TABLES), *RECIPES])
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    found = {name: of(name, seeds=given.seeds) for name in given.data if not _too_small(name)}
    rows = [row(name, seen) for name, seen in found.items() if seen]
    write("epochs", [*rows, *total(rows, few=False), *total(rows, few=True)], libraries=("torch", "scikit-learn"))


def _too_small(name: str) -> bool:
    table, _, part = name.partition(" ")
    return bool(part) and name not in RECIPES and len(TABLES[table].make()) < 2 * FEW


if __name__ == "__main__":
    main()
