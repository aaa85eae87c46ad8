"""The selection rules against sorting by hand, exhaustive enumeration and closed forms."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from book import names

ch = names("best-of-majority")
HALF = np.array([0.5, 0.5])

votes = arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 9)).filter(lambda c: c.sum() > 0)


def hand_ranked(key, allowed, k):
    """Python's sort on (-key, index) pairs: the definition of "largest first, ties to the lower index"."""
    return [i for _, i in sorted((-key[i], i) for i in allowed)][:k]


def compositions(n, parts):
    """All count vectors of length `parts` that sum to n."""
    if parts == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for rest in compositions(n - first, parts - 1):
            yield (first, *rest)


def by_hand(rule, counts, r_hat, k, alpha):
    """The three rules written with lists, without the chapter's code."""
    sampled = [i for i, c in enumerate(counts) if c > 0]
    if rule == "mv":
        return hand_ranked(counts, sampled, k)
    if rule == "weighted":
        return hand_ranked([c * r for c, r in zip(counts, r_hat, strict=True)], sampled, k)
    if rule == "bom":
        frequent = [i for i in sampled if counts[i] / sum(counts) >= alpha]
        sampled = frequent or [i for i in sampled if counts[i] == max(counts)]
    return hand_ranked(r_hat, sampled, k)


def exact_regret(pi, r_true, r_hat, n, k, rule, alpha):
    """Expected regret and the standard deviation of the best reward, summed over every multinomial outcome."""
    outcomes = []
    for counts in compositions(n, len(pi)):
        chance = factorial(n) * np.prod([p**c / factorial(c) for p, c in zip(pi, counts, strict=True)])
        outcomes.append((chance, max(r_true[i] for i in by_hand(rule, counts, r_hat, k, alpha))))
    chance, best = np.array(outcomes).T
    assert chance.sum() == pytest.approx(1)
    mean = chance @ best
    return max(r_true) - mean, np.sqrt(chance @ (best - mean) ** 2)


@pytest.mark.parametrize("rule", ["mv", "bon", "bom", "weighted"])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_simulated_regret_equals_enumeration(rule, k, n):
    pi, r_true = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.2, 1.0, 0.5, 0.0])
    r_hat, alpha, reps = np.array([0.3, 0.8, 0.7, 0.9]), 0.4, 2500
    exact, deviation = exact_regret(pi, r_true, r_hat, n, k, rule, alpha)
    measured = ch.pass_at_k_regret(pi, r_true, r_hat, n, k, rule, alpha, np.random.default_rng(n), reps)
    assert abs(measured - exact) <= 4 * deviation / np.sqrt(reps) + 1e-12


@given(counts=votes, k=st.integers(1, 6), alpha=st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]), seed=st.integers(0, 50))
def test_rules_equal_sorting_by_hand(counts, k, alpha, seed):
    reward = np.random.default_rng(seed).integers(0, 4, len(counts)) / 4  # few values: ties are common
    assert ch.majority_vote(counts, k).tolist() == by_hand("mv", counts, reward, k, alpha)
    assert ch.best_of_n(counts, reward, k).tolist() == by_hand("bon", counts, reward, k, alpha)
    assert ch.best_of_majority(counts, reward, k, alpha).tolist() == by_hand("bom", counts, reward, k, alpha)
    assert ch.weighted_vote(counts, reward, k).tolist() == by_hand("weighted", counts, reward, k, alpha)


@given(counts=votes, k=st.integers(1, 6), alpha=st.floats(0, 1), seed=st.integers(0, 50))
def test_submissions_are_distinct_sampled_and_ordered(counts, k, alpha, seed):
    reward = np.random.default_rng(seed).normal(size=len(counts))
    picked = ch.best_of_majority(counts, reward, k, alpha)
    assert 1 <= len(picked) <= k and len(set(picked.tolist())) == len(picked)
    assert (counts[picked] > 0).all()
    assert (np.diff(reward[picked]) <= 0).all()


@given(counts=votes, k=st.integers(1, 6), seed=st.integers(0, 50))
def test_ends_of_the_threshold(counts, k, seed):
    reward = np.random.default_rng(seed).normal(size=len(counts))
    assert ch.best_of_majority(counts, reward, k, 0.0).tolist() == ch.best_of_n(counts, reward, k).tolist()
    top = ch.best_of_majority(counts, reward, 1, counts.max() / counts.sum())
    assert counts[top[0]] == counts.max()  # voting, with ties broken by the score


@given(counts=votes, seed=st.integers(0, 50))
def test_enough_submissions_hand_in_everything(counts, seed):
    reward, k = np.random.default_rng(seed).random(len(counts)), len(counts)
    everything = set(np.flatnonzero(counts).tolist())
    for picked in (
        ch.majority_vote(counts, k),
        ch.best_of_n(counts, reward, k),
        ch.best_of_majority(counts, reward, k, 0.0),
        ch.weighted_vote(counts, reward, k),
    ):
        assert set(picked.tolist()) == everything


