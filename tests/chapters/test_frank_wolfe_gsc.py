"""The algorithm cells against SciPy's solvers, the KKT conditions, finite differences and golden values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, linprog, minimize
from sklearn.linear_model import LogisticRegression

from book import names

ch = names("frank-wolfe-gsc")

vectors = st.lists(st.floats(-5, 5), min_size=2, max_size=8).map(np.array)
RULES = ("mfw", "stateless", "stateful", "second", "line-search", "backtracking")


def market(seed, n=60, p=150):
    problem = ch.portfolio_problem(n, p, seed)
    return problem, np.full(n, 1 / n)


@settings(deadline=None, max_examples=60)
@given(c=vectors)
def test_simplex_and_l1_oracles_solve_their_linear_programs(c):
    n = len(c)
    on_simplex = linprog(c, A_eq=np.ones((1, n)), b_eq=[1], bounds=(0, None))
    v = ch.simplex_lmo(c)
    assert v.sum() == 1 and v.min() >= 0
    assert c @ v == pytest.approx(on_simplex.fun, abs=1e-6)  # HiGHS calls a gain below 1e-7 optimal
    on_diamond = linprog(np.append(c, -c), A_ub=np.ones((1, 2 * n)), b_ub=[2.5], bounds=(0, None))
    w = ch.l1_lmo(c, 2.5)
    assert np.abs(w).sum() <= 2.5 + 1e-12
    assert c @ w == pytest.approx(on_diamond.fun, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(c=vectors, seed=st.integers(0, 100))
def test_no_point_of_the_ball_beats_the_l2_oracle(c, seed):
    v = ch.l2_lmo(c, 0.7)
    assert np.linalg.norm(v) <= 0.7 + 1e-12
    u = np.random.default_rng(seed).normal(size=(50, len(c)))
    u *= 0.7 / np.linalg.norm(u, axis=1, keepdims=True)
    assert (u @ c >= c @ v - 1e-9).all()


@pytest.mark.parametrize(
    ("seed", "start", "best", "held"),
    [(0, 86.92597, 73.92448835, 22), (1, 83.469451, 68.24190284, 20), (2, 86.714449, 70.16931167, 19)],
)
def test_golden_portfolios(seed, start, best, held):
    problem, x0 = market(seed)
    assert problem["f"](x0) == pytest.approx(start, abs=1e-5)
    run = ch.away_frank_wolfe(problem["f"], problem["grad"], x0, 2500)
    assert np.nanmin(run["f"]) == pytest.approx(best, abs=2e-8)
    assert (run["x"] > 1e-9).sum() == held == run["active"][-1]


@pytest.mark.parametrize(("rule", "value"), [("mfw", 74.353629), ("stateless", 74.123847), ("second", 75.159295)])
def test_golden_values_after_99_steps(rule, value):
    problem, x0 = market(0)
    run = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 100, rule, problem["hess_norm"])
    assert run["f"][99] == pytest.approx(value, abs=1e-6)


def test_solution_is_a_fixed_point_of_covers_update_and_meets_the_kkt_conditions():
    problem, x0 = market(5)
    x = ch.away_frank_wolfe(problem["f"], problem["grad"], x0, 3000)["x"]
    relative = (problem["W"] / (problem["W"] @ x)[:, None]).mean(0)
    np.testing.assert_allclose(x * relative, x, atol=1e-9)
    np.testing.assert_allclose(relative[x > 1e-9], 1, atol=1e-6)
    assert relative.max() <= 1 + 1e-6


def test_small_portfolio_equals_slsqp():
    problem, x0 = market(3, n=10, p=30)
    ours = np.nanmin(ch.away_frank_wolfe(problem["f"], problem["grad"], x0, 1500)["f"])
    theirs = minimize(
        lambda x: -np.log(np.maximum(problem["W"] @ x, 1e-12)).sum(),
        x0,
        jac=problem["grad"],
        method="SLSQP",
        bounds=[(0, 1)] * 10,
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert ours == pytest.approx(theirs.fun, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000))
def test_portfolio_derivatives_and_euler_identity(seed):
    problem = ch.portfolio_problem(8, 12, seed % 7)
    rng = np.random.default_rng(seed)
    x, d = rng.dirichlet(np.full(8, 3.0)), rng.normal(size=8)
    g = problem["grad"](x)
    assert g @ x == pytest.approx(-12)
    np.testing.assert_allclose(g, approx_fprime(x, problem["f"], 1e-7), rtol=1e-3, atol=1e-3)
    h = 1e-5
    second = d @ (problem["grad"](x + h * d) - problem["grad"](x - h * d)) / (2 * h)
    assert problem["hess_norm"](x, d) ** 2 == pytest.approx(second, rel=1e-4)


def test_f_is_infinite_outside_the_domain():
    problem, _ = market(0)
    assert all(np.isinf(problem["f"](vertex)) for vertex in np.eye(60))
    with pytest.raises(ValueError, match="without a survivor"):
        ch.portfolio_problem(1, 200, 0)


def test_logistic_derivative_by_finite_differences():
    rng = np.random.default_rng(0)
    X, y, w = rng.normal(size=(40, 5)), rng.integers(0, 2, 40), rng.normal(size=5)
    problem = ch.logistic_problem(X, y, mu=0.3)
    np.testing.assert_allclose(problem["grad"](w), approx_fprime(w, problem["f"], 1e-7), rtol=1e-4, atol=1e-5)


def test_logistic_regression_in_a_large_ball_equals_scikit_learn():
    """When the constraint is slack the solution is that of the penalised problem."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 4))
    y = (X @ [1.0, -1.0, 0.5, 0] + rng.normal(size=80) > 0).astype(int)
    mu = 0.1
    model = LogisticRegression(C=1 / (mu * 80), fit_intercept=False, tol=1e-10, max_iter=1000).fit(X, y)
    problem = ch.logistic_problem(X, y, mu)
    run = ch.frank_wolfe(problem["f"], problem["grad"], lambda c: ch.l2_lmo(c, 3.0), np.zeros(4), 3000, "backtracking")
    np.testing.assert_allclose(run["x"], model.coef_[0], atol=2e-3)
    assert run["f"][-1] == pytest.approx(problem["f"](model.coef_[0]), abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", [0, 1])
def test_gap_bounds_the_error_and_iterates_stay_feasible(rule, seed):
    problem, x0 = market(seed, n=20, p=40)
    best = np.nanmin(ch.away_frank_wolfe(problem["f"], problem["grad"], x0, 2000)["f"])
    run = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 300, rule, problem["hess_norm"])
    assert np.isfinite(run["f"]).all()
    assert (run["gap"] >= run["f"] - best - 1e-9).all()
    assert run["x"].sum() == pytest.approx(1) and run["x"].min() >= 0
    assert run["f"][-1] < run["f"][0]
    if rule != "open":
        assert (np.diff(run["f"]) <= 1e-9).all()


