"""How good the shipped recipes are: test figures over several seeds of split and training, beside simple models.

Stages run without servers, in a home of their own; the figures are those of `evaluate_test`.
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.frame import Figures, spread, write
from benchmarks.inline import run_inline
from components.home import Home
from components.recipe_file import read
from flows.running import yard_of
from tasks.evaluate import Tested
from tasks.gate import gate

RECIPES = ("digits", "mnist5k", "breast_cancer", "diabetes")


def tested(name: str, *, seed: int, home: Home) -> Tested:
    """Return the test figures of a recipe under a seed."""
    recipe = read(Path("recipes") / f"{name}.yaml", changes=[f"seed={seed}", f"split.seed={seed}"])
    found: Tested = run_inline(recipe, yard_of(home, f"{recipe.model}-{seed}"), until=gate)[Tested]
    return found


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
