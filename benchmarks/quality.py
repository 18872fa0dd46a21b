"""How good the shipped recipes are: test figures over several seeds of split and training, beside simple models.

Stages run without servers, in a home of their own; the figures are those of `evaluate_test`.
"""

import argparse
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.frame import Figures, spread, write
from components.errors import refuse
from components.home import Home
from components.recipe_file import read
from flows.retrain import retrain
from flows.running import find_source, yard_of
from tasks.evaluate import Tested
from tasks.gate import gate
from tasks.stage import Stage, Yard, perform

RECIPES = ("digits", "mnist5k", "breast_cancer", "diabetes")


class Ended(Exception):  # noqa: N818
    """The test figures are there."""


class UntilTested:
    """Runs stages in this process, up to the test figures."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.tested: Tested | None = None

    def __call__(self, stage: Stage[..., Any], *args: object, **kwargs: object) -> Any:
        """Run the stage."""
        if stage is gate:
            raise Ended
        outputs = perform(stage, stage.bind(*args, **kwargs), self.yard, log=logging.getLogger("bench")).outputs
        if isinstance(outputs, Tested):
            self.tested = outputs
        return outputs

    def ask(self, question: Any, *args: object, **kwargs: object) -> Any:
        """Ask the ledger."""
        return question(self.yard, *args, **kwargs)


def tested(name: str, *, seed: int, home: Home) -> Tested:
    """Return the test figures of a recipe under a seed."""
    changes = [f"seed={seed}", f"split.seed={seed}"]
    recipe = read(Path("recipes") / f"{name}.yaml", changes=changes)
    run = UntilTested(yard_of(home, f"{recipe.model}-{seed}"))
    source = find_source(recipe, run.yard, bring=True)
    if source is None:
        raise refuse(f"no data for {name}")
    with suppress(Ended):
        retrain(recipe, source, run)
    if run.tested is None:
        raise refuse(f"{name} was not tested")
    return run.tested


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows: list[Figures] = []
    for name in given.recipes:
        metric = read(Path("recipes") / f"{name}.yaml").judged_by
        with tempfile.TemporaryDirectory() as folder:
            found = [tested(name, seed=seed, home=Home(Path(folder))) for seed in range(given.seeds)]
        ways = {
            "uncompressed": [one.uncompressed.figures[metric].value for one in found],
            "selected": [one.selected.figures[metric].value for one in found],
        }
        ways |= {way: [one.baselines[way][metric].value for one in found] for way in found[0].baselines}
        for way, values in ways.items():
            mean = sum(values) / len(values)
            rows.append({"recipe": name, "metric": metric, "model": way, "mean": mean, **spread(values)})
    write("quality", rows, libraries=("torch", "onnxruntime", "scikit-learn"))


if __name__ == "__main__":
    main()
