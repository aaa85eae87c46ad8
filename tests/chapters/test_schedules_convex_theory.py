"""The algorithm cells against the double loop of the formula, closed forms, a minimiser, PyTorch and golden values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from book import names

ch = names("schedules-convex-theory")

rates = st.lists(st.floats(1e-3, 10), min_size=1, max_size=30).map(np.array)


def double_loop(eta, G, D):
    """The theorem as printed, one sum at a time."""
    T = len(eta)
    G = np.broadcast_to(G, T)

    def rest(k):
        return sum(eta[t] for t in range(k, T))

    def noise(k):
        return sum(eta[t] ** 2 * G[t] ** 2 for t in range(k, T))

    third = 0.5 * sum(eta[k] / rest(k + 1) * noise(k) / rest(k) for k in range(T - 1))
    return D**2 / (2 * rest(0)), noise(0) / (2 * rest(0)), third


@settings(deadline=None, max_examples=60)
@given(eta=rates, G=st.floats(0.1, 10), D=st.floats(0.1, 10))
def test_bound_equals_the_double_loop(eta, G, D):
    np.testing.assert_allclose(ch.last_iterate_bound(eta, G, D, split=True), double_loop(eta, G, D), rtol=1e-9)
    assert ch.last_iterate_bound(eta, G, D) == pytest.approx(sum(double_loop(eta, G, D)), rel=1e-9)


def test_bound_with_one_gradient_norm_per_step():
    rng = np.random.default_rng(0)
    eta, G = rng.uniform(0.1, 2, 23), rng.uniform(0.1, 5, 23)
    np.testing.assert_allclose(ch.last_iterate_bound(eta, G, 1.7, split=True), double_loop(eta, G, 1.7), rtol=1e-12)


def test_golden_values():
    got = ch.last_iterate_bound([1, 0.5, 0.25], G=2, D=1, split=True)
    np.testing.assert_allclose(got, [0.285714, 1.5, 3.666667], atol=1e-6)
    assert ch.last_iterate_bound(np.ones(1)) == 1.0  # T = 1: no third term
    for eta, want in [
        (ch.constant_schedule(10), (0.16161, 0.61879)),
        (ch.constant_schedule(400), (0.01818, 0.13754)),
        (ch.wsd_schedule(400, 0.2), (0.02544, 0.10921)),
        (ch.wsd_schedule(400, 1.0), (0.04969, 0.10063)),
        (ch.cosine_schedule(400), (0.04824, 0.10339)),
    ]:
        np.testing.assert_allclose(ch.optimal_base_lr(eta), want, atol=6e-6)
    assert ch.extension_factor(400, 800) == pytest.approx(0.48)
    assert ch.extension_factor(400, 1600) == pytest.approx(0.40)


@pytest.mark.parametrize("T", [1, 2, 7, 400])
def test_constant_schedule_has_its_closed_form_for_every_length(T):
    harmonic = sum(1 / k for k in range(1, T))
    assert ch.optimal_base_lr(ch.constant_schedule(T))[1] == pytest.approx(np.sqrt((1 + harmonic) / T), rel=1e-12)


@pytest.mark.parametrize("c", [0.1, 0.2, 0.5, 1.0])
def test_wsd_tends_to_the_closed_form(c):
    b = (1 - 2 * c / 3) / (2 - c) + 0.5 * (np.log((2 - c) / c) - 1 / 3 + c / (6 - 3 * c)) + 2 / 3
    T = 50_000
    gamma, omega = ch.optimal_base_lr(ch.wsd_schedule(T, c))
    assert omega * np.sqrt(T) == pytest.approx(2 * np.sqrt(b / (2 - c)), rel=2e-3)
    assert gamma * np.sqrt(T) == pytest.approx(np.sqrt(1 / ((2 - c) * b)), rel=2e-3)


@settings(deadline=None, max_examples=60)
@given(eta=rates, a=st.floats(0.1, 10), b=st.floats(0.1, 10))
def test_best_rate_scales_with_the_problem(eta, a, b):
    gamma, omega = ch.optimal_base_lr(eta)
    np.testing.assert_allclose(ch.optimal_base_lr(eta, G=b, D=a), (gamma * a / b, omega * a * b), rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(eta=rates)
def test_best_rate_is_what_a_minimiser_finds(eta):
    gamma, omega = ch.optimal_base_lr(eta)
    at = np.log(gamma)
    found = minimize_scalar(lambda z: ch.last_iterate_bound(np.exp(z) * eta), bracket=(at - 2, at + 3))
    assert found.fun == pytest.approx(omega, rel=1e-6)
    assert ch.last_iterate_bound(gamma * eta) == pytest.approx(omega, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(eta=rates, factor=st.floats(0.1, 10))
def test_transfer_does_not_depend_on_the_scale_of_a_shape(eta, factor):
    other = ch.cosine_schedule(17)
    moved = ch.transfer_lr(0.3, eta, other)
    assert ch.transfer_lr(moved, other, eta) == pytest.approx(0.3, rel=1e-9)
    assert ch.transfer_lr(0.3, eta, factor * eta) == pytest.approx(0.3 / factor, rel=1e-9)


def test_prefix_bounds_are_bounds_of_prefixes():
    eta, G = ch.wsd_schedule(40, 0.3), np.linspace(1, 2, 40)
    got = ch.prefix_bounds(eta, G, 2.0, np.array([1, 13, 40]))
    np.testing.assert_allclose(got, [sum(double_loop(eta[:t], G[:t], 2.0)) for t in (1, 13, 40)], rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["constant", "wsd", "linear", "cosine", "wild"]))
def test_no_convex_function_beats_the_bound(seed, kind):
    """Random piecewise linear functions, any schedule, any base rate: the theorem holds at every step."""
    rng = np.random.default_rng(seed)
    T, d = 40, 3
    shape = {
        "constant": ch.constant_schedule(T),
        "wsd": ch.wsd_schedule(T, 0.3),
        "linear": ch.wsd_schedule(T, 1.0),
        "cosine": ch.cosine_schedule(T),
        "wild": rng.uniform(0.01, 1, T),
    }[kind]
    eta = 10 ** rng.uniform(-2, 1) * shape
    A, x_star = rng.normal(size=(8, d)), rng.normal(size=d)
    f = lambda x: np.abs(A @ (x - x_star)).max()  # noqa: E731
    x, values, norms = np.zeros(d), [], []
    for step in eta:
        residual = A @ (x - x_star)
        i = np.argmax(np.abs(residual))
        g = np.sign(residual[i]) * A[i]
        values.append(f(x))
        norms.append(np.linalg.norm(g))
        x = x - step * g
    bounds = ch.prefix_bounds(eta, np.array(norms), np.linalg.norm(x_star), np.arange(1, T + 1))
    assert (np.array(values) <= bounds * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=60)
@given(T=st.integers(1, 300), c=st.floats(0, 1))
def test_wsd_is_flat_then_a_straight_line(T, c):
    eta = ch.wsd_schedule(T, c)
    n = round(c * T)
    assert (eta[: T - n] == 1).all() and (eta > 0).all()
    np.testing.assert_allclose(eta[T - n :], np.arange(n, 0, -1) / (n + 1))


def test_warmup_rises_to_one():
    eta = ch.wsd_schedule(20, 0.0, warmup=4)
    np.testing.assert_allclose(eta[:6], [0.2, 0.4, 0.6, 0.8, 1, 1])


def test_cosine_equals_pytorch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.1)
    seen = []
    for _ in range(50):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(ch.cosine_schedule(50, final=0.1), seen, atol=1e-12)


def test_extension_factor_is_the_best_of_its_grid_by_brute_force():
    gamma = ch.optimal_base_lr(ch.wsd_schedule(60, 0.5))[0]
    rhos = np.array([0.2, 0.35, 0.5, 0.8, 1.0])
    bounds = []
    for rho in rhos:
        eta = np.array([1.0 if t < 30 else rho for t in range(150)])
        eta[75:] *= np.arange(75, 0, -1) / 76
        bounds.append(sum(double_loop(gamma * eta, 1.0, 1.0)))
    assert ch.extension_factor(60, 150, cooldown=0.5, rhos=rhos) == rhos[np.argmin(bounds)]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="positive rates"):
        ch.last_iterate_bound([1.0, 0.0])
    with pytest.raises(ValueError, match="positive rates"):
        ch.last_iterate_bound([])
    with pytest.raises(ValueError, match="cooldown"):
        ch.wsd_schedule(10, 1.5)
    with pytest.raises(ValueError, match="final"):
        ch.cosine_schedule(10, final=-1)
    with pytest.raises(ValueError, match="T1 < T2"):
        ch.extension_factor(400, 400)
    with pytest.raises(ValueError, match="optimizer"):
        ch.train_char_lm(np.ones((1, 2)), 0, optimizer="lion")


def test_a_row_of_the_stack_equals_a_run_alone():
    rows = np.stack([0.01 * ch.wsd_schedule(30, 0.2), 0.02 * ch.cosine_schedule(30)])
    steps, together = ch.train_char_lm(rows, seed=5, log_every=10)
    np.testing.assert_array_equal(steps, [10, 20, 30])
    np.testing.assert_allclose(ch.train_char_lm(rows[1:], seed=5), together[1:, -1], rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_equals_a_pytorch_run_on_the_same_minibatches(optimizer):
    lr = (0.01 if optimizer == "adam" else 0.1) * ch.wsd_schedule(25, 0.4)
    ours = ch.train_char_lm(lr, seed=3, optimizer=optimizer)[0]
    rng = np.random.default_rng(3)
    corpus = ch.pydoc_corpus(32)
    start = ch.CharLMStack(32, 1, rng, context=6, embedding=12, hidden=64)
    embed, first, last = torch.nn.Embedding(32, 12), torch.nn.Linear(72, 64), torch.nn.Linear(64, 32)
    embed.weight.data = torch.tensor(start.embedding[0].copy())
    for layer, w, b in zip((first, last), start.weights, start.biases, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(w[0].T.copy()), torch.tensor(b[0].copy())
    net = torch.nn.Sequential(embed, torch.nn.Flatten(), first, torch.nn.ReLU(), last)
    if optimizer == "adam":
        stepper = torch.optim.Adam(net.parameters(), lr=1.0, betas=(0.9, 0.95))
    else:
        stepper = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    loss = torch.nn.functional.cross_entropy
    stream = corpus.batches(64, 6, rng)
    for eta in lr:
        stepper.param_groups[0]["lr"] = eta
        x, y = next(stream)
        stepper.zero_grad()
        loss(net(torch.tensor(x)), torch.tensor(y)).backward()
        stepper.step()
    windows = torch.tensor(corpus.valid_windows(2048, 7))
    with torch.no_grad():
        assert ours == pytest.approx(loss(net(windows[:, :-1]), windows[:, -1]).item(), rel=2e-3)
