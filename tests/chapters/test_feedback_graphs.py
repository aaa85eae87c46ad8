"""Feedback graphs: closed forms, a dual linear program, brute force, finite differences and a mean field."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from book import names

ch = names("feedback-graphs")


def random_graph(n, edge, seed):
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < edge, 1)
    return upper | upper.T | np.eye(n, dtype=bool)


def uniform_on(members, n):
    q = np.zeros(n)
    q[list(members)] = 1 / len(members)
    return q


def test_hub_graph_is_the_union_of_stars_and_points():
    adj, hubs, leaves = ch.hub_graph([3, 2], 1)
    expected = nx.disjoint_union_all([nx.star_graph(3), nx.star_graph(2), nx.empty_graph(1)])
    np.testing.assert_array_equal(adj, nx.to_numpy_array(expected).astype(bool) | np.eye(8, dtype=bool))
    assert hubs == [0, 4] and leaves == [1, 2, 3, 5, 6, 7]
    np.testing.assert_array_equal(ch.star_graph(4), ch.hub_graph([4])[0])
    with pytest.raises(ValueError, match="at least one leaf"):
        ch.hub_graph([3, 0])


@pytest.mark.parametrize("T", [50, 700, 20_000])
def test_clique_bandit_and_star_have_their_closed_forms(T):
    n = 7
    assert ch.problem_complexity(np.ones((n, n), dtype=bool), T)[0] == pytest.approx(np.sqrt(T), rel=1e-4)
    assert ch.problem_complexity(np.eye(n, dtype=bool), T)[0] == pytest.approx(np.sqrt(n * T), rel=1e-4)
    value, members, gap = ch.problem_complexity(ch.star_graph(n), T)
    assert value == pytest.approx(min(np.sqrt(n * T), T ** (2 / 3)), rel=1e-4)
    assert members == tuple(range(1, n + 1)) and value == pytest.approx(gap * T)


def test_short_games_cost_half_a_unit_per_round():
    assert ch.problem_complexity(np.eye(20, dtype=bool), 30)[0] == 15


@given(seed=st.integers(0, 10_000), gap=st.floats(0.02, 0.5))
@settings(max_examples=25, deadline=None)
def test_cost_equals_the_dual_program(seed, gap):
    """Packing: as much weight on the members as every node's price allows for those that it shows."""
    adj = random_graph(8, 0.3, seed)
    for members in map(list, ch.maximal_independent_sets(adj)):
        price = np.where(np.isin(np.arange(8), members), gap, 1.0)
        dual = linprog(-np.full(len(members), gap**-2), adj[:, members].astype(float), price)
        assert ch.exploration_cost(adj, tuple(members), gap) == pytest.approx(-dual.fun, rel=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_maximal_independent_sets_by_brute_force(seed):
    adj = random_graph(7, 0.4, seed)
    free = [
        set(s)
        for k in range(1, 8)
        for s in combinations(range(7), k)
        if not any(adj[i, j] for i, j in combinations(s, 2))
    ]
    maximal = {tuple(sorted(s)) for s in free if not any(s < other for other in free)}
    assert set(ch.maximal_independent_sets(adj)) == maximal


@pytest.mark.parametrize("seed", range(3))
def test_complexity_is_the_largest_over_sets_and_a_grid_of_gaps(seed):
    adj, T = random_graph(7, 0.35, seed), 90
    sets = ch.maximal_independent_sets(adj)
    grid = np.geomspace(0.02, 0.5, 120)
    rough = max(min(gap * T, _cost(adj, s, gap)) for s in sets for gap in grid)
    value, members, _ = ch.problem_complexity(adj, T)
    assert rough <= value * (1 + 1e-6) and value <= rough * 1.03
    assert members in sets


def _cost(adj, members, gap):
    """The covering program solved with its demand written out, instead of scaled."""
    members = list(members)
    price = np.where(np.isin(np.arange(len(adj)), members), gap, 1.0)
    return linprog(price, -adj[members].astype(float), np.full(len(members), -(gap**-2))).fun


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_elbow_theorem_on_random_graphs(seed):
    adj = random_graph(7, 0.3, seed)
    sets = ch.maximal_independent_sets(adj)
    members = max(sets, key=len)
    alpha, outside = len(members), [j for j in range(7) if j not in members]
    d = max((int(adj[j, list(members)].sum()) for j in outside), default=1)
    T = max(alpha * d**2, 4 * alpha)
    assert ch.problem_complexity(adj, T, sets)[0] == pytest.approx(np.sqrt(alpha * T), rel=1e-5)
    assert ch.problem_complexity(adj, max(T // 7, 1), sets)[0] <= np.sqrt(alpha * max(T // 7, 1)) * (1 + 1e-6)


def test_bad_arguments_are_named():
    star = ch.star_graph(3)
    for call, message in [
        (lambda: ch.exploration_cost(star, (0, 1), 0.1), "without edges"),
        (lambda: ch.exploration_cost(star, (1, 2), 0.7), "gap"),
        (lambda: ch.problem_complexity(star, 0), "rounds"),
        (lambda: ch.loss_estimate(np.ones(4), 0, star, np.ones(4)), "sum to 1"),
        (lambda: ch.play_graph(star, np.ones((1, 4)), 2, 0.1, "greedy", np.random.default_rng(0)), "mode"),
        (lambda: ch.play_graph(star, np.ones((1, 4)), 2, 0.1, "fixed", np.random.default_rng(0)), "fixed"),
        (lambda: ch.play_index(star, np.ones((1, 4)), 2, "greedy", np.random.default_rng(0)), "rule"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_step_follows_the_finite_difference_gradient(seed):
    rng = np.random.default_rng(seed)
    adj, q, e, eta = random_graph(6, 0.4, seed), rng.dirichlet(np.ones(6)), 0.05 * rng.random(6), 0.3
    moved = ch.exploration_step(q, e, adj, eta)
    h = 1e-6
    slopes = [
        (ch.bound_objective(q, e + h * d, adj, eta) - ch.bound_objective(q, e - h * d, adj, eta)) / (2 * h)
        for d in np.eye(6)
    ]
    target = np.maximum(e * np.exp(-0.5 * np.clip(slopes, -3, 3)), 1e-7)
    np.testing.assert_allclose(moved, target * min(1, 0.5 / target.sum()), rtol=1e-5)


@pytest.mark.parametrize(("sizes", "eta"), [([30], 0.05), ([12, 2], 0.2), ([3], 0.01)])
def test_repeated_steps_reach_the_minimum_of_phi(sizes, eta):
    adj, _, leaves = ch.hub_graph(sizes, 1)
    n, q = len(adj), uniform_on(leaves, len(adj))
    e = np.full(n, 1e-3 / n)
    for _ in range(800):
        e = ch.exploration_step(q, e, adj, eta)
    solved = minimize(
        lambda v: ch.bound_objective(q, v, adj, eta),
        np.full(n, 0.2 / n),
        bounds=[(0, 0.5)] * n,
        constraints=[{"type": "ineq", "fun": lambda v: 0.5 - v.sum()}],
        method="SLSQP",
        options={"maxiter": 400, "ftol": 1e-12},
    )
    assert ch.bound_objective(q, e, adj, eta) == pytest.approx(solved.fun, rel=2e-3)


def test_rows_are_independent_games():
    rng = np.random.default_rng(3)
    adj, q, e = ch.star_graph(5), rng.dirichlet(np.ones(6), 4), 0.02 * rng.random((4, 6))
    etas = np.array([0.01, 0.1, 0.3, 0.9])
    together = ch.exploration_step(q, e, adj, etas)
    for row in range(4):
        np.testing.assert_allclose(together[row], ch.exploration_step(q[row], e[row], adj, etas[row]))


def test_exploration_keeps_its_floor_and_its_cap():
    adj, q = ch.star_graph(200), uniform_on(range(1, 201), 201)
    e = np.full(201, 1e-3)
    for _ in range(100):
        e = ch.exploration_step(q, e, adj, 1.0)
    assert e.sum() <= 0.5 + 1e-12 and e.min() > 1e-8


@given(seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_loss_estimate_is_unbiased_with_second_moment_one_over_p(seed):
    rng = np.random.default_rng(seed)
    adj, losses, p = random_graph(6, 0.4, seed), rng.random(6), rng.dirichlet(np.ones(6))
    drawn = np.array([ch.loss_estimate(losses, a, adj, p) for a in range(6)])
    np.testing.assert_allclose(p @ drawn, losses)
    seen = np.array([sum(p[j] for j in range(6) if adj[i, j]) for i in range(6)])
    np.testing.assert_allclose(p @ drawn**2, losses**2 / seen)


def test_fixed_exploration_follows_the_logistic_mean_field():
    """Small step: estimates concentrate, so the weights obey exp(-eta t loss). Wrong if P forgets e."""
    n_leaves, T, eta, mass = 20, 3000, 0.004, 0.25
    adj = ch.star_graph(n_leaves)
    losses = np.tile(np.r_[1.0, 0.0, np.full(n_leaves - 1, 0.5)], (T, 1))
    fixed = np.r_[mass, np.zeros(n_leaves)]
    rng = np.random.default_rng(0)
    run = ch.play_graph(adj, np.zeros((64, n_leaves + 1)), T, eta, "fixed", rng, fixed, losses)
    weights = np.exp(-eta * np.arange(T)[:, None] * losses[0])
    q = weights / weights.sum(1, keepdims=True)
    mean_field = T * mass + (1 - mass) * (q @ losses[0]).sum()
    assert run["regret"].mean() - T * mass == pytest.approx(mean_field - T * mass, rel=0.05)
    assert run["explore_mass"] == pytest.approx(mass)


def test_without_edges_or_exploration_it_is_exp3():
    """A scalar loop with the same random numbers."""
    n, T, eta, mu = 4, 200, 0.1, np.array([[0.2, 0.5, 0.9, 0.5]])
    run = ch.play_graph(np.eye(n, dtype=bool), mu, T, eta, "none", np.random.default_rng(4))
    rng, total, regret = np.random.default_rng(4), np.zeros(n), 0.0
    for _ in range(T):
        w = [np.exp(-eta * (v - min(total))) for v in total]
        p = np.array(w) / sum(w)
        u, action = rng.random((1, 1))[0, 0], 0
        while u > p[: action + 1].sum() and action < n - 1:
            action += 1
        loss = rng.random((1, n))[0] < mu[0]
        total[action] += loss[action] / p[action]
        regret += p @ mu[0] - 0.2
    assert run["regret"][0] == pytest.approx(regret)
    assert run["explore_mass"] == 0 and run["mass_path"].shape == (T,)


@pytest.mark.parametrize("mode", ["none", "adaptive"])
def test_regret_stays_below_its_theorem(mode):
    """log N / eta + sum of phi, on a sequence that switches its best action half way."""
    T, eta, n_leaves = 600, 0.05, 12
    adj = ch.star_graph(n_leaves)
    losses = np.ones((T, n_leaves + 1))
    losses[: T // 2, 1] = 0
    losses[T // 2 - 60 :, 2] = 0
    run = ch.play_graph(adj, np.zeros((40, n_leaves + 1)), T, eta, mode, np.random.default_rng(1), losses=losses)
    # phi is at most its value without exploration, eta/2 (alpha + 1), plus what the warm-started e can cost.
    bound = np.log(n_leaves + 1) / eta + T * (eta / 2 * (n_leaves + 1) + run["explore_mass"])
    assert -T < run["regret"].mean() <= bound


def test_tuned_step_on_a_star_is_near_its_closed_form():
    n_leaves, T = 64, 2000
    eta, bound, e = ch.tune_eta(ch.star_graph(n_leaves), range(1, n_leaves + 1), T)
    log_n = np.log(n_leaves + 1)
    dense = min(
        log_n / step + T * (m + step / 2 / ((1 - m) / n_leaves + m))
        for step in np.geomspace(3e-4, 0.5, 200)
        for m in np.linspace(0, 0.5, 201)
    )
    assert bound == pytest.approx(dense, rel=0.02)
    assert bound <= 2.39 * log_n ** (1 / 3) * T ** (2 / 3)
    assert e[0] / e.sum() > 0.95 and 3e-4 < eta < 0.5


def test_fooling_sequence_makes_ucb_lose_whenever_it_plays():
    star = ch.star_graph(8)
    losses = ch.fooling_losses(star, 300)
    assert set(np.unique(losses)) == {0.0, 1.0}
    run = ch.play_index(star, np.zeros((2, 9)), 300, "ucb", np.random.default_rng(0), losses)
    np.testing.assert_allclose(run["regret"], 300 - losses.sum(0).min())


def test_index_rules_find_the_good_arm_of_an_easy_bandit():
    mu = np.tile([0.9, 0.1, 0.9], (8, 1))
    for rule in ("thompson", "ucb"):
        run = ch.play_index(np.ones((3, 3), dtype=bool), mu, 200, rule, np.random.default_rng(2))
        assert run["regret"].mean() < 15
