"""The algorithm cells against closed forms, companion matrices, linear programming, Kronecker solves and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, linprog

from book import names

ch = names("single-call-extragradient")
METHODS = ("GDA", "EG", "PEG", "RG", "OG")


def affine(d, seed, pull=1.0):
    rng = np.random.default_rng(seed)
    G, c = 0.4 * rng.standard_normal((d, d)) + pull * np.eye(d), rng.standard_normal(d)
    return (lambda z: z @ G.T + c), rng.standard_normal(d), G, c


def by_hand(method, F, z0, gammas, project=lambda z: z):
    """The table of methods, one row after the other, with explicit lists of states."""
    X, V = [z0, z0], [np.zeros_like(z0)]  # X[-2] and V[-1] are the remembered ones
    leads = []
    for g in gammas:
        if method == "GDA":
            W = X[-1]
        elif method == "EG":
            W = project(X[-1] - g * F(X[-1]))
        elif method == "RG":
            W = 2 * X[-1] - X[-2]
        else:
            W = project(X[-1] - g * V[-1])
        leads.append(W)
        fresh = F(W)
        X.append(W + g * V[-1] - g * fresh if method == "OG" else project(X[-1] - g * fresh))
        V.append(fresh)
    return np.array(X[1:]), np.array(leads)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_its_row_of_the_table(method):
    F, z0, *_ = affine(6, seed=1)
    onto = ch.project_simplex
    gammas = 0.3 / (1 + 0.05 * np.arange(40))
    run = ch.run_method(method, F, onto(z0), lambda t: gammas[t], 40, onto)
    base, lead = by_hand(method, F, onto(z0), gammas, onto)
    np.testing.assert_allclose(run["base"], base, atol=1e-12)
    np.testing.assert_allclose(run["lead"], lead, atol=1e-12)
    np.testing.assert_allclose(run["average"], lead.mean(0), atol=1e-12)
    np.testing.assert_array_equal(run["last"], run["base"][-1])


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_single_call_methods_coincide_without_constraints_for_a_constant_step(sigma):
    F, z0, *_ = affine(5, seed=2)
    runs = [
        ch.run_method(m, ch.Oracle(lambda z: np.sin(F(z)), sigma, np.random.default_rng(7)), z0, lambda t: 0.1, 60)
        for m in ("PEG", "OG", "RG")
    ]
    np.testing.assert_allclose(runs[0]["base"], runs[1]["base"], atol=1e-10)
    np.testing.assert_allclose(runs[0]["base"], runs[2]["base"], atol=1e-10)


def test_they_differ_where_the_text_says_so():
    F, z0, *_ = affine(6, seed=3)
    vary = {m: ch.run_method(m, F, z0, lambda t: 0.2 / (1 + 0.1 * t), 50)["base"] for m in ("PEG", "OG", "RG")}
    np.testing.assert_allclose(vary["PEG"], vary["OG"], atol=1e-10)
    assert np.abs(vary["PEG"] - vary["RG"]).max() > 1e-3
    bound = {m: ch.run_method(m, F, ch.project_simplex(z0), lambda t: 0.2, 50, ch.project_simplex) for m in vary}
    for a, b in (("PEG", "OG"), ("PEG", "RG"), ("OG", "RG")):
        assert np.abs(bound[a]["lead"] - bound[b]["lead"]).max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_the_sum_of_fields_telescopes_without_constraints(method):
    F, z0, *_ = affine(4, seed=4)
    run = ch.run_method(method, F, z0, lambda t: 0.05, 70)
    fields = np.array([F(w) for w in run["lead"]]).mean(0)
    np.testing.assert_allclose(fields, (z0 - run["last"]) / (0.05 * 70), atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_calls_and_projections_are_counted_right(method):
    seen = {"F": 0, "P": 0}

    def field(z):
        seen["F"] += 1
        return z

    def onto(z):
        seen["P"] += 1
        return z

    oracle = ch.Oracle(field)
    run = ch.run_method(method, oracle, np.ones(3), lambda t: 0.1, 9, onto)
    assert run["calls"] == oracle.calls == seen["F"] and run["projections"] == seen["P"]
    free = ch.run_method(method, field, np.ones(3), lambda t: 0.1, 9)
    assert (free["calls"], free["projections"]) == (run["calls"], run["projections"])


def test_batches_and_kept_statistics_equal_single_runs():
    F, z0, *_ = affine(3, seed=5)
    starts, steps = np.stack([z0, 2 * z0, -z0]), np.array([0.05, 0.1, 0.2])
    for method in METHODS:
        together = ch.run_method(method, F, starts, lambda t: steps[:, None] / (1 + t), 20)
        norms = ch.run_method(
            method, F, starts, lambda t: steps[:, None] / (1 + t), 20, keep=lambda z: np.linalg.norm(z, axis=-1)
        )
        np.testing.assert_allclose(norms["base"], np.linalg.norm(together["base"], axis=-1))
        for i in range(3):
            alone = ch.run_method(method, F, starts[i], lambda t, i=i: steps[i] / (1 + t), 20)
            np.testing.assert_allclose(together["base"][:, i], alone["base"], atol=1e-12)


def test_noise_has_the_declared_size_and_is_reused():
    oracle = ch.Oracle(np.zeros_like, 0.3, np.random.default_rng(0))
    draws = oracle(np.zeros((20_000, 2)))
    assert draws.std() == pytest.approx(0.3, rel=0.02) and abs(draws.mean()) < 0.01
    # on the zero field base states are sums of the noises, so the remembered value can be read off the leading state
    oracle = ch.Oracle(np.zeros_like, 1.0, np.random.default_rng(1))
    run = ch.run_method("PEG", oracle, np.zeros(2), lambda t: 0.5, 30)
    used = -np.diff(run["base"], axis=0) / 0.5
    np.testing.assert_allclose(run["lead"][1:], run["base"][1:-1] - 0.5 * used[:-1], atol=1e-12)


def test_simplex_projection_equals_bisection():
    rng = np.random.default_rng(6)
    for n in (1, 2, 5, 30):
        for scale in (0.1, 1.0, 20.0):
            v = scale * rng.standard_normal(n)
            shift = brentq(lambda c, v=v: np.maximum(v - c, 0).sum() - 1, v.min() - 2, v.max())
            np.testing.assert_allclose(ch.project_simplex(v), np.maximum(v - shift, 0), atol=1e-9)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.integers(0, 1000))
def test_simplex_projection_satisfies_its_variational_inequality(v, seed):
    v = np.array(v)
    p = ch.project_simplex(v)
    assert p.min() >= 0 and p.sum() == pytest.approx(1)
    q = np.random.default_rng(seed).dirichlet(np.ones(len(v)))
    assert (v - p) @ (q - p) <= 1e-9 * (1 + np.abs(v).max())
    np.testing.assert_allclose(ch.project_simplex(np.stack([v, v + 3])), [p, p], atol=1e-9)


def test_the_gap_is_zero_at_the_solution_found_by_linear_programming():
    rng = np.random.default_rng(8)
    for m, n in ((2, 2), (4, 7), (6, 3)):
        A = rng.uniform(-1, 1, (m, n))

        def strategy(B):  # min over x in the simplex of max_j (B' x)_j, as a linear program in (x, value)
            rows, cols = B.shape
            found = linprog(
                np.r_[np.zeros(rows), 1],
                A_ub=np.c_[B.T, -np.ones(cols)],
                b_ub=np.zeros(cols),
                A_eq=np.r_[np.ones(rows), 0][None],
                b_eq=[1],
                bounds=[(0, None)] * rows + [(None, None)],
            )
            return found.x[:-1], found.fun

        x, value = strategy(A)
        y, minus_value = strategy(-A.T)
        assert value == pytest.approx(-minus_value, abs=1e-8)
        F, project, gap = ch.matrix_game(A)
        z = np.concatenate([x, y])
        assert gap(z) == pytest.approx(0, abs=1e-8)
        np.testing.assert_allclose(project(z), z, atol=1e-9)
        other = np.concatenate([rng.dirichlet(np.ones(m)), rng.dirichlet(np.ones(n))])
        p, q = other[:m], other[m:]
        brute = max(p @ A[:, j] for j in range(n)) - min(A[i] @ q for i in range(m))
        assert gap(other) == pytest.approx(brute) and brute > 0
        np.testing.assert_allclose(F(other), np.concatenate([A @ q, -A.T @ p]))
        stacked = ch.matrix_game(np.stack([A, 2 * A]))
        np.testing.assert_allclose(stacked[2](np.stack([other, other])), [brute, 2 * brute])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 1.0), t=st.integers(1, 60))
def test_past_extragradient_obeys_the_theorem_on_matrix_games(seed, share, t):
    A = np.random.default_rng(seed).uniform(-1, 1, (3, 4))
    F, project, _ = ch.matrix_game(A)
    gamma = share / (2 * np.linalg.norm(A, 2))
    start = project(np.random.default_rng(seed + 1).standard_normal(7))
    average = ch.run_method("PEG", F, start, lambda _: gamma, t, project)["average"]
    corners = [np.concatenate([np.eye(3)[i], np.eye(4)[j]]) for i in range(3) for j in range(4)]
    for z in corners:
        right = (np.sum((start - z) ** 2) + 2 * gamma**2 * np.sum(F(start) ** 2)) / (2 * gamma * t)
        assert F(z) @ (average - z) <= right + 1e-12


def companion(method, u, q):
    """Linear map of the state on beta = 1, as a 2 x 2 complex matrix of (X, remembered V)."""
    zeta = q + 1j * np.sqrt(1 - q**2)
    if method == "PEG":
        return np.array([[1 - u * zeta, u * u * zeta], [zeta, -u * zeta]])
    return np.array([[1 - u * zeta * (1 - u * zeta if method == "EG" else 1)]])


def radius(method, u, q):
    return np.abs(np.linalg.eigvals(companion(method, u, q))).max()


def test_modulus_equals_the_eigenvalues_of_the_companion_matrix():
    for u in np.linspace(0.01, 3, 60):
        assert ch.rotation_modulus(u) == pytest.approx(radius("PEG", u, 0.0), rel=1e-6)
    assert ch.rotation_modulus(0.5) == pytest.approx(1 / np.sqrt(2))
    assert ch.rotation_modulus(1 / np.sqrt(3)) == pytest.approx(1)
    with pytest.raises(ValueError, match="negative"):
        ch.rotation_modulus(-0.1)


@pytest.mark.parametrize("method", ["PEG", "EG", "GDA"])
@pytest.mark.parametrize("q", [0.05, 0.2, 0.316, 0.5, 0.8, 1.0])
def test_stable_step_equals_a_scan(method, q):
    limit = ch.stable_step(q, method)
    for u in np.linspace(0.02, 2.5, 300):
        if abs(u - limit) > 1e-3:
            assert (radius(method, u, q) < 1) == (u < limit)


def test_stable_steps_of_the_text():
    assert ch.stable_step(0.0) == pytest.approx(1 / np.sqrt(3))
    assert ch.stable_step(1.0) == pytest.approx(2 / 3)
    assert ch.stable_step(0.0, "EG") == pytest.approx(1) and ch.stable_step(0.0, "GDA") == 0
    crossing = 1 / np.sqrt(10)
    assert ch.stable_step(crossing) == pytest.approx(ch.stable_step(crossing, "GDA")) == pytest.approx(2 * crossing)
    for bad in (dict(q=-0.1), dict(q=1.1), dict(q=0.5, method="SGD")):
        with pytest.raises(ValueError, match="need 0 <= q <= 1"):
            ch.stable_step(**bad)


def test_constant_equals_a_kronecker_solve_and_a_recursion():
    rng = np.random.default_rng(9)
    J = 1.2 * np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    gamma, s = 3.0, 0.2
    drift, eye = gamma * J - np.eye(4) / 2, np.eye(4)
    P = np.linalg.solve(np.kron(drift, eye) + np.kron(eye, drift), (gamma * s) ** 2 * eye.ravel()).reshape(4, 4)
    assert ch.sa_constant(J, gamma, s) == pytest.approx(np.trace(P))
    cov = np.zeros((4, 4))
    for t in range(1, 30_000):  # exact covariance of x <- x - gamma / (t + 20) (J x + noise)
        g = gamma / (t + 20)
        cov = (eye - g * J) @ cov @ (eye - g * J).T + (g * s) ** 2 * eye
    assert 30_000 * np.trace(cov) == pytest.approx(np.trace(P), rel=0.01)
    with pytest.raises(ValueError, match="too small"):
        ch.sa_constant(np.eye(2), 0.4, 1.0)


@pytest.mark.parametrize("method", ["EG", "PEG", "RG", "OG"])
def test_extrapolation_leaves_no_trace_in_the_constant(method):
    J = np.array([[0.6, 1.0], [-1.0, 0.8]])
    oracle = ch.Oracle(lambda z: z @ J.T, 0.1, np.random.default_rng(10))
    run = ch.run_method(
        method, oracle, np.zeros((1500, 2)), lambda t: 3 / (t + 25), 1500, keep=lambda z: (z**2).sum(-1)
    )
    scaled = (np.arange(1501) + 25) * run["base"].mean(1)
    assert scaled[1000:].mean() == pytest.approx(ch.sa_constant(J, 3.0, 0.1), rel=0.06)


def test_slope_of_a_power_law():
    t = np.arange(1, 200)
    e = np.where(t < 50, 7.0, 3 * t**-1.3)
    assert ch.fit_slope(t, e, 50) == pytest.approx(-1.3)
    assert ch.fit_slope(t, 3 * t**-0.5) == pytest.approx(-0.5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="no method 'EGD'"):
        ch.run_method("EGD", lambda z: z, np.ones(2), lambda t: 0.1, 3)
    with pytest.raises(ValueError, match="sigma"):
        ch.Oracle(lambda z: z, -1.0)
    with pytest.raises(ValueError, match="rng"):
        ch.Oracle(lambda z: z, 1.0)
