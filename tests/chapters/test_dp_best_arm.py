"""The algorithm cells against brute force, closed forms, exact probabilities and an instrumented `pull`."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import laplace, norm

from book import names

ch = names("dp-best-arm")
RNG = np.random.default_rng


def recorder(sums):
    """A `pull` that pays sums(i, n) and remembers its calls."""
    calls = []

    def pull(i, n):
        assert isinstance(i, int) and isinstance(n, int)
        calls.append((i, n))
        return sums(i, n)

    return pull, calls


def within(share, p, runs):
    """Is the observed share within 4.5 standard errors of p?"""
    return abs(share - p) <= 4.5 * math.sqrt(p * (1 - p) / runs)


# --- Max-Det collection


@given(seed=st.integers(0, 10**6), s=st.integers(4, 10), d=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_basis_is_near_the_largest_determinant_by_brute_force(seed, s, d):
    A = RNG(seed).standard_normal((s, d))
    idx, coef = ch.max_det_basis(A)
    np.testing.assert_allclose(coef @ A[idx], A, atol=1e-8)
    assert np.abs(coef).max() <= 1 + 1e-9
    best = max(abs(np.linalg.det(A[list(c)])) for c in combinations(range(s), d))
    mine = abs(np.linalg.det(A[idx]))
    assert best / d ** (d / 2) * (1 - 1e-9) <= mine <= best * (1 + 1e-9)  # Hadamard's bound for |coef| <= 1


@given(seed=st.integers(0, 10**6), r=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_basis_of_features_that_do_not_span(seed, r):
    rng = RNG(seed)
    A = rng.standard_normal((9, r)) @ rng.standard_normal((r, 5))
    idx, coef = ch.max_det_basis(A)
    assert len(idx) == len(set(idx.tolist())) == r
    assert coef.shape == (9, r) and np.abs(coef).max() <= 1 + 1e-9
    np.testing.assert_allclose(coef @ A[idx], A, atol=1e-7)


def test_basis_on_a_circle_is_the_equilateral_triangle():
    turn = np.radians(np.arange(0, 360, 5))
    A = np.column_stack([np.ones(72), np.cos(turn), np.sin(turn)])
    idx, coef = ch.max_det_basis(A)
    assert sorted(np.diff(np.sort(idx) * 5).tolist()) == [120, 120]
    np.testing.assert_allclose((coef**2).sum(1), 1, atol=1e-9)


def test_no_features_are_refused():
    with pytest.raises(ValueError, match="nothing to span"):
        ch.max_det_basis(np.zeros((3, 2)))


# --- Phases


@pytest.mark.parametrize(
    ("K", "d", "sizes"),
    [
        (200, 5, [200, 27, 9, 4, 2, 1]),
        (400, 5, [400, 37, 9, 4, 2, 1]),
        (50, 5, [50, 15, 8, 4, 2, 1]),
        (200, 10, [200, 62, 33, 26, 13, 7, 4, 2, 1]),
        (64, 64, [64, 32, 16, 8, 4, 2, 1]),
        (4, 4, [4, 2, 1]),
        (6, 2, [6, 2, 1]),
        (2, 2, [2, 1]),
    ],
)
def test_phase_sizes_of_the_reconstruction(K, d, sizes):
    assert ch.phase_sizes(K, d) == sizes


@given(K=st.integers(2, 10**7), d=st.integers(1, 64))
def test_phases_fall_to_one_and_their_number_does_not_depend_on_the_arms(K, d):
    sizes = ch.phase_sizes(K, d)
    assert sizes[0] == K and sizes[-1] == 1
    assert all(a > b for a, b in pairwise(sizes) if a > 1)
    assert len(sizes) <= 3 * math.log2(d + 1) + 5


def test_impossible_sizes_are_refused():
    for K, d in ((0, 2), (3, 0)):
        with pytest.raises(ValueError, match="at least one arm"):
            ch.phase_sizes(K, d)


# --- The mechanism


def test_private_mean_has_laplace_noise():
    rng = RNG(0)
    draws = np.array([ch.private_mean(3.0, 4, 0.5, rng) for _ in range(40_000)])
    assert abs(draws.mean() - 0.75) < 4 * draws.std() / 200
    for q in (0.05, 0.25, 0.75, 0.95):
        assert within(np.mean(draws < laplace.ppf(q, 0.75, 1 / (0.5 * 4))), q, 40_000)
    assert ch.private_mean(3.0, 4, math.inf, rng) == 0.75
    for n, eps in ((0, 1.0), (3, 0.0), (3, -1.0), (3, math.nan)):
        with pytest.raises(ValueError, match="eps > 0"):
            ch.private_mean(1.0, n, eps, rng)


# --- DP-BAI


@pytest.mark.parametrize("rule", ["sqrt", "rank"])
@pytest.mark.parametrize(("make", "K", "d", "T"), [("sphere_arms", 200, 5, 3000), ("nuisance_arms", 200, 10, 9000)])
def test_pulls_of_every_phase(rule, make, K, d, T):
    A, mu = getattr(ch, make)(K, d, RNG(1))
    pull, calls = recorder(lambda i, n: n * mu[i])
    assert ch.dp_bai(A, pull, T, math.inf, RNG(2), rule=rule) == mu.argmax()
    sizes = ch.phase_sizes(K, d)
    M, at, active = len(sizes) - 1, 0, set(range(K))
    for s, keep in pairwise(sizes):
        few = d * d < s if rule == "sqrt" else d < s
        n_pulled = min(d, s) if few else s
        phase, at = calls[at : at + n_pulled], at + n_pulled
        arms = [i for i, _ in phase]
        assert len(set(arms)) == n_pulled and set(arms) <= active
        assert {n for _, n in phase} == {T // (M * n_pulled)}
        active = set(sorted(active, key=lambda i: -mu[i])[:keep])  # exact rewards: the truth ranks the arms
    assert at == len(calls)
    assert sum(n for _, n in calls) <= T


def test_budget_is_kept_once_it_is_large_enough():
    A, mu = ch.sphere_arms(300, 6, RNG(3))
    M = len(ch.phase_sizes(300, 6)) - 1
    for T in (M * 36, M * 36 + 17, 2000):
        for policy in (ch.dp_bai, ch.one_phase, ch.dp_od):
            pull, calls = recorder(lambda i, n: n * mu[i])
            policy(A, pull, T, 1.0, RNG(T))
            assert sum(n for _, n in calls) <= T


def test_two_arms_equal_the_closed_form():
    """Pr[wrong] = (1 + z/2) exp(-z) / 2 for the difference of two Laplace noises, z = eps n gap."""
    T, eps, gap, runs = 40, 0.7, 0.2, 20_000
    z = eps * (T // 2) * gap
    p = 0.5 * (1 + z / 2) * math.exp(-z)
    rng, cache, A = RNG(4), {}, np.eye(2)
    for policy in (
        lambda pull: ch.dp_bai(A, pull, T, eps, rng, cache=cache),
        lambda pull: ch.one_phase(A, pull, T, eps, rng),
        lambda pull: ch.dp_sequential_halving(2, pull, T, eps, rng),
    ):
        wrong = np.mean([policy(lambda i, n: n * (0.5 - gap * i)) for _ in range(runs)])
        assert within(wrong, p, runs)


def simulate(first, second, noise_first, noise_second, keep, runs, rng, coef=None):
    """Two phases, vectorised: estimates from noisy means, the `keep` largest, then the larger of fresh noisy means."""
    y = first + rng.laplace(0, noise_first, (runs, len(first)))
    top = np.argsort(-(y if coef is None else y @ coef.T), axis=1)[:, :keep]
    z = second[top] + rng.laplace(0, noise_second, (runs, keep))
    return np.take_along_axis(top, z.argmax(1)[:, None], 1)[:, 0]


def test_four_arms_equal_a_vectorised_simulation():
    mu, T, eps, runs = np.array([0.5, 0.8, 0.3, 0.65]), 24, 0.5, 12_000
    rng, cache = RNG(5), {}
    named = [ch.dp_bai(np.eye(4), lambda i, n: n * mu[i], T, eps, rng, cache=cache) for _ in range(runs)]
    expected = simulate(mu, mu, 1 / (eps * 3), 1 / (eps * 6), 2, 400_000, RNG(6))
    for arm in range(4):
        assert within(np.mean(np.array(named) == arm), np.mean(expected == arm), runs)


def test_six_arms_in_the_plane_equal_a_vectorised_simulation():
    turn = np.radians([0, 20, 45, 70, 85, 120])
    A, theta = np.column_stack([np.cos(turn), np.sin(turn)]), np.array([0.5, 0.4])
    mu, T, eps, runs = A @ theta, 40, 0.6, 12_000
    pairs = list(combinations(range(6), 2))
    pair = list(max(pairs, key=lambda p: abs(np.linalg.det(A[list(p)]))))
    coef = A @ np.linalg.inv(A[pair])
    idx, _ = ch.max_det_basis(A)
    assert sorted(idx.tolist()) == pair  # here the local optimum is the global one
    rng, cache = RNG(7), {}
    named = np.array([ch.dp_bai(A, lambda i, n: n * mu[i], T, eps, rng, cache=cache) for _ in range(runs)])
    expected = simulate(mu[pair], mu, 1 / (eps * 10), 1 / (eps * 10), 2, 400_000, RNG(8), coef)
    for arm in range(6):
        assert within(np.mean(named == arm), np.mean(expected == arm), runs)


def test_a_cache_changes_nothing():
    A, mu = ch.nuisance_arms(60, 6, RNG(9))
    for policy in (ch.dp_bai, ch.one_phase, ch.dp_od):
        answers = []
        for cache in (None, {}):
            rng = RNG(10)
            runs = [
                policy(A, lambda i, n, rng=rng: rng.binomial(n, mu[i]), 700, 0.5, rng, cache=cache) for _ in range(12)
            ]
            answers.append(runs)
        assert answers[0] == answers[1]


def test_features_that_do_not_span_lose_nothing():
    """Two copies of each feature: the rank, not the number of columns, sets the schedule."""
    A, mu = ch.sphere_arms(120, 4, RNG(11))
    runs = []
    for features in (A, np.hstack([A, A])):
        pull, calls = recorder(lambda i, n: n * mu[i])
        assert ch.dp_bai(features, pull, 5000, math.inf, RNG(12)) == mu.argmax()
        runs.append([n for _, n in calls])
    assert runs[0] == runs[1]


def test_an_unknown_rule_and_an_empty_budget_are_refused():
    for options in (dict(T=100, rule="half"), dict(T=0)):
        with pytest.raises(ValueError, match="rule is"):
            ch.dp_bai(np.eye(3), lambda i, n: 0.0, eps=1.0, rng=RNG(0), **options)


def probability_of_arm_0(changed):
    """Exact Pr[arm 0 is named] in the audit, by integrating the four Laplace densities of phase 1.

    Arm 0 is among the top two when at most one of three i.i.d. rivals beats it; then it meets one of them, all alike.
    """
    z = np.linspace(-30, 30, 600_001)
    beats = laplace.sf(z, 0.5, 1)
    top = (1 - beats) ** 3 + 3 * beats * (1 - beats) ** 2
    in_top = np.trapezoid(laplace.pdf(z, changed, 1) * top, z)
    # Phase 2: fresh means 0 against 0.5, two rewards each, eps = 1.
    w = 2 * 0.5
    return in_top * 0.5 * (1 + w / 2) * math.exp(-w)


def test_the_audited_event_has_its_exact_probability():
    p0, p1 = probability_of_arm_0(0.0), probability_of_arm_0(1.0)
    assert 0.5 < math.log(p1 / p0) < 0.74  # the bound of claim C8; 1 is what privacy allows
    pays, rng, runs, cache = [0.0, 0.5, 0.5, 0.5], RNG(13), 15_000, {}
    for changed, p in ((0.0, p0), (1.0, p1)):
        named = [
            ch.dp_bai(
                np.eye(4), lambda i, n, c=changed: c if (i, n) == (0, 1) else n * pays[i], 8, 1.0, rng, cache=cache
            )
            for _ in range(runs)
        ]
        assert within(np.mean(np.array(named) == 0), p, runs)


# --- Rivals


def test_halving_pulls_what_it_says():
    mu = RNG(14).permutation(np.linspace(0.1, 0.9, 11))
    pull, calls = recorder(lambda i, n: n * mu[i])
    assert ch.dp_sequential_halving(11, pull, 1000, math.inf, RNG(0)) == mu.argmax()
    assert [n for _, n in calls] == [22] * 11 + [41] * 6 + [83] * 3 + [125] * 2


@pytest.mark.parametrize("seed", range(4))
def test_g_optimal_meets_the_equivalence_theorem(seed):
    A = RNG(seed).standard_normal((40, 4))
    w = ch.g_optimal(A, tol=0.001)
    assert w.min() >= 0 and w.sum() == pytest.approx(1)
    V = A.T @ (w[:, None] * A)
    leverage = np.einsum("ij,jk,ik->i", A, np.linalg.inv(V), A)
    assert 4 * (1 - 1e-9) <= leverage.max() <= 4 * 1.02  # Kiefer and Wolfowitz: the optimum is d


def test_g_optimal_agrees_with_a_general_solver():
    A = RNG(20).standard_normal((6, 3))

    def loss(x):
        w = np.exp(x) / np.exp(x).sum()
        return -np.linalg.slogdet(A.T @ (w[:, None] * A))[1]

    best = min(minimize(loss, RNG(s).standard_normal(6)).fun for s in range(3))
    w = ch.g_optimal(A, tol=1e-4)
    assert -np.linalg.slogdet(A.T @ (w[:, None] * A))[1] == pytest.approx(best, abs=2e-3)


def test_pruning_never_loses_the_rank():
    A = ch.nuisance_arms(80, 8, RNG(15))[0]
    w = ch.g_optimal(A, prune=0.9)
    assert np.linalg.matrix_rank(A[w > 0]) == 8


@pytest.mark.parametrize("weighted", [False, True])
def test_dp_od_keeps_its_budget_and_finds_the_best_without_noise(weighted):
    A, mu = ch.sphere_arms(100, 5, RNG(16))
    for T in (60, 500, 4001):
        pull, calls = recorder(lambda i, n: n * mu[i])
        named = ch.dp_od(A, pull, T, math.inf, RNG(0), weighted=weighted)
        assert sum(n for _, n in calls) <= T and min(n for _, n in calls) >= 1
        if T >= 500:
            assert named == mu.argmax()


def test_dp_od_solves_the_weighted_normal_equations():
    """One phase with its noise replaced: the arm named is the argmax of A theta, theta from the normal equations."""
    A, mu = ch.nuisance_arms(30, 4, RNG(17))
    for weighted in (False, True):
        for seed in range(20):
            paid, rng = {}, RNG(seed)

            def pull(i, n, paid=paid, rng=rng):
                paid[i] = n, int(rng.binomial(n, mu[i]))
                return paid[i][1]

            named = ch.dp_od(A, pull, 120, 1e9, RNG(0), prune=0.02, weighted=weighted, phases=1)
            arms = sorted(paid)
            n, y = np.array([paid[i] for i in arms]).T
            W = np.diag(n / 0.25 if weighted else n)  # at eps = 1e9 the noise is nothing
            theta = np.linalg.solve(A[arms].T @ W @ A[arms], A[arms].T @ W @ (y / n))
            assert named == np.argmax(A @ theta)


def test_dp_od_trusts_small_groups_less_when_told_of_the_noise():
    """`weighted` must have the smaller error where noise dominates and group sizes differ."""
    A, mu = ch.nuisance_arms(60, 6, RNG(21))
    wrong = []
    for weighted in (False, True):
        rng, cache = RNG(22), {}
        runs = [
            ch.dp_od(A, lambda i, n: n * mu[i], 3000, 0.03, rng, weighted=weighted, phases=1, cache=cache)
            for _ in range(1500)
        ]
        wrong.append(np.mean(np.array(runs) != mu.argmax()))
    assert wrong[1] < wrong[0] - 0.02


# --- Complexities and instances


def test_complexity_by_hand_and_with_the_cap():
    mu = [0.2, 0.9, 0.8, 0.5, 0.88]
    gaps = {2: 0.02, 3: 0.1, 4: 0.4, 5: 0.7}
    h_bai, h_pri = ch.complexity(np.array(mu), 3, 0.5)
    assert h_bai == pytest.approx(max(i / g**2 for i, g in gaps.items()))
    assert h_pri == pytest.approx(max(i / g for i, g in gaps.items()) / 0.5)
    many = np.append(0.9, np.full(50, 0.4))
    assert ch.complexity(many, 2, 1.0) == pytest.approx((4 / 0.25, 4 / 0.5))
    for bad in ([0.5, 0.5], [0.5]):
        with pytest.raises(ValueError, match="one best arm"):
            ch.complexity(np.array(bad), 3, 1.0)


@pytest.mark.parametrize("make", ["sphere_arms", "nuisance_arms"])
def test_instances_are_linear_with_a_gap_in_random_order(make):
    where = []
    for seed in range(12):
        A, mu = getattr(ch, make)(50, 5, RNG(seed))
        theta, _, rank, _ = np.linalg.lstsq(A, mu, rcond=None)
        assert rank == 5 and np.abs(A @ theta - mu).max() < 1e-9
        assert mu.min() >= 0 and mu.max() == pytest.approx(0.9)
        assert np.diff(np.sort(mu)[-2:]) >= 0.1 - 1e-12
        where.append(int(mu.argmax()))
    assert len(set(where)) > 4


def test_chance_alone_is_what_the_normal_law_says():
    """Without privacy, two arms and Bernoulli rewards: the error of one phase is a normal tail."""
    mu, T, runs, rng = np.array([0.55, 0.45]), 400, 8000, RNG(19)
    wrong = np.mean(
        [ch.one_phase(np.eye(2), lambda i, n: rng.binomial(n, mu[i]), T, math.inf, rng) for _ in range(runs)]
    )
    sd = math.sqrt(2 * 0.55 * 0.45 / 200)
    # Ties (a lattice of step 1/200) go to arm 0, so half a step of correction.
    assert within(wrong, norm.cdf((-0.1 - 0.5 / 200) / sd), runs)
