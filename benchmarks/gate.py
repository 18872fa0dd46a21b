"""Does the gate hold what it promises?

Claims, each simulated: at a true loss equal to the margin it says yes at most 5 % of the time, and between equal
models as often as the power that it printed, save where hardly a row differs. Accuracy first, by drawing counts; then
other figures, by drawing models.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from benchmarks.frame import write
from components.evaluation.answers import Answers, answers
from components.evaluation.weighted import weighted
from components.gate import proportions
from components.gate.config import GateConfig
from components.gate.gate import compare
from components.task import JUDGED_BY, LOWER_IS_BETTER, Metric, Task

ALPHA = 0.05
CLASSES = {"3 even classes": [1 / 3] * 3, "4 uneven classes": [0.6, 0.3, 0.05, 0.05]}  # their shares
FREEDOM = {"normal errors": 50.0, "t errors, 5 df": 5.0}
FIGURES: tuple[Metric, ...] = tuple(metric for metric in JUDGED_BY["classification"] if metric != "accuracy")
ERRORS = JUDGED_BY["regression"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One setting: chances with the standard error of the simulation."""

    metric: str
    setting: str
    rows: int
    margin: float
    repetitions: int
    yes_at_margin: float
    yes_at_margin_error: float
    yes_at_equal: float
    yes_at_equal_error: float
    power: float  # computed from the true discordance; for other figures the mean of those printed
    power_printed: float  # mean over the simulated judgements
    power_printed_spread: float  # their standard deviation


def error_of(share: float, repetitions: int) -> float:
    return math.sqrt(max(share * (1 - share), 1 / repetitions / 4) / repetitions)


def yes_share(
    random: np.random.Generator, *, rows: int, p: tuple[float, float], margin: float, repetitions: int
) -> tuple[float, npt.NDArray[np.int64]]:
    """Return how often the gate says yes, and the counts of discordant rows, for chances (won, lost)."""
    won, lost, _ = random.multinomial(rows, [*p, 1 - sum(p)], size=repetitions).T
    critical = proportions.critical_value(rows, margin=margin, alpha=ALPHA)
    yes = proportions.score(won, lost, rows, margin=margin) >= critical
    return float(yes.mean()), won + lost


def accuracy_row(random: np.random.Generator, *, rows: int, discordance: float, margin: float, repetitions: int) -> Row:
    # At the margin, the same discordance where it allows the loss, else the least that does.
    won = max(0.0, (discordance - margin) / 2)
    at_margin, _ = yes_share(random, rows=rows, p=(won, won + margin), margin=margin, repetitions=repetitions)
    equal = (discordance / 2, discordance / 2)
    at_equal, counts = yes_share(random, rows=rows, p=equal, margin=margin, repetitions=repetitions)
    distinct, times = np.unique(np.maximum(counts, 1), return_counts=True)
    printed = np.array(
        [proportions.power(rows, discordance=float(count) / rows, margin=margin, alpha=ALPHA) for count in distinct]
    )
    mean = float(np.average(printed, weights=times))
    return Row(
        metric="accuracy",
        setting=f"discordance {discordance:g}",
        rows=rows,
        margin=margin,
        repetitions=repetitions,
        yes_at_margin=at_margin,
        yes_at_margin_error=error_of(at_margin, repetitions),
        yes_at_equal=at_equal,
        yes_at_equal_error=error_of(at_equal, repetitions),
        power=proportions.power(rows, discordance=discordance, margin=margin, alpha=ALPHA),
        power_printed=mean,
        power_printed_spread=float(np.sqrt(np.average((printed - mean) ** 2, weights=times))),
    )


def classifiers(
    random: np.random.Generator, shares: list[float], rows: int, handicap: float
) -> tuple[Answers, Answers]:
    """Draw two classifiers that share most of their mistakes; the challenger's evidence is weaker by the handicap."""
    classes = len(shares)
    target = random.choice(classes, size=rows, p=shares)
    target[:classes] = np.arange(classes)
    common = random.normal(size=(rows, classes))

    def one(strength: float) -> Answers:
        logits = math.sqrt(0.8) * common + math.sqrt(0.2) * random.normal(size=(rows, classes))
        logits[np.arange(rows), target] += strength
        powers = np.exp(2 * (logits - logits.max(axis=1, keepdims=True)))
        output = powers / powers.sum(axis=1, keepdims=True)
        return answers("classification", target=target, output=output, classes=classes)

    return one(3.0 - handicap), one(3.0)


