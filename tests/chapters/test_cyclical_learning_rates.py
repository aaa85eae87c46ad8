"""The algorithm cells against PyTorch, Monte Carlo, closed forms and golden values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from book import names

ch = names("cyclical-learning-rates")
H = 1 / np.arange(1, 51)


def torch_sequence(mode, s, base, top, gamma, n):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=base)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=base, max_lr=top, step_size_up=s, mode=mode, gamma=gamma, cycle_momentum=False
    )
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize("s", [1, 7, 200])
def test_policies_equal_pytorch(mode, s):
    ours = ch.clr_schedule(np.arange(1500), s, 0.01, 0.11, mode, gamma=0.999)
    np.testing.assert_allclose(ours, torch_sequence(mode, s, 0.01, 0.11, 0.999, 1500), atol=1e-12)


def test_golden_values():
    got = ch.clr_schedule(np.array([0, 100, 200, 300, 400, 600, 1000]), 200, 0.01, 0.11, "triangular2")
    np.testing.assert_allclose(got, [0.01, 0.06, 0.11, 0.06, 0.01, 0.06, 0.035], atol=1e-15)


@given(s=st.integers(1, 500), k=st.integers(0, 20), base=st.floats(1e-5, 1.0), height=st.floats(0, 10))
def test_ends_peaks_and_mean(s, k, base, height):
    top = base + height
    assert np.isclose(ch.clr_schedule(2 * k * s, s, base, top), base)
    assert np.isclose(ch.clr_schedule((2 * k + 1) * s, s, base, top), top)
    cycle = ch.clr_schedule(np.arange(2 * k * s, 2 * (k + 1) * s), s, base, top)
    assert np.isclose(cycle.mean(), (base + top) / 2)
    assert cycle.min() >= base - 1e-9 and cycle.max() <= top + 1e-9


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="no mode .square."):
        ch.clr_schedule(0, 10, 0.1, 0.2, "square")
    for f in (ch.clr_schedule, ch.decay_schedule):
        with pytest.raises(ValueError, match="stepsize"):
            f(0, 0, 0.1, 0.2)


def test_decay_falls_once_and_stays():
    eta = ch.decay_schedule(np.arange(100), 40, 0.1, 0.5)
    assert eta[0] == 0.5
    np.testing.assert_allclose(np.diff(eta[:41]), -0.01)
    assert (eta[40:] == 0.1).all()


def test_range_bounds_on_curves_whose_answer_is_obvious():
    lrs = np.linspace(0, 1, 101)
    tent = np.where(lrs < 0.5, lrs, 1 - lrs)
    low, high = ch.lr_range_bounds(lrs, tent, window=1)
    assert high == 0.5
    assert low == pytest.approx(0.06)  # the first rate strictly above a tenth of the climb
    diverged = np.where(lrs > 0.8, np.nan, lrs)
    assert ch.lr_range_bounds(lrs, diverged, window=1)[1] == pytest.approx(0.8)
    with pytest.raises(ValueError, match="same, positive length"):
        ch.lr_range_bounds(lrs, tent[:-1])


def test_range_bounds_smooth_with_an_edge_padded_mean():
    rng = np.random.default_rng(0)
    acc = rng.random(40)
    padded = np.pad(acc, 2, mode="edge")
    smooth = np.array([padded[i : i + 5].mean() for i in range(40)])
    assert ch.lr_range_bounds(np.arange(40.0), acc)[1] == smooth.argmax()


@pytest.mark.parametrize(
    ("schedule", "sigma2", "expected"),
    [
        (ch.clr_schedule(np.arange(3200), 200, 0.05, 1.0), 0.01, 2.1165441e-3),
        (ch.clr_schedule(np.arange(3200), 200, 0.05, 1.0, "triangular2"), 0.01, 5.9490765e-4),
        (np.full(3200, 0.05), 0.01, 6.8946963e-4),
        (np.full(3200, 1.0), 0.01, 1.4688874e-2),
        (ch.clr_schedule(np.arange(3200), 200, 0.05, 1.0), 1e-4, 2.1165e-5),
        (np.full(3200, 1.0), 1e-4, 1.46889e-4),
    ],
)
def test_noisy_quadratic_golden_values(schedule, sigma2, expected):
    assert ch.noisy_quadratic(schedule, H, sigma2)[-1] == pytest.approx(expected, rel=1e-4)


def test_noisy_quadratic_equals_monte_carlo():
    rng = np.random.default_rng(1)
    h, sigma2 = np.array([1.0, 0.3, 0.05]), 0.2
    schedule = ch.clr_schedule(np.arange(60), 10, 0.1, 0.9)
    exact = ch.noisy_quadratic(schedule, h, sigma2)
    x = np.ones((20_000, 3))
    for t, eta in enumerate(schedule):
        x -= eta * (h * x + np.sqrt(sigma2 * h) * rng.standard_normal(x.shape))
        if t % 7 == 0 or t == 59:
            losses = 0.5 * (x**2) @ h
            assert abs(losses.mean() - exact[t]) <= 4 * losses.std() / np.sqrt(len(x))


@given(eta=st.floats(0.05, 1.5), sigma2=st.floats(1e-4, 1.0))
def test_noisy_quadratic_tends_to_the_stationary_loss(eta, sigma2):
    h = np.array([1.0, 0.5])
    stationary = 0.5 * h @ (eta * sigma2 / (2 - eta * h))
    assert ch.noisy_quadratic(np.full(3000, eta), h, sigma2)[-1] == pytest.approx(stationary, rel=1e-6)


def test_noisy_quadratic_refuses_a_negative_variance():
    with pytest.raises(ValueError, match="variance"):
        ch.noisy_quadratic(np.ones(3), H, -1.0)


def test_a_row_of_the_stack_equals_a_run_alone():
    schedules = np.stack([np.full(40, 0.01), ch.clr_schedule(np.arange(40), 10, 0.01, 0.1)])
    together = ch.train_mlp(schedules, seed=5)
    for r in (0, 1):
        alone = ch.train_mlp(schedules[r : r + 1], seed=5)
        np.testing.assert_allclose(together[1][r], alone[1][0], rtol=1e-4)
    np.testing.assert_array_equal(together[0], [20, 40])


def test_training_equals_a_pytorch_run_on_the_same_minibatches():
    """The same network, data order and noise, trained by torch.optim.SGD and autograd."""
    lr = np.linspace(0.05, 0.01, 30)
    _, ours, _ = ch.train_mlp(lr[None], seed=3, log_every=30)
    rng = ch.seed_everything(3, torch=False)
    data = ch.digits_split(rng, center=True)
    X, y, X_test = data.X_train, data.y_train, np.tile(data.X_test, (4, 1))
    test = X_test + 0.3 * rng.standard_normal(X_test.shape)
    start = ch.StackedMLP((64, 64, 64, 10), 1, rng)
    layers = []
    for i, (w, b) in enumerate(zip(start.weights, start.biases, strict=True)):
        layer = torch.nn.Linear(w.shape[1], w.shape[2])
        layer.weight.data, layer.bias.data = torch.tensor(w[0].T.copy()), torch.tensor(b[0].copy())
        layers += [layer] if i == 0 else [torch.nn.ReLU(), layer]
    net = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    loss = torch.nn.functional.cross_entropy
    for eta in lr:
        optimizer.param_groups[0]["lr"] = eta
        pick = rng.integers(0, len(X), size=32)
        batch = torch.tensor(X[pick] + 0.3 * rng.standard_normal((32, 64)), dtype=torch.float32)
        optimizer.zero_grad()
        loss(net(batch), torch.tensor(y[pick])).backward()
        optimizer.step()
    with torch.no_grad():
        theirs = loss(net(torch.tensor(test, dtype=torch.float32)), torch.tensor(np.tile(data.y_test, 4))).item()
    assert ours[0, -1] == pytest.approx(theirs, rel=1e-3)