def test_relabelling_the_answers_relabels_the_submission():
    counts, reward = np.array([5, 3, 9, 1]), np.array([0.2, 0.9, 0.4, 1.0])
    for order in permutations(range(4)):
        order = np.array(order)
        for rule in ch.RULES.values():
            original, moved = rule(counts, reward, 2, 0.1), rule(counts[order], reward[order], 2, 0.1)
            assert order[moved].tolist() == original.tolist()


def test_only_the_order_of_scores_matters_to_best_of_majority():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts, reward = rng.integers(0, 6, 9) + (np.arange(9) == 0), rng.normal(size=9)
        plain = ch.best_of_majority(counts, reward, 3, 0.1)
        assert plain.tolist() == ch.best_of_majority(counts, np.exp(3 * reward), 3, 0.1).tolist()


def test_a_frequency_equal_to_the_threshold_passes():
    # 0.1 + 0.2 style rounding: 0.07 * 100 is 7.000000000000001 in floating point.
    counts = np.array([93, 7])
    assert ch.best_of_majority(counts, np.array([0.0, 1.0]), 1, 0.07).tolist() == [1]


def test_the_table_of_the_page():
    counts, score = np.array([52, 35, 12, 1]), np.array([0.3, 0.8, 0.2, 0.9])
    assert ch.majority_vote(counts, 1).tolist() == [0]
    assert ch.best_of_n(counts, score, 1).tolist() == [3]
    assert ch.best_of_majority(counts, score, 1, 0.1).tolist() == [1]


def test_counts_have_the_law_of_independent_draws():
    pi, n, reps = np.array([0.5, 0.3, 0.2]), 40, 4000
    rng = np.random.default_rng(1)
    drawn = np.array([ch.answer_counts(pi, n, rng) for _ in range(reps)])
    assert (drawn.sum(1) == n).all()
    for y, p in enumerate(pi):
        assert abs(drawn[:, y].mean() - n * p) <= 4 * np.sqrt(n * p * (1 - p) / reps)
        at_most = (drawn[:, y] <= n * p).mean()
        exact = binom.cdf(int(n * p + 1e-9), n, p)
        assert abs(at_most - exact) <= 4 * np.sqrt(exact * (1 - exact) / reps)


def test_regret_of_one_sample_is_the_gap_to_the_mean_reward():
    pi, r = np.array([0.2, 0.5, 0.3]), np.array([1.0, 0.4, 0.0])
    for rule in ch.RULES:
        measured = ch.pass_at_k_regret(pi, r, r, 1, 1, rule, 0.3, np.random.default_rng(0), 5000)
        assert measured == pytest.approx(1 - pi @ r, abs=4 * r.std() / np.sqrt(5000))


def test_threshold_regret_equals_a_binomial_tail():
    """Two answers: Best-of-Majority fails exactly when the right one has too few votes."""
    pi, r = np.array([0.1, 0.9]), np.array([1.0, 0.3])
    for n in (30, 200):
        missed = binom.cdf(np.ceil(0.075 * n) - 1, n, 0.1)
        measured = ch.pass_at_k_regret(pi, r, r, n, 1, "bom", 0.075, np.random.default_rng(n), 4000)
        assert measured == pytest.approx(0.7 * missed, abs=4 * 0.7 * np.sqrt(missed * (1 - missed) / 4000))


@given(seed=st.integers(0, 200), k=st.integers(1, 4), y=st.integers(5, 12))
def test_the_theorem_of_the_page(seed, k, y):
    """With the best answer kept, regret <= eps_opt + sqrt(eps_RM^2 / (beta k)); beta: the smallest kept probability."""
    rng = np.random.default_rng(seed)
    pi, r_true = rng.dirichlet(np.ones(y)), rng.random(y)
    r_hat = r_true + rng.normal(0, 0.3, y)
    counts = ch.answer_counts(pi, 200, rng)
    star = r_true.argmax()
    kept = (counts > 0) & (counts >= 0.05 * 200)
    if not kept[star]:
        return
    regret = r_true.max() - r_true[ch.best_of_majority(counts, r_hat, k, 0.05)].max()
    error = pi @ (r_hat - r_true) ** 2
    assert regret <= abs(r_hat[star] - r_true[star]) + np.sqrt(error / (pi[kept].min() * k)) + 1e-12


def test_coverage_and_threshold():
    pi, r = np.array([0.5, 0.04, 0.46]), np.array([0.3, 0.9, 0.2])
    assert ch.coverage(pi, r) == pytest.approx(25)
    assert ch.default_alpha(25) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ch.coverage(np.array([0.5, 0.5]), np.array([1.0, 1.0])), "one best answer"),
        (lambda: ch.coverage(np.array([0.0, 1.0]), np.array([1.0, 0.0])), "probability > 0"),
        (lambda: ch.default_alpha(0.5), "at least 1"),
        (lambda: ch.answer_counts(np.array([0.5, 0.6]), 3, np.random.default_rng(0)), "sum to 1"),
        (lambda: ch.majority_vote(np.array([1, 2]), 0), "at least 1"),
        (lambda: ch.best_of_majority(np.array([1, 2]), np.array([0.1, 0.2]), 1, 1.5), "between 0 and 1"),
        (lambda: ch.pass_at_k_regret(HALF, HALF, HALF, 2, 1, "best", 0, np.random.default_rng(0), 1), "unknown rule"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
