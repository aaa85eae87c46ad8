"""The algorithm cells against double loops, scikit-learn, closed forms and Monte Carlo."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsRegressor

from book import names

ch = names("one-nearest-neighbor")


def problem(n=50, q=7, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, d)), rng.standard_normal(n), rng.random((q, d)), rng


def by_double_loop(Xq, X, y, group, keep):
    """The (M, L) rule without NumPy: lists, loops and a sort."""
    predictions = []
    for x in Xq.tolist():
        winners = {}
        for row, label, g in zip(X.tolist(), y.tolist(), group.tolist(), strict=True):
            distance = math.dist(x, row)
            if g not in winners or distance < winners[g][0]:
                winners[g] = (distance, label)
        kept = sorted(winners.values())[:keep]
        predictions.append(sum(label for _, label in kept) / len(kept))
    return np.array(predictions)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60), M=st.integers(1, 60), keep=st.integers(1, 60), d=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_both_rules_equal_the_double_loop(n, M, keep, d, seed):
    M = min(M, n)
    keep = min(keep, M)
    X, y, Xq, rng = problem(n, 5, d, seed)
    group = ch.split_groups(n, M, rng)
    ours = ch.split_1nn_predict(Xq, X, y, group, select=keep / M)
    np.testing.assert_allclose(ours, by_double_loop(Xq, X, y, group, keep), atol=1e-12)


def test_plain_rule_is_the_mean_of_scikit_learns_one_neighbour_regressors():
    X, y, Xq, rng = problem(400, 30)
    group = ch.split_groups(400, 9, rng)
    fits = [KNeighborsRegressor(1).fit(X[group == j], y[group == j]).predict(Xq) for j in range(9)]
    np.testing.assert_allclose(ch.split_1nn_predict(Xq, X, y, group), np.mean(fits, 0), atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 17, 200])
def test_baseline_equals_scikit_learn(k):
    X, y, Xq, _ = problem(200, 20)
    expected = KNeighborsRegressor(k).fit(X, y).predict(Xq)
    np.testing.assert_allclose(ch.knn_predict(Xq, X, y, k), expected, atol=1e-12)


def test_the_ends_of_the_rule():
    X, y, Xq, rng = problem(80)
    nearest = ch.knn_predict(Xq, X, y, 1)
    one = ch.split_groups(80, 1, rng)
    all_alone = ch.split_groups(80, 80, rng)
    np.testing.assert_allclose(ch.split_1nn_predict(Xq, X, y, one), nearest)
    np.testing.assert_allclose(ch.split_1nn_predict(Xq, X, y, all_alone), y.mean())
    # one machine per point, the L closest answers kept: exactly L-NN
    np.testing.assert_allclose(ch.split_1nn_predict(Xq, X, y, all_alone, 20 / 80), ch.knn_predict(Xq, X, y, 20))
    for M in (2, 7, 31):  # the closest of all answers is the nearest point, whatever the deal
        group = ch.split_groups(80, M, rng)
        np.testing.assert_allclose(ch.split_1nn_predict(Xq, X, y, group, 1 / M), nearest)


def test_labels_may_be_one_hot():
    X, _, Xq, rng = problem(60)
    label = rng.integers(0, 3, size=60)
    group = ch.split_groups(60, 8, rng)
    shares = ch.split_1nn_predict(Xq, X, np.eye(3)[label], group, 0.5)
    assert shares.shape == (7, 3)
    np.testing.assert_allclose(shares.sum(1), 1)
    for c in range(3):
        np.testing.assert_allclose(shares[:, c], ch.split_1nn_predict(Xq, X, (label == c) * 1.0, group, 0.5))


@given(n=st.integers(1, 300), M=st.integers(1, 300), seed=st.integers(0, 99))
def test_groups_are_even_and_random(n, M, seed):
    M = min(M, n)
    group = ch.split_groups(n, M, np.random.default_rng(seed))
    sizes = np.bincount(group, minlength=M)
    assert group.shape == (n,) and len(sizes) == M
    assert sizes.max() - sizes.min() <= 1 and sizes.min() >= 1


def test_each_pair_of_points_shares_a_group_as_often_as_chance_says():
    rng = np.random.default_rng(3)
    together = np.mean([g[0] == g[1] for g in (ch.split_groups(12, 4, rng) for _ in range(6000))])
    assert together == pytest.approx(2 / 11, abs=4 * math.sqrt(2 / 11 * 9 / 11 / 6000))


def test_expected_weights_equal_monte_carlo_over_independent_deals():
    rng = np.random.default_rng(5)
    n, M, trials = 30, 6, 20_000
    group = rng.integers(0, M, size=(trials, n))  # point i chooses a group; points are already sorted by distance
    first = np.zeros((trials, n))
    for j in range(M):
        hit = group == j
        found = hit.any(1)
        first[np.flatnonzero(found), hit.argmax(1)[found]] += 1 / M
    spread = first.std(0) / math.sqrt(trials)
    assert (np.abs(first.mean(0) - ch.rank_weights(n, M)) <= 4.5 * spread + 1e-12).all()


@given(n=st.integers(1, 400), M=st.integers(1, 50))
def test_weights_sum_as_documented_and_have_mean_rank_m(n, M):
    w = ch.rank_weights(n, M)
    assert w.sum() == pytest.approx(1 - (1 - 1 / M) ** n)
    assert ch.rank_weights(5000, M) @ np.arange(1, 5001) == pytest.approx(M, rel=1e-6)


def test_noise_of_one_deal_is_that_of_m_labels():
    rng = np.random.default_rng(8)
    X, Xq = rng.random((2000, 2)), rng.random((1500, 2))
    for select, votes in ((1.0, 25), (0.4, 10)):
        spread = [
            ch.split_1nn_predict(Xq, X, rng.standard_normal(2000), ch.split_groups(2000, 25, rng), select)
            for _ in range(20)
        ]
        assert np.mean(np.square(spread)) == pytest.approx(1 / votes, rel=0.1)


@pytest.mark.parametrize("s", [0.5, 2.0])
def test_error_on_a_brownian_path_equals_the_formulas_of_the_text(s):
    rng = np.random.default_rng(1)
    n, M = 6000, 60
    split, knn = [], []
    for _ in range(40):
        X, path, noise, Xq, truth = ch.brownian_problem(n, 150, rng)
        y = path + s * noise
        split.append(np.mean((ch.split_1nn_predict(Xq, X, y, ch.split_groups(n, M, rng)) - truth) ** 2))
        knn.append(np.mean((ch.knn_predict(Xq, X, y, M) - truth) ** 2))
    assert np.mean(split) == pytest.approx(s**2 / M + (M + 3) / (8 * n), abs=4 * np.std(split) / 40**0.5)
    assert np.mean(knn) == pytest.approx(s**2 / M + (M + 2) / (12 * n), abs=4 * np.std(knn) / 40**0.5)


def test_brownian_paths_have_variance_equal_to_distance():
    rng = np.random.default_rng(2)
    close, far = [], []
    for _ in range(300):
        X, path, _, Xq, truth = ch.brownian_problem(40, 10, rng)
        at, values = np.append(X[:, 0], Xq[:, 0]), np.append(path, truth)
        close.append((values[0] - values[45]) ** 2 / abs(at[0] - at[45]))
        far.append(values[at.argmax()] ** 2 / at.max())
    for scaled in (close, far):  # chi-squared with one degree of freedom: mean 1, variance 2
        assert np.mean(scaled) == pytest.approx(1, abs=4 * math.sqrt(2 / 300))


def test_number_of_groups_of_the_theory():
    assert ch.theory_M(10_000, 1, alpha=0.5) == 100  # 10000**0.5 must not jump to 101
    assert [ch.theory_M(n, 5, c=10.0) for n in (500, 2500, 12500)] == [60, 94, 149]  # the authors' schedule
    assert ch.theory_M(5, 1, c=100.0) == 5 and ch.theory_M(5, 1, c=1e-6) == 1


def test_bad_arguments_are_named():
    X, y, Xq, rng = problem(10)
    with pytest.raises(ValueError, match="between 1 and n = 10, got 11"):
        ch.split_groups(10, 11, rng)
    with pytest.raises(ValueError, match="group 1 has no points"):
        ch.group_nearest(Xq, X, np.array([0, 2] * 5))
    idx, dist = ch.group_nearest(Xq, X, np.arange(10))
    for select in (0.0, 1.5):
        with pytest.raises(ValueError, match="fraction"):
            ch.aggregate_nearest(idx, dist, y, select)
    with pytest.raises(ValueError, match="between 1 and n = 10"):
        ch.knn_predict(Xq, X, y, 0)
    for bad in (dict(n=0, d=1), dict(n=5, d=0), dict(n=5, d=1, alpha=0.0), dict(n=5, d=1, c=0.0)):
        with pytest.raises(ValueError, match="need n"):
            ch.theory_M(**bad)
    with pytest.raises(ValueError, match="need n >= 1 and M >= 1"):
        ch.rank_weights(5, 0)
