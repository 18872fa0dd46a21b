"""Rows that are copies of others, or of one group, count once."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from components.evaluation.bootstrap import resample, tails
from components.evaluation.bunches import bunches, repeats, rows_in_words
from components.evaluation.config import EvaluateConfig
from components.evaluation.metrics import evaluate, lead
from tests.components.evaluation.test_metrics import NAMES, drawn


def evaluated(target, output, *, groups=None, seed=0, **config):
    classes = NAMES[: output.shape[1]]
    given = {"task": "classification", "target": target, "output": output, "classes": classes, "seed": seed}
    return evaluate(EvaluateConfig(**config), **given, groups=groups)


def test_rows_that_share_a_group_are_a_bunch_and_rows_of_their_own_are_none():
    found = bunches(np.array([2**64 - 1, 5, 2**64 - 1, 7], dtype=np.uint64))
    assert found is not None
    assert (found.of.tolist(), found.count) == ([2, 0, 2, 1], 3)
    assert found.sums([1.0, 10.0, 100.0, 1000.0]).tolist() == [10, 1000, 101]
    assert found.among(np.array([True, True, False, True])) is None
    assert bunches([4, 3, 9]) is None
    assert bunches([]) is None
    assert bunches(None) is None


def test_it_is_said_how_many_bunches_there_are_where_they_are_fewer_than_the_rows():
    assert rows_in_words(1500, None) == "1,500 rows"
    assert rows_in_words(1500, 150) == "1,500 rows (150 independent bunches of them)"
    assert rows_in_words(1, None, kind="test ") == "1 test row"
    assert rows_in_words(9, 1) == "9 rows (1 independent bunch of them)"


def test_a_few_large_bunches_are_worth_less_than_their_number():
    even, uneven = bunches(np.repeat(np.arange(30), 5)), bunches(np.repeat(np.arange(30), [100, *[1] * 29]))
    assert even.effective == 30
    assert uneven.effective == pytest.approx(129**2 / (100**2 + 29))


def test_rows_of_a_class_repeat_each_other_as_far_as_they_share_bunches():
    of, groups = np.array([0, 0, 0, 0, 1, 1, 2]), bunches([0, 0, 1, 1, 0, 2, 3])
    assert repeats(of, 4, groups).tolist() == [2, 1, 1, 1]
    assert repeats(of, 4, None).tolist() == [1, 1, 1, 1]


def test_a_resample_draws_whole_bunches_as_many_as_there_are():
    of = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    weights = np.concatenate(list(resample(len(of), 300, seed=0, bunched=bunches(of))), axis=1)
    first = np.unique(of, return_index=True)[1]
    assert np.array_equal(weights, weights[first][of])
    assert (weights[first].sum(axis=0) == 40).all()
    assert weights.std() > 0.9, "as of a draw with replacement"


def test_with_a_group_for_each_row_nothing_changes():
    target, output = drawn(300, 3, seed=0)
    apart = np.random.default_rng(0).permutation(300)
    assert evaluated(target, output, groups=apart) == evaluated(target, output)
    said = {"metric": "f1_macro", "task": "classification", "target": target, "classes": 3, "seed": 0}
    both = {"output": output, "other": output[:, [1, 0, 2]]}
    assert lead(EvaluateConfig(), **said, **both, groups=apart) == lead(EvaluateConfig(), **said, **both)


def test_copies_make_no_figure_surer_and_are_told():
    target, output = drawn(200, 3, seed=1)
    once = evaluated(target, output)
    copied = evaluated(np.tile(target, 10), np.tile(output, (10, 1)), groups=np.tile(np.arange(200), 10))
    assert (copied.rows, copied.bunches, once.bunches) == (2000, 200, None)
    assert any("The 2,000 rows are 200 independent bunches" in note for note in copied.notes)
    for metric, seen in copied.figures.items():
        apart = once.figures[metric]
        assert seen.value == pytest.approx(apart.value), metric
        assert seen.high - seen.low == pytest.approx(apart.high - apart.low, rel=0.12), metric


def test_copies_that_are_all_right_are_as_many_as_their_bunches():
    target = np.arange(2000) % 2
    copied = evaluated(target, np.eye(2)[target], groups=np.arange(2000) % 100)
    apart = evaluated(target[:100], np.eye(2)[target[:100]])
    assert copied.figures["accuracy"] == apart.figures["accuracy"]


def test_copies_make_no_lead_surer():
    target, output = drawn(100, 2, seed=0, strength=1)
    other = output.copy()
    worse = np.flatnonzero(output.argmax(1) == target)[:4]
    other[worse] = other[worse][:, ::-1]
    target, output, other = np.tile(target, 20), np.tile(output, (20, 1)), np.tile(other, (20, 1))
    said = {"metric": "accuracy", "task": "classification", "target": target, "classes": 2, "seed": 0}
    found = lead(EvaluateConfig(), output=output, other=other, groups=np.tile(np.arange(100), 20), **said)
    assert found.low < 0.015
    assert lead(EvaluateConfig(), output=output, other=other, **said).low > 0.03, "as if there were 2,000 rows"


def test_a_lead_of_few_bunches_reaches_as_far_as_students_t():
    """By the log loss, whose lead is the mean over the bunches of how much each of them gains."""
    gained = np.linspace(-0.4, 0.6, 10)
    sure = np.exp(-np.stack([np.ones(10), 1 + gained]))[:, np.arange(30) % 10]
    output, other = np.stack([sure, 1 - sure], axis=2)
    said = {"metric": "log_loss", "task": "classification", "target": np.zeros(30, dtype=int), "classes": 2, "seed": 0}
    seen = lead(EvaluateConfig(resamples=10_000), output=output, other=other, groups=np.arange(30) % 10, **said)
    expected = ttest_1samp(gained, 0).confidence_interval(0.95)
    assert seen.value == pytest.approx(gained.mean())
    assert seen.high - seen.low == pytest.approx(expected.high - expected.low, rel=0.08)


@pytest.mark.parametrize(("count", "least"), [(12, 0.88), (40, 0.91)])
def test_an_interval_of_few_groups_covers_the_truth_nearly_as_often_as_it_says(count, least):
    """Each group of 8 rows has a share of its own, about 0.7. As if rows were independent it would be 3 in 4 times."""
    random, covered = np.random.default_rng(0), 0
    of = np.repeat(np.arange(count), 8)
    for _ in range(300):
        right = random.random(8 * count) < random.beta(2.1, 0.9, size=count)[of]
        output = np.where(right[:, None], [[0.8, 0.2]], [[0.2, 0.8]])
        target = np.zeros(8 * count, dtype=np.int64)
        seen = evaluated(target, output, groups=of, resamples=200).figures["accuracy"]
        covered += seen.low <= 0.7 <= seen.high
    assert least <= covered / 300 <= 0.985


def test_the_tails_of_few_bunches_lie_further_out():
    few, many = (tails(0.95, bunches(np.repeat(np.arange(count), 2))) for count in (10, 100_000))
    assert few[0] < 0.011
    assert few[0] + few[1] == pytest.approx(1)
    assert many == pytest.approx((0.025, 0.975), abs=1e-4)
    assert tails(0.9, None) == pytest.approx((0.05, 0.95))
