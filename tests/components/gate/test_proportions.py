"""The exact paired test, against brute force, an optimiser, and statsmodels."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, multinomial
from statsmodels.stats.contingency_tables import mcnemar

from components.evaluation.interval import Interval
from components.gate.proportions import (
    chances,
    critical_value,
    interval,
    most_lost,
    power,
    rows_needed,
    score,
    shown_worse,
    size,
)

COUNTS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200)).filter(lambda c: sum(c) > 0)


def score_by_optimiser(won, lost, rows, margin):
    """The same statistic from its definition: the likelihood under the margin, maximised numerically."""

    def unlikely(q):
        p = np.clip([q, q + margin, 1 - 2 * q - margin], 1e-300, 1)
        return -float(np.dot([won, lost, rows - won - lost], np.log(p)))

    low = max(0, -margin)
    best = minimize_scalar(unlikely, bounds=(low, (1 - margin) / 2), method="bounded", options={"xatol": 1e-13}).x
    return (won - lost + rows * margin) / math.sqrt(rows * (2 * best + margin - margin**2))


@pytest.mark.parametrize("margin", [0.01, 0.1, -0.05])
@pytest.mark.parametrize(("won", "lost", "rows"), [(3, 5, 100), (10, 2, 60), (1, 1, 20), (20, 45, 400)])
def test_the_score_is_the_one_that_an_optimiser_finds(won, lost, rows, margin):
    assert float(score(won, lost, rows, margin=margin)) == pytest.approx(
        score_by_optimiser(won, lost, rows, margin), abs=1e-4
    )


@settings(max_examples=60)
@given(COUNTS)
def test_at_a_margin_of_nothing_the_score_is_mcnemars(counts):
    won, lost, both = counts
    if won + lost == 0:
        return
    expected = mcnemar([[both, won], [lost, 0]], exact=False, correction=False).statistic
    assert float(score(won, lost, won + lost + both, margin=1e-12)) ** 2 == pytest.approx(expected, abs=1e-4)


@settings(max_examples=60)
@given(COUNTS, st.floats(0.001, 0.3))
def test_the_score_rises_with_rows_won_and_falls_with_rows_lost(counts, margin):
    won, lost, both = counts
    rows = won + lost + both + 2
    here = float(score(won, lost, rows, margin=margin))
    assert float(score(won + 1, lost, rows, margin=margin)) >= here - 1e-9
    assert float(score(won, lost + 1, rows, margin=margin)) <= here + 1e-9


@settings(max_examples=60)
@given(COUNTS, st.floats(0.001, 0.3))
def test_seen_from_the_other_model_the_score_changes_its_sign(counts, margin):
    won, lost, both = counts
    rows = won + lost + both
    here = float(score(won, lost, rows, margin=margin))
    assert float(score(lost, won, rows, margin=-margin)) == pytest.approx(-here, abs=1e-6)


def brute_force(rows, p_won, p_lost, says_yes):
    won, lost = np.meshgrid(np.arange(rows + 1), np.arange(rows + 1), indexing="ij")
    possible = won + lost <= rows
    won, lost = won[possible], lost[possible]
    counts = np.stack([won, lost, rows - won - lost], axis=1)
    chances = multinomial.pmf(counts, rows, [p_won, p_lost, 1 - p_won - p_lost])
    return float(np.sum(chances * says_yes(won, lost)))


@pytest.mark.parametrize(("rows", "margin"), [(12, 0.1), (40, 0.05), (90, 0.02)])
def test_size_and_power_are_those_of_brute_force(rows, margin):
    critical = critical_value(rows, margin=margin, alpha=0.05)

    def yes(won, lost):
        return score(won, lost, rows, margin=margin) >= critical

    sizes = [brute_force(rows, q, q + margin, yes) for q in np.linspace(0, (1 - margin) / 2, 60)]
    assert max(sizes) <= 0.0505
    assert size(rows, margin=margin, critical=critical) == pytest.approx(max(sizes), abs=2e-3)
    assert power(rows, discordance=0.1, margin=margin, alpha=0.05) == pytest.approx(
        brute_force(rows, 0.05, 0.05, yes), abs=1e-7
    )


@pytest.mark.parametrize("margin", [0.002, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("rows", [1, 7, 50, 333, 2000])
def test_a_true_loss_of_the_margin_is_let_through_at_most_as_often_as_alpha_says(rows, margin):
    critical = critical_value(rows, margin=margin, alpha=0.05)
    assert size(rows, margin=margin, critical=critical) <= 0.05
    random = np.random.default_rng(rows)
    for q in (0.0, 0.003, 0.05, (1 - margin) / 2):
        won, lost, _ = random.multinomial(rows, [q, q + margin, max(0.0, 1 - 2 * q - margin)], size=20_000).T
        yes = np.mean(score(won, lost, rows, margin=margin) >= critical)
        assert yes <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 20_000)


@pytest.mark.parametrize("rows", [25_000, 100_000])
def test_the_shortcut_for_very_many_rows_holds_its_size_elsewhere_too(rows):
    critical = critical_value(rows, margin=0.002, alpha=0.05)
    random = np.random.default_rng(0)
    for q in (0.0, 0.05, 0.3, 0.499):
        won, lost, _ = random.multinomial(rows, [q, q + 0.002, 1 - 2 * q - 0.002], size=50_000).T
        yes = np.mean(score(won, lost, rows, margin=0.002) >= critical)
        assert yes <= 0.0505 + 4 * math.sqrt(0.05 * 0.95 / 50_000)


@pytest.mark.parametrize(("rows", "discordance", "margin"), [(60, 0.05, 0.05), (360, 0.02, 0.01), (3000, 0.1, 0.02)])
def test_between_equal_models_it_says_yes_as_often_as_the_power_says(rows, discordance, margin):
    random = np.random.default_rng(1)
    p = [discordance / 2, discordance / 2, 1 - discordance]
    won, lost, _ = random.multinomial(rows, p, size=40_000).T
    critical = critical_value(rows, margin=margin, alpha=0.05)
    seen = float(np.mean(score(won, lost, rows, margin=margin) >= critical))
    said = power(rows, discordance=discordance, margin=margin, alpha=0.05)
    assert seen == pytest.approx(said, abs=4 * math.sqrt(0.25 / 40_000))


def test_no_discordant_row_follows_the_rule_of_three():
    # All 1,000 rows alike rule out a loss of 0.3 %; 100 rows rule out 3 %, not 1 %.
    for rows, margin, yes in ((1000, 0.004, True), (1000, 0.002, False), (100, 0.04, True), (100, 0.01, False)):
        seen = float(score(0, 0, rows, margin=margin)) >= critical_value(rows, margin=margin, alpha=0.05)
        assert seen == yes


def test_the_rows_needed_reach_80_percent_and_a_tenth_fewer_do_not():
    for discordance, margin in ((0.02, 0.01), (0.1, 0.05), (0.004, 0.02)):
        needed = rows_needed(discordance=discordance, margin=margin, alpha=0.05)
        assert needed is not None
        assert power(needed, discordance=discordance, margin=margin, alpha=0.05) >= 0.8
        assert power(int(needed * 0.9), discordance=discordance, margin=margin, alpha=0.05) < 0.8


def test_more_rows_are_needed_for_a_smaller_margin_and_for_more_discordance():
    needed = [rows_needed(discordance=0.05, margin=margin, alpha=0.05) for margin in (0.1, 0.05, 0.02, 0.01)]
    assert all(a < b for a, b in pairwise(needed))
    needed = [rows_needed(discordance=share, margin=0.02, alpha=0.05) for share in (0.01, 0.05, 0.2)]
    assert all(a < b for a, b in pairwise(needed))


def test_a_margin_that_no_test_set_can_show_needs_no_number():
    assert rows_needed(discordance=0.5, margin=0.0001, alpha=0.05) is None


@settings(max_examples=40)
@given(COUNTS)
def test_the_interval_holds_the_difference_and_mirrors(counts):
    won, lost, both = counts
    rows = won + lost + both
    seen, mirrored = interval(won, lost, rows, critical=1.645), interval(lost, won, rows, critical=1.645)
    assert -1 <= seen.low <= seen.value <= seen.high <= 1
    assert (seen.low, seen.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-6)


def test_the_interval_is_that_of_tangos_definition():
    seen = interval(8, 20, 300, critical=1.645)
    for edge, target in ((seen.low, 1.645), (seen.high, -1.645)):
        assert score_by_optimiser(8, 20, 300, -edge) == pytest.approx(target, abs=1e-3)


@pytest.mark.parametrize("q", [0.001, 0.1, 0.3])
def test_a_sum_over_the_counts_in_reach_is_the_sum_over_all(q):
    rows, margin, critical = 900, 0.05, 1.7
    won = np.arange(rows + 1.0)
    limit = most_lost(won, rows, margin=margin, critical=critical)
    below = binom.cdf(limit, rows - won, (q + margin) / (1 - q))
    whole = float(np.sum(binom.pmf(won, rows, q) * np.where(limit < 0, 0.0, below)))
    assert chances(rows, p_won=q, p_lost=q + margin, limits=(won, limit)).item() == pytest.approx(whole, abs=1e-8)


def outcomes(rows, *, most):
    """All (won, lost) of at most so many rows in all, [S, 2]."""
    return np.array([(won, lost) for won in range(most + 1) for lost in range(most + 1 - won) if won + lost <= rows])


def chances_of(pairs, rows, *, q, margin):
    """How likely each is where `q` of the rows are won, and `margin` more are lost."""
    given = np.column_stack([pairs, rows - pairs.sum(axis=1)])
    return multinomial.pmf(given, rows, [q, q + margin, max(0.0, 1 - 2 * q - margin)])


@pytest.mark.parametrize("margin", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("rows", [1, 2, 4, 9])
def test_shown_worse_is_the_chance_of_what_is_as_bad_or_worse(rows, margin):
    pairs, shares = outcomes(rows, most=rows), (1 - margin) / 2 * np.linspace(0, 1, 96) ** 2
    scores = score(pairs[:, 0], pairs[:, 1], rows, margin=margin)
    chances = np.array([chances_of(pairs, rows, q=q, margin=margin) for q in shares])
    for (won, lost), seen in zip(pairs, scores, strict=True):
        wanted = chances[:, scores <= seen + 1e-7].sum(axis=1).max() if seen < 0 else 1.0
        assert shown_worse(int(won), int(lost), rows, margin=margin) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("rows", "margin"), [(40, 0.1), (100, 0.05), (200, 0.01), (300, 0.03)])
def test_shown_worse_holds_its_size(rows, margin):
    pairs = outcomes(rows, most=round(rows * margin) + 25)  # what is left out is worse still, and its p-value less
    seen = np.array([shown_worse(int(won), int(lost), rows, margin=margin) for won, lost in pairs])
    for q in (0.0, 0.002, 0.01):
        chance = chances_of(pairs, rows, q=q, margin=margin)
        assert chance[seen <= 0.05].sum() + 1 - chance.sum() <= 0.0501


def test_three_rows_show_nothing_at_a_confidence_that_they_cannot_reach():
    assert critical_value(3, margin=0.99, alpha=0.001) == math.inf
    assert interval(0, 0, 3, critical=math.inf) == Interval(0.0, -1.0, 1.0)


def test_shown_worse_needs_a_loss_beyond_the_margin():
    assert shown_worse(0, 5, 100, margin=0.1) == 1.0
    assert shown_worse(0, 40, 100, margin=0.1) < 1e-6
    assert shown_worse(0, 2, 4, margin=0.1) > 0.02