def regressions(random: np.random.Generator, freedom: float, rows: int, handicap: float) -> tuple[Answers, Answers]:
    """Draw two regressions whose errors, of Student's t, correlate at 0.7; the challenger's are larger."""
    target = random.normal(size=rows)
    errors = random.standard_t(freedom, size=(3, rows)) / 2

    def one(own: int, size: float) -> Answers:
        mixed = math.sqrt(0.7) * errors[0] + math.sqrt(0.3) * errors[own]
        return answers("regression", target=target, output=target + size * mixed, classes=0)

    return one(1, 1 + handicap), one(2, 1.0)


def true_loss(
    metric: Metric, task: Task, draw: Callable[[int, float], tuple[Answers, Answers]], handicap: float
) -> float:
    """Return the loss that the handicap stands for, from 4 million rows: with 400,000 its own error made 5.4 % of 5."""
    ones, losses = np.ones((400_000, 1)), []
    for _ in range(10):
        worse, better = draw(len(ones), handicap)
        new, old = float(weighted(metric, worse, ones)[0]), float(weighted(metric, better, ones)[0])
        loss = new - old if metric in LOWER_IS_BETTER else old - new
        losses.append(loss / abs(old) if task == "regression" else loss)
    return float(np.mean(losses))


def other_row(
    metric: Metric,
    task: Task,
    setting: str,
    draw: Callable[[int, float], tuple[Answers, Answers]],
    *,
    rows: int,
    handicap: float,
    repetitions: int,
) -> Row:
    config = GateConfig(margin=true_loss(metric, task, draw, handicap))
    shown: dict[float, list[bool]] = {handicap: [], 0.0: []}
    printed = []
    for seed in range(repetitions):
        for size, seen in shown.items():
            new, old = draw(rows, size)
            result = compare(config, metric=metric, task=task, challenger=new, champion=old, seed=seed)
            seen.append(result.shown)
            if size == 0.0 and result.power is not None:
                printed.append(result.power)
    at_margin, at_equal = float(np.mean(shown[handicap])), float(np.mean(shown[0.0]))
    return Row(
        metric=metric,
        setting=setting,
        rows=rows,
        margin=config.margin,
        repetitions=repetitions,
        yes_at_margin=at_margin,
        yes_at_margin_error=error_of(at_margin, repetitions),
        yes_at_equal=at_equal,
        yes_at_equal_error=error_of(at_equal, repetitions),
        power=float(np.mean(printed)),
        power_printed=float(np.mean(printed)),
        power_printed_spread=float(np.std(printed)),
    )


def of_labels(random: np.random.Generator, *, metric: Metric, setting: str, rows: int, repetitions: int) -> Row:
    draw = partial(classifiers, random, CLASSES[setting])
    return other_row(metric, "classification", setting, draw, rows=rows, handicap=0.3, repetitions=repetitions)


def of_values(random: np.random.Generator, *, metric: Metric, setting: str, rows: int, repetitions: int) -> Row:
    draw = partial(regressions, random, FREEDOM[setting])
    return other_row(metric, "regression", setting, draw, rows=rows, handicap=0.1, repetitions=repetitions)


def settings(*, counts: int, models: int) -> Iterator[Callable[[np.random.Generator], Row]]:
    """Yield what makes each row of the table from random numbers."""
    for rows, margin, discordance in product((60, 360, 1000, 5000), (0.005, 0.01, 0.02, 0.05), (0.005, 0.02, 0.1)):
        yield partial(accuracy_row, rows=rows, discordance=discordance, margin=margin, repetitions=counts)
    for rows in (150, 600):
        for setting, metric in product(CLASSES, FIGURES):
            yield partial(of_labels, metric=metric, setting=setting, rows=rows, repetitions=models)
        for setting, metric in product(FREEDOM, ERRORS):
            yield partial(of_values, metric=metric, setting=setting, rows=rows, repetitions=models)


def simulate(*, counts: int, models: int, seed: int) -> list[Row]:
    """Make every row of the table, several at a time, each from random numbers of its own."""
    with ProcessPoolExecutor() as pool:
        rows = settings(counts=counts, models=models)
        made = [pool.submit(make, np.random.default_rng([seed, place])) for place, make in enumerate(rows)]
        return [one.result() for one in made]


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, default=100_000, help="repetitions for accuracy")
    parser.add_argument("--models", type=int, default=4000, help="repetitions for the other figures")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = simulate(counts=options.counts, models=options.models, seed=options.seed)
    write("gate", [asdict(row) for row in table], libraries=("numpy", "scipy"))


if __name__ == "__main__":
    main()
