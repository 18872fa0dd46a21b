"""Paired intervals of any figure: references, size by simulation, and the cases at the edge."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_rel

from components.evaluation.answers import answers
from components.gate.paired import gain, scale_of


def regressions(random, rows, *, handicap=0.0, freedom=30.0):
    target = random.normal(size=rows)
    errors = random.standard_t(freedom, size=(3, rows))
    made = []
    for own, size in ((1, 1 + handicap), (2, 1.0)):
        mixed = size * (math.sqrt(0.7) * errors[0] + math.sqrt(0.3) * errors[own])
        made.append(answers("regression", target=target, output=target + mixed / 2, classes=0))
    return made


def labels(target, wrong, classes=3):
    said = np.where(wrong, (target + 1) % classes, target)
    return answers("classification", target=target, output=np.eye(classes)[said], classes=classes)


def of(metric, new, old, *, margin=0.05, confidence=0.95, seed=0):
    task = "regression" if metric in ("rmse", "mae", "r2") else "classification"
    return gain(
        metric,
        challenger=new,
        champion=old,
        scale=scale_of(metric, task),
        margin=margin,
        confidence=confidence,
        seed=seed,
    )


def test_of_a_plain_mean_the_limits_are_near_those_of_the_paired_t_test():
    random = np.random.default_rng(0)
    target = random.integers(2, size=800)
    made = []
    for _ in range(2):
        sure = np.clip(0.7 + 0.1 * random.normal(size=800), 0.05, 0.95)
        output = np.where(target[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
        made.append(answers("classification", target=target, output=output, classes=2))
    seen = of("log_loss", *made).interval
    losses = [-np.log(m.probabilities[np.arange(800), target]) for m in made]
    expected = ttest_rel(losses[1], losses[0]).confidence_interval(0.9)
    assert seen.value == pytest.approx(np.mean(losses[1] - losses[0]))
    assert seen.low == pytest.approx(expected.low, abs=0.12 * (expected.high - expected.low))
    assert seen.high == pytest.approx(expected.high, abs=0.12 * (expected.high - expected.low))


def test_balanced_accuracy_on_even_classes_is_nearly_the_exact_test_of_accuracy():
    from components.gate.proportions import critical_value, interval

    random = np.random.default_rng(1)
    target = np.arange(900) % 3
    new, old = labels(target, random.random(900) < 0.05), labels(target, random.random(900) < 0.05)
    lost = int((old.correct & ~new.correct).sum())
    won = int((new.correct & ~old.correct).sum())
    exact = interval(won, lost, 900, critical=critical_value(900, margin=0.01, alpha=0.05))
    seen = of("balanced_accuracy", new, old).interval
    assert seen.value == pytest.approx(exact.value)
    assert seen.low == pytest.approx(exact.low, abs=0.004)


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_at_a_true_loss_of_the_margin_it_says_yes_about_one_time_in_twenty(metric):
    random = np.random.default_rng(2)
    new, old = regressions(random, 400_000, handicap=0.1)
    margin = -of(metric, new, old).interval.value
    drawn = [regressions(random, 80, handicap=0.1) for _ in range(300)]
    yes = [of(metric, *models, margin=margin, seed=s).interval.low > -margin for s, models in enumerate(drawn)]
    assert np.mean(yes) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_the_power_is_the_share_of_equal_models_that_pass():
    random = np.random.default_rng(3)
    seen = [of("mae", *regressions(random, 120), seed=s) for s in range(300)]
    passed = np.mean([one.interval.low > -0.15 for one in seen])
    said = np.mean([one.power(0.15, 1.0) for one in seen])
    assert passed == pytest.approx(said, abs=3 * math.sqrt(0.25 / 300))


def test_labels_that_all_agree_rule_out_three_rows_and_no_less():
    target = np.arange(300) % 3
    same = labels(target, np.zeros(300, dtype=bool))
    low = of("f1_macro", same, same).interval.low
    assert -3.5 / 300 < low < -3 / 300


def test_a_rare_class_makes_the_limit_honest():
    target = np.array([0] * 295 + [1] * 5)
    same = labels(target, np.zeros(300, dtype=bool), classes=2)
    assert of("balanced_accuracy", same, same).interval.low < -0.3


def test_a_class_that_is_seldom_named_makes_the_limit_of_precision_honest():
    """Two rows of 400 are said to be of it: one false alarm in addition costs a sixth of the figure."""
    target = np.arange(400) % 2
    said = np.zeros(400, dtype=int)
    said[[1, 3]] = 1
    seldom = answers("classification", target=target, output=np.eye(2)[said], classes=2)
    assert of("precision_macro", seldom, seldom).interval.low < -0.2
    often = answers("classification", target=target, output=np.eye(2)[target], classes=2)
    assert of("precision_macro", often, often).interval.low > -0.02


def test_perfect_areas_of_different_models_are_not_taken_for_equal():
    target = np.arange(60) % 2
    random = np.random.default_rng(0)
    made = []
    for _ in range(2):
        sure = random.uniform(0.6, 0.9, size=60)
        output = np.where(target[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
        made.append(answers("classification", target=target, output=output, classes=2))
    assert of("roc_auc", *made).interval.low < -0.05
    assert of("roc_auc", made[0], made[0]).interval.low == 0


def test_a_figure_that_is_not_defined_has_no_gain():
    target = np.zeros(30, dtype=np.int64)
    one = labels(target, np.zeros(30, dtype=bool), classes=2)
    assert of("roc_auc", one, one) is None


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_a_model_against_itself_gains_nothing(metric):
    _, old = regressions(np.random.default_rng(0), 50)
    seen = of(metric, old, old)
    assert seen.interval.value == pytest.approx(0, abs=1e-12)
    assert seen.interval.low > -0.05
    if metric != "r2":  # whose margin, a share of an uncertain value, is uncertain itself
        assert (seen.interval.low, seen.interval.high) == (0, 0)
        assert seen.power(0.01, 1.0) == 1


def test_higher_confidence_widens_and_power_rises_with_margin_and_rows():
    new, old = regressions(np.random.default_rng(4), 200)
    wide, narrow = of("rmse", new, old, confidence=0.99), of("rmse", new, old, confidence=0.8)
    assert wide.interval.low < narrow.interval.low <= narrow.interval.value <= narrow.interval.high
    assert narrow.power(0.02, 1.0) < narrow.power(0.1, 1.0) <= 1
    assert narrow.power(0.05, 1.0) < narrow.power(0.05, 4.0)
    assert norm.cdf(0) <= narrow.power(1e3, 1.0)


def test_many_rows_are_dealt_into_units_and_the_interval_stays_the_same():
    new, old = regressions(np.random.default_rng(5), 5000)
    many = of("rmse", new, old).interval
    few = of("rmse", new, old, seed=9).interval
    assert few.low == pytest.approx(many.low, abs=0.2 * (many.high - many.low))


def test_a_champion_that_explains_nothing_leaves_nothing_to_lose_a_share_of():
    # R2 near 0: a share of it is next to nothing, so equal models aren't shown to be within it.
    random = np.random.default_rng(6)
    yes = 0
    for seed in range(100):
        target = random.normal(size=80)
        new, old = (
            answers("regression", target=target, output=0.1 * random.normal(size=80), classes=0) for _ in range(2)
        )
        yes += of("r2", new, old, seed=seed).interval.low > -0.05
    assert yes <= 12


def losses(differences):
    """Two models whose log losses differ by so much on each row, the second one's being 1."""
    target = np.zeros(len(differences), dtype=np.int64)
    sure = np.exp(-np.stack([1 + differences, np.ones(len(differences))]))
    return [
        answers("classification", target=target, output=np.stack([one, 1 - one], axis=1), classes=2) for one in sure
    ]