def test_monotone_steps_are_the_textbook_steps_or_nothing():
    problem, x0 = market(4)
    run = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 200)
    textbook = 2 / (np.arange(200) + 2)
    taken = run["step"] > 0
    assert not taken[0] and 10 < taken.sum() < 190
    np.testing.assert_array_equal(run["step"][taken], textbook[taken])
    np.testing.assert_array_equal(np.diff(run["f"])[~taken[:-1]], 0)
    x = x0.copy()  # replayed by hand
    for step in run["step"]:
        vertex = np.eye(60)[np.argmin(problem["grad"](x))]
        x = x + step * (vertex - x)
    np.testing.assert_allclose(x, run["x"], atol=1e-12)


def test_textbook_step_falls_off_the_cliff():
    problem, x0 = market(0)
    run = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 6, "open")
    assert np.isinf(run["f"][1]) and np.isnan(run["f"][2:]).all() and np.isnan(run["gap"][1:]).all()


def test_textbook_step_where_nothing_is_in_the_way():
    """Projection of a point on the simplex: the exact rate 2 L diam^2 / (t + 2) of the textbook."""
    target = np.array([0.6, 0.3, -0.2, 0.5])
    f, grad = (lambda x: 0.5 * np.sum((x - target) ** 2)), (lambda x: x - target)
    run = ch.frank_wolfe(f, grad, ch.simplex_lmo, np.array([1.0, 0, 0, 0]), 400, "open")
    best = f(np.maximum(target - 0.4 / 3, 0))  # water level: (0.6 + 0.3 + 0.5 - 1) / 3 off the three positive ones
    t = np.arange(1, 400)
    assert (run["f"][1:] - best <= 2 * 2 / (t + 2)).all()
    assert run["f"][-1] - best < 1e-4


def test_line_search_finds_the_best_point_of_the_segment():
    problem, x0 = market(2, n=15, p=40)
    run = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 2, "line-search")
    d = ch.simplex_lmo(problem["grad"](x0)) - x0
    values = [problem["f"](x0 + a * d) for a in np.linspace(0, 1, 2001)]
    assert run["f"][1] <= min(values) + 1e-9
    assert run["step"][0] == pytest.approx(np.argmin(values) / 2000, abs=1e-3)


def test_away_steps_agree_with_plain_steps_on_the_optimum():
    problem, x0 = market(6, n=12, p=30)
    plain = ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 20_000, "stateless")
    away = ch.away_frank_wolfe(problem["f"], problem["grad"], x0, 1500)
    best = np.nanmin(away["f"])
    assert 0 <= plain["f"][-1] - best < 2e-3
    assert (away["gap"] >= away["f"] - best - 1e-9).all()
    assert away["x"].sum() == pytest.approx(1) and away["x"].min() >= 0


@settings(deadline=None, max_examples=60)
@given(power=st.floats(-3, -0.1), scale=st.floats(0.1, 10))
def test_slope_of_a_power_law(power, scale):
    h = np.append(np.nan, scale * np.arange(1.0, 400) ** power)
    assert ch.log_log_slope(h, 20, 300) == pytest.approx(power, abs=1e-9)
    h[50] = 0.0  # left out
    assert ch.log_log_slope(h, 20, 10_000) == pytest.approx(power, abs=1e-9)


def test_bad_arguments_are_named():
    problem, x0 = market(0)
    vertex = np.eye(60)[0]
    with pytest.raises(ValueError, match="unknown rule"):
        ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, x0, 3, "armijo")
    with pytest.raises(ValueError, match="start inside the domain"):
        ch.frank_wolfe(problem["f"], problem["grad"], ch.simplex_lmo, vertex, 3)
    with pytest.raises(ValueError, match="start inside the domain"):
        ch.away_frank_wolfe(problem["f"], problem["grad"], vertex, 3)
