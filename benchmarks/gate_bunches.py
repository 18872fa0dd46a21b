"""Does the gate hold what it promises where test rows are copies of each other, or come in groups?

Claim, simulated as in `benchmarks.gate`: at a true loss equal to the margin it says yes at most 5 % of the time. Beside
it: what the same rows would be told if each were taken for independent.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.frame import write
from benchmarks.gate import ERRORS, FIGURES, classifiers, error_of, regressions, true_loss
from components.evaluation.answers import Answers, Labels, Values
from components.evaluation.bunches import bunches
from components.gate.bunched import gain_of_accuracy
from components.gate.config import GateConfig
from components.gate.gate import compare
from components.gate.proportions import critical_value, score
from components.task import Metric, Task

CONFIDENCE = 0.95
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One setting: chances with the standard error of the simulation."""

    metric: str
    setting: str
    bunches: int
    rows: int
    margin: float
    repetitions: int
    yes_at_margin: float
    yes_at_margin_error: float
    yes_as_rows: float  # were each row independent


def alike(count: int, *, times: int) -> Integers:
    """Each row stands `times` times."""
    return np.full(count, times)


def uneven(count: int, *, times: int) -> Integers:
    """One row in 20 stands `times` times, the others once."""
    return np.where(np.arange(count) % 20 == 0, times, 1)


def accuracy_row(
    random: np.random.Generator,
    setting: str,
    sizes: Callable[[int], Integers],
    *,
    count: int,
    margin: float,
    discordance: float,
    alike_within: float,
    repetitions: int,
) -> Row:
    """Draw bunches whose rows are all won, all lost, or neither, but for a share of them drawn by themselves."""
    yes, as_rows = 0, 0
    of = np.repeat(np.arange(count), sizes(count))
    bunched = bunches(of)
    assert bunched is not None
    critical = critical_value(len(of), margin=margin, alpha=1 - CONFIDENCE)
    lost, won = (discordance + margin) / 2, (discordance - margin) / 2
    for _ in range(repetitions):
        outcome = random.choice(3, size=count, p=[won, lost, 1 - lost - won])[of]
        own = random.random(len(of)) >= alike_within  # these rows are drawn by themselves
        outcome[own] = random.choice(3, size=int(own.sum()), p=[won, lost, 1 - lost - won])
        gained = np.where(outcome == 0, 1.0, np.where(outcome == 1, -1.0, 0.0))
        yes += gain_of_accuracy(gained, bunched, confidence=CONFIDENCE).interval.low > -margin
        seen = score((gained > 0).sum(), (gained < 0).sum(), len(of), margin=margin)
        as_rows += float(seen) >= critical
    return Row(
        metric="accuracy",
        setting=setting,
        bunches=count,
        rows=len(of),
        margin=margin,
        repetitions=repetitions,
        yes_at_margin=yes / repetitions,
        yes_at_margin_error=error_of(yes / repetitions, repetitions),
        yes_as_rows=as_rows / repetitions,
    )


def repeated(given: Answers, of: Integers) -> Answers:
    """Return the answers with each row as often as it stands in `of`."""
    if isinstance(given, Values):
        return Values(target=given.target[of], predicted=given.predicted[of])
    return Labels(target=given.target[of], probabilities=given.probabilities[of], predicted=given.predicted[of])


def other_row(
    metric: Metric,
    task: Task,
    setting: str,
    draw: Callable[[int, float], tuple[Answers, Answers]],
    sizes: Callable[[int], Integers],
    *,
    count: int,
    handicap: float,
    repetitions: int,
) -> Row:
    config = GateConfig(margin=true_loss(metric, task, draw, handicap), confidence=CONFIDENCE)
    shown, of = np.zeros(2), np.repeat(np.arange(count), sizes(count))
    for seed in range(repetitions):
        new, old = (repeated(one, of) for one in draw(count, handicap))
        shown += [
            compare(config, metric=metric, task=task, challenger=new, champion=old, seed=seed, bunched=bunched).shown
            for bunched in (bunches(of), None)
        ]
    yes, as_rows = (shown / repetitions).tolist()
    return Row(
        metric=metric,
        setting=setting,
        bunches=count,
        rows=len(of),
        margin=config.margin,
        repetitions=repetitions,
        yes_at_margin=yes,
        yes_at_margin_error=error_of(yes, repetitions),
        yes_as_rows=as_rows,
    )


def simulate(*, counts: int, models: int, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    table = []
    settings = (
        ("10 copies of each", partial(alike, times=10), 1.0),
        ("20 copies of 1 in 20", partial(uneven, times=20), 1.0),
        ("groups of 10, half alike", partial(alike, times=10), 0.5),
    )
    for count in (150, 600):
        for margin, discordance in ((0.02, 0.02), (0.02, 0.1), (0.05, 0.25)):
            for setting, sizes, within in settings:
                row = accuracy_row(
                    random,
                    f"{setting}, discordance {discordance:g}",
                    sizes,
                    count=count,
                    margin=margin,
                    discordance=discordance,
                    alike_within=within,
                    repetitions=counts,
                )
                table.append(row)
    for setting, sizes in (
        ("4 copies of each", partial(alike, times=4)),
        ("20 copies of 1 in 20", partial(uneven, times=20)),
    ):
        for metric in FIGURES:
            draw = partial(classifiers, random, [0.6, 0.3, 0.05, 0.05])
            row = other_row(metric, "classification", setting, draw, sizes, count=150, handicap=0.3, repetitions=models)
            table.append(row)
        for metric in ERRORS:
            draw = partial(regressions, random, 5.0)
            row = other_row(metric, "regression", setting, draw, sizes, count=150, handicap=0.1, repetitions=models)
            table.append(row)
    return table


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, default=2000, help="repetitions for accuracy")
    parser.add_argument("--models", type=int, default=300, help="repetitions for the other figures")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = simulate(counts=options.counts, models=options.models, seed=options.seed)
    write("gate_bunches", [asdict(row) for row in table], libraries=("numpy", "scipy"))


if __name__ == "__main__":
    main()