def reaches(differences):
    """How many standard errors the limits lie below and above the gain."""
    seen = of("log_loss", *losses(differences)).interval
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return (seen.value - seen.low) / error, (seen.high - seen.value) / error


def test_limits_of_smooth_figures_are_never_nearer_than_students_and_wider_for_few_rows():
    rows = 60
    even = np.linspace(-0.5, 0.5, rows)  # short tails: the resamples alone would come closer
    least = t.ppf(0.95, rows - 1) * (1 + 2 / math.sqrt(rows))
    assert min(reaches(even)) >= least - 1e-6
    assert max(reaches(even)) < 1.1 * least


def test_the_worst_row_seen_counts_once_more():
    rows = 200
    one_bad = np.linspace(-0.05, 0.05, rows)
    one_bad[-1] = 2.0
    below, above = reaches(one_bad)
    assert above < 2  # nothing was seen that speaks for more
    assert below > 9  # the resamples of these rows alone say 7


def test_a_row_that_is_far_misplaced_may_be_all_that_a_row_can_take_from_the_area():
    """Of 60 in a class it can take a 60th, and z²/2 such rows may lie among those unseen."""
    target, random = np.arange(120) % 2, np.random.default_rng(0)
    scores = np.clip(np.where(target, 0.9, 0.1) + random.normal(scale=0.05, size=(2, 120)), 0.001, 0.999)
    scores[0, 0] = 0.95  # above most of the others
    made = [
        answers("classification", target=target, output=np.stack([1 - one, one], axis=1), classes=2) for one in scores
    ]
    seen, z = of("roc_auc", *made).interval, norm.ppf(0.95)
    assert seen.value - seen.low >= (z * z / 2 + z * math.sqrt(z * z / 2)) / 60
