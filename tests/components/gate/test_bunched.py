"""Copies and groups before the gate: they count once, and it still says yes to a loss of the margin 1 time in 20."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from statsmodels.api import OLS

from components.evaluation.answers import answers
from components.evaluation.bunches import bunches
from components.gate.bunched import gain_of_accuracy, shown_worse
from components.gate.config import GateConfig
from components.gate.gate import compare, judge
from components.gate.paired import gain
from components.gate.proportions import critical_value, score
from components.gate.proportions import shown_worse as shown_worse_by_rows
from tests.components.gate.test_gate import NAMES, saying, standing, truth
from tests.components.gate.test_paired import labels, regressions

TIMES = 400
WITHIN = 3 * math.sqrt(0.05 * 0.95 / TIMES)


def models(won, lost, copies):
    """Two models of rows that are each `copies` rows: which the new one alone gets right, and which the old one."""
    target = np.zeros(len(won) * copies, dtype=np.int64)
    new, old = (labels(target, np.repeat(wrong, copies), classes=2) for wrong in (lost, won))
    return {"challenger": new, "champion": old, "bunched": bunches(np.repeat(np.arange(len(won)), copies))}


def judged(rows, groups, *, lost=(), won=(), metric="accuracy", config=GateConfig(), **new):
    target = truth(rows)
    return judge(
        config,
        metric=metric,
        task="classification",
        target=target,
        challenger=replace(standing(saying(target, wrong=lost)), **new),
        champion=standing(saying(target, wrong=won), name="digits 1"),
        seed=0,
        groups=groups,
    )


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "roc_auc", "precision_macro", "log_loss"])
def test_with_a_group_for_each_row_the_judgement_is_what_it_was(metric):
    apart = np.random.default_rng(0).permutation(300).astype(np.uint64)
    seen = {"lost": range(5), "won": range(20, 24), "metric": metric}
    assert judged(300, apart, **seen) == judged(300, None, **seen)


@pytest.mark.parametrize("metric", ["rmse", "r2"])
def test_with_a_group_for_each_row_a_regression_is_judged_as_it_was(metric):
    new, old = regressions(np.random.default_rng(0), 200)
    given = {"metric": metric, "task": "regression", "challenger": new, "champion": old, "seed": 0}
    assert compare(GateConfig(), **given, bunched=bunches(np.arange(200))) == compare(GateConfig(), **given)


@pytest.mark.parametrize(("margin", "differing"), [(0.02, 0.1), (0.05, 0.25)])
def test_of_copies_it_lets_a_loss_of_the_margin_through_at_most_one_time_in_twenty(margin, differing):
    """150 rows, ten times each. Taken for 1,500 rows, they let 3 in 10 through."""
    random, config, yes = np.random.default_rng(1), GateConfig(margin=margin), np.zeros(2)
    critical = critical_value(1500, margin=margin, alpha=0.05)
    for _ in range(TIMES):
        drawn = random.random(150)
        given = models(drawn < (differing - margin) / 2, (drawn >= (differing - margin) / 2) & (drawn < differing), 10)
        seen = compare(config, metric="accuracy", task="classification", seed=0, **given)
        yes += [seen.shown, score(seen.won, seen.lost, 1500, margin=margin) >= critical]
    assert 0 < yes[0] / TIMES <= 0.05 + WITHIN
    assert yes[1] / TIMES > 0.2


def test_of_groups_of_many_sizes_it_lets_a_loss_of_the_margin_through_at_most_one_time_in_twenty():
    """Groups of 1 to about 50 rows, each with a loss of its own, which is 0.04 on average."""
    random, yes = np.random.default_rng(2), 0
    for _ in range(TIMES):
        of = np.repeat(np.arange(300), np.ceil(np.exp(random.normal(size=300))).astype(int))
        lost = random.random(len(of)) < (random.beta(0.06, 0.94, size=300))[of]
        won = ~lost & (random.random(len(of)) < (random.beta(0.02, 0.98, size=300) * 0.02 / 0.0188)[of])
        yes += gain_of_accuracy(won * 1.0 - lost, bunches(of), confidence=0.95).interval.low > -0.04
    assert 0 < yes / TIMES <= 0.05 + WITHIN


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
@pytest.mark.parametrize("uneven", [False, True])
def test_of_copies_other_figures_hold_their_promise_too(metric, uneven):
    """120 rows, four times each, or one of twelve 16 times: these weigh most, and are as few as they are."""
    random, count, yes = np.random.default_rng(3), 120, np.zeros(2)

    def drawn(count, copies):
        if metric == "rmse":
            new, old = regressions(random, count, handicap=0.1)
            return [
                answers("regression", target=one.target[copies], output=one.predicted[copies], classes=0)
                for one in (new, old)
            ]
        evidence = random.normal(size=(3, count)) / 2
        logits = 1.5 + 2 * evidence[0] + 0.7 * evidence[1:] - [[0.4], [0]]
        sure = 1 / (1 + np.exp(-logits))
        target = np.zeros(len(copies), dtype=np.int64)
        outputs = np.stack([sure, 1 - sure], axis=2)[:, copies]
        return [answers("classification", target=target, output=one, classes=2) for one in outputs]

    task = "regression" if metric == "rmse" else "classification"
    new, old = drawn(400_000, np.arange(400_000))
    scale = "ratio" if metric == "rmse" else "difference"
    of_truth = {"scale": scale, "margin": 0.1, "confidence": 0.95, "seed": 0}
    config = GateConfig(margin=-gain(metric, challenger=new, champion=old, **of_truth).interval.value)
    for seed in range(TIMES // 2):
        sizes = np.where(random.random(count) < 1 / 12, 16, 1) if uneven else np.full(count, 4)
        copies = np.repeat(np.arange(count), sizes)
        new, old = drawn(count, copies)
        given = {"metric": metric, "task": task, "challenger": new, "champion": old, "seed": seed}
        yes += [compare(config, **given, bunched=bunches(copies)).shown, compare(config, **given).shown]
    assert 0 < yes[0] / (TIMES // 2) <= 0.05 + WITHIN * math.sqrt(2)
    assert yes[1] > 1.5 * yes[0]


def test_the_error_is_that_of_clustered_least_squares():
    """Of bunches of one size the two are the same to rounding."""
    random, of = np.random.default_rng(0), np.repeat(np.arange(60), 5)
    gained = np.clip(random.integers(-1, 2, size=60)[of] + random.integers(-1, 2, size=300), -1, 1).astype(float)
    fitted = OLS(gained, np.ones(300)).fit(cov_type="cluster", cov_kwds={"groups": of, "df_correction": True})
    seen = gain_of_accuracy(gained, bunches(of), confidence=0.95).interval
    z = 1.671093  # Student's t, 59 degrees of freedom, at 0.95
    error = math.sqrt(((seen.value - seen.low - z * z / 120) / z) ** 2 - z * z / 2 / 60**2)
    assert seen.value == pytest.approx(gained.mean())
    assert error == pytest.approx(float(fitted.bse[0]), rel=1e-4)


@pytest.mark.parametrize("lost", [30, 45, 60])
def test_a_class_is_shown_to_be_worse_where_the_upper_limit_of_its_gain_is(lost):
    of = np.repeat(np.arange(100), 3)
    gained = np.where(of < lost, -1.0, 0.0)
    p = shown_worse(gained, bunches(of), margin=0.2)
    limit = gain_of_accuracy(gained, bunches(of), confidence=1 - p).interval.high
    assert limit == pytest.approx(-0.2, abs=1e-9)
    assert shown_worse_by_rows(0, 3 * lost, 300, margin=0.2) < p / 5


def test_copies_of_one_row_show_no_class_to_be_worse():
    assert shown_worse(-np.ones(50), bunches(np.zeros(50)), margin=0.1) == 1
    assert shown_worse(np.zeros(50), bunches(np.arange(50) % 20), margin=0.1) == 1
    lost = range(1, 300, 3)  # the class 'b', whose rows are copies of one
    made = judged(300, [0 if row % 3 == 1 else row for row in range(300)], lost=lost)
    assert next(check for check in made.checks if check.name == "recall per class").status == "passed"
    assert [change.p_value for change in made.classes if change.name == "b"] == [1]
    assert judged(300, None, lost=lost).checks[2].status == "failed"


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "precision_macro", "roc_auc", "log_loss"])
def test_rows_that_all_agree_rule_out_as_much_as_their_bunches_do(metric):
    target = np.tile(np.arange(60) % 3, 20)
    said = labels(target, np.zeros(1200, dtype=bool))
    seen = {"metric": metric, "task": "classification", "challenger": said, "champion": said, "seed": 0}
    apart, copied = (
        compare(GateConfig(), **seen, bunched=bunched).difference
        for bunched in (None, bunches(np.tile(np.arange(60), 20)))
    )
    if metric in ("roc_auc", "log_loss"):  # of a model against itself: nothing is in doubt
        assert apart.low == copied.low == 0
    else:
        assert copied.low < 15 * apart.low < 0


def test_the_limit_of_an_area_is_students_and_wider_for_few_bunches():
    """Of two models that rank all rows rightly: what is unseen is bunches, of 20 in a class, that don't."""
    target, random = np.arange(120) % 2, np.random.default_rng(0)
    made = []
    for sure in random.uniform(0.6, 0.9, size=(2, 40))[:, np.arange(120) % 40]:
        output = np.where(target[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
        made.append(answers("classification", target=target, output=output, classes=2))
    given = {"metric": "roc_auc", "task": "classification", "challenger": made[0], "champion": made[1], "seed": 0}
    seen = compare(GateConfig(), **given, bunched=bunches(np.arange(120) % 40)).difference
    reach = t.ppf(0.95, 39) * (1 + 2 / math.sqrt(40))
    assert seen.low == pytest.approx(-(reach**2 / 2 + reach * math.sqrt(reach**2 / 2)) / 20)


def test_a_class_in_one_group_rules_out_nothing():
    target = np.repeat([0, 1], [90, 10])
    said = labels(target, np.zeros(100, dtype=bool), classes=2)
    seen = {"metric": "balanced_accuracy", "task": "classification", "challenger": said, "champion": said, "seed": 0}
    assert compare(GateConfig(), **seen, bunched=bunches(np.minimum(np.arange(100), 90))).difference.low < -0.5


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_rows_needed_are_bunches_and_as_many_as_without_copies(metric):
    """To the error of an approximation, for accuracy."""
    rows = np.arange(900) % 90
    copied = judged(900, rows, lost=[*range(1, 900, 90)], won=[*range(2, 900, 90)], metric=metric).comparison
    apart = judged(90, None, lost=[1], won=[2], metric=metric).comparison
    assert copied.rows_needed == pytest.approx(apart.rows_needed, rel=0.25)
    assert copied.power == pytest.approx(apart.power, abs=0.1)


def test_the_judgement_says_how_many_bunches_there_are():
    """Of 3,000 rows, each 10 times: the bunches are held, the rows alone would have passed."""
    groups = np.arange(3000) % 300
    made = judged(3000, groups, lost=range(10), won=range(10, 20))
    assert (made.decision, made.rows, made.bunches) == ("not enough evidence", 3000, 300)
    assert "on 3,000 rows (300 independent bunches of them), and a loss" in made.reason
    assert f"with about {round(made.comparison.rows_needed, -1):,} independent bunches it could" in made.reason
    assert "independent bunches would show it" in made.checks[1].text
    assert (made.comparison.lost, made.comparison.won) == (10, 10)
    alone = judged(3000, None, lost=range(10), won=range(10, 20))
    assert (alone.decision, alone.bunches) == ("yes", None)
    wide = judged(3000, groups, config=GateConfig(margin=0.05))
    assert "on 3,000 rows (300 independent bunches of them), and a loss of more than 5 points is ruled" in wide.reason
    worse = judged(3000, groups, lost=[row for row in range(3000) if row % 300 < 60])
    assert worse.decision == "no"
    assert "20 points worse on 3,000 rows (300 independent bunches of them), which is shown" in worse.reason


def test_the_first_release_says_so_too():
    target = truth(100)
    given = {"metric": "accuracy", "task": "classification", "target": target, "champion": None, "seed": 0}
    challenger = standing(saying(target), classes=NAMES)
    made = judge(GateConfig(), challenger=challenger, groups=target, **given)
    assert made.decision == "yes"
    assert made.reason.endswith("It was tested on 100 rows (3 independent bunches of them).")


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "log_loss", "roc_auc"])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_handful_of_groups_shows_nothing(metric, count):
    made = judged(1200, np.arange(1200) % count, lost=[0], metric=metric, config=GateConfig(margin=0.9))
    assert (made.decision, made.comparison.power) == ("not enough evidence", 0)
    assert (made.comparison.rows_needed or 10) >= 10
    made = judged(1200, np.arange(1200) % count, lost=range(1200), metric=metric, config=GateConfig(class_margin=None))
    assert made.decision == "not enough evidence"


@pytest.mark.timeout(60)  # half a second; hours if groups were looked through one by one
def test_a_million_rows_in_groups_are_compared():
    random = np.random.default_rng(0)
    target = random.integers(2, size=1_000_000)
    new, old = (labels(target, random.random(1_000_000) < 0.1, classes=2) for _ in range(2))
    groups = random.integers(200_000, size=1_000_000).astype(np.uint64)
    made = compare(
        GateConfig(),
        metric="accuracy",
        task="classification",
        challenger=new,
        champion=old,
        seed=0,
        bunched=bunches(groups),
    )
    assert made.shown
