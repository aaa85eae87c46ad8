"""The algorithm cells against brute force over the grid, exact laws, SciPy, autograd and closed forms."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from book import names

ch = names("mxfp4-training")
GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def scale_by_hand(block):
    """The largest power of two that leaves the largest magnitude at 4 or above, found by trying them all."""
    top = np.abs(block).max()
    return max(2.0**k for k in range(-60, 60) if top / 2.0**k >= 4)


def nearest_by_hand(block):
    scale = scale_by_hand(block)
    signed = np.concatenate([-GRID[:0:-1], GRID])
    rounded = []
    for v in block / scale:
        distance = np.abs(signed - v)
        tied = signed[distance == distance.min()]
        rounded.append(tied[np.abs(tied).argmax()])  # ties away from zero
    return np.array(rounded) * scale


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), power=st.integers(-20, 20))
def test_nearest_equals_brute_force(seed, power):
    rng = np.random.default_rng(seed)
    # multiples of 1/8 are exact in float32 and hit every tie of the grid
    block = np.round(rng.normal(size=32) * rng.choice([1, 1, 8], 32) * 8) / 8 * 2.0**power
    block[3] = 5 * 2.0**power
    got = ch.mx_quantize(torch.tensor(block, dtype=torch.float32), "nr").numpy()
    np.testing.assert_array_equal(got, nearest_by_hand(block))


@pytest.mark.parametrize("rounding", ["nr", "sr"])
def test_a_power_of_two_as_maximum_and_zero_blocks(rounding):
    for exponent in (-30, -3, 0, 5, 40):
        x = torch.zeros(2, 64)
        x[0, 5] = 2.0**exponent
        got = ch.mx_quantize(x, rounding, torch.Generator().manual_seed(0))
        assert not got[1].any() and not got[0, 32:].any() and not got[0, :5].any()
        if rounding == "nr":
            assert got[0, 5] == 2.0**exponent
        else:
            assert got[0, 5] / 2.0**exponent == pytest.approx(1, abs=1e-6)  # 3/4 of 4 is 3, on the grid
    assert torch.isfinite(ch.mx_quantize(torch.full((32,), 1e-44), rounding)).all()


def test_stochastic_rounding_has_the_exact_law():
    """Two neighbours, with the probabilities that make the mean right, for every entry of a block."""
    rng = np.random.default_rng(1)
    block = np.append(rng.normal(size=31) * 2, 7.7).astype(np.float32)
    scale, n = scale_by_hand(block), 20_000
    draws = ch.mx_quantize(torch.tensor(block).expand(n, 32), "sr", torch.Generator().manual_seed(2)).numpy()
    for i, x in enumerate(block):
        v = 0.75 * abs(x) / scale
        low = GRID[v >= GRID].max()
        high = GRID[v < GRID].min()
        points = np.abs(draws[:, i]) / scale * 0.75
        is_low, is_high = np.isclose(points, low, atol=1e-4), np.isclose(points, high, atol=1e-4)
        assert (is_low | is_high).all() and (draws[:, i] * x >= 0).all()
        p = (v - low) / (high - low)
        assert abs(is_high.mean() - p) <= 4.5 * np.sqrt(p * (1 - p) / n) + 1e-9


def test_mean_of_products_is_within_its_standard_error():
    g = torch.Generator().manual_seed(3)
    A, B = torch.randn(3, 128, generator=g), torch.randn(4, 128, generator=g)
    A[:, ::50] *= 20
    for rht in (False, True):
        draws = torch.stack([ch.mx_matmul(A, B, "sr", rht, generator=g) for _ in range(2000)])
        z = (draws.mean(0) - A @ B.T) / (draws.std(0) / np.sqrt(2000))
        assert z.abs().max() < 4.5


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_hadamard_equals_scipy(n):
    np.testing.assert_allclose(ch.hadamard(n).numpy(), scipy.linalg.hadamard(n) / np.sqrt(n), atol=1e-6)


@pytest.mark.parametrize("g", [32, 64, 128])
def test_rotation_leaves_products_alone_and_spreads_one_outlier_evenly(g):
    gen = torch.Generator().manual_seed(g)
    A, B = torch.randn(5, 256, generator=gen), torch.randn(7, 256, generator=gen)
    A2, B2 = ch.random_hadamard_pair(A, B, g, gen)
    torch.testing.assert_close(A2 @ B2.T, A @ B.T, atol=1e-4, rtol=1e-5)
    alone = torch.zeros(1, 256)
    alone[0, g + 3] = 10.0
    spread = ch.random_hadamard_pair(alone, alone, g, gen)[0]
    torch.testing.assert_close(spread[0, g : 2 * g].abs(), torch.full((g,), 10 / g**0.5))
    assert not spread[0, :g].any() and not spread[0, 2 * g :].any()
    first, second = (ch.random_hadamard_pair(A, B, g, gen)[0] for _ in range(2))
    assert not torch.allclose(first, second)  # fresh signs


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="rounding is 'nr' or 'sr'"):
        ch.mx_quantize(torch.zeros(32), "up")
    with pytest.raises(ValueError, match="do not divide 33"):
        ch.mx_quantize(torch.zeros(33), "nr")
    with pytest.raises(ValueError, match="power of two, not 12"):
        ch.hadamard(12)
    with pytest.raises(ValueError, match="do not divide 96"):
        ch.random_hadamard_pair(torch.zeros(2, 96), torch.zeros(2, 96), 64)


def test_a_layer_in_fp32_mode_has_the_gradients_of_autograd():
    torch.manual_seed(4)
    layer = ch.MXLinear(64, 128)
    x = torch.randn(2, 32, 64, requires_grad=True)
    upstream = torch.randn(2, 32, 128)
    expected = torch.autograd.grad((torch.nn.functional.linear(x, layer.weight) * upstream).sum(), (x, layer.weight))
    got = torch.autograd.grad((layer(x) * upstream).sum(), (x, layer.weight))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mode", ["NR", "RHT+NR", "SR", "RHT+SR"])
def test_forward_is_exact_and_gradients_are_quantised_along_the_sum(mode):
    torch.manual_seed(5)
    layer = ch.MXLinear(64, 128)
    layer.mode = mode
    x, upstream = torch.randn(64, 64, requires_grad=True), torch.randn(64, 128)
    y = layer(x)
    torch.testing.assert_close(y, x @ layer.weight.T)
    dx, dw = torch.autograd.grad((y * upstream).sum(), (x, layer.weight))
    for got, exact in ((dx, upstream @ layer.weight), (dw, upstream.T @ x)):
        error = ((got - exact).norm() / exact.norm()).item()
        assert 0.05 < error < 0.4
    if mode == "NR":  # without randomness: rows along the reduction dimension, rounded by hand
        by_hand = lambda M: np.array([[*map(nearest_by_hand, row.reshape(-1, 32))] for row in M]).reshape(M.shape)  # noqa: E731
        W, G, X = layer.weight.detach().numpy(), upstream.numpy(), x.detach().numpy()
        np.testing.assert_allclose(dx.numpy(), by_hand(G) @ by_hand(W.T).T, atol=1e-3)
        np.testing.assert_allclose(dw.numpy(), by_hand(G.T) @ by_hand(X.T).T, atol=1e-3)


def test_bigram_in_fp32_equals_a_run_with_autograd():
    """Same data, but gradients from autograd and the divergence from cross-entropy minus entropy."""
    data = torch.Generator().manual_seed(6)
    P = torch.from_numpy(ch.markov_language(64, 6, 0.2).transition).float()
    E = torch.linalg.qr(torch.randn(64, 64, generator=data)).Q
    E[:2] *= 3
    W, ladder = torch.zeros(64, 64, requires_grad=True), P.cumsum(1)
    for t in range(30):
        c = torch.randint(64, (256,), generator=data)
        y = (torch.rand(256, 1, generator=data) > ladder[c]).sum(1).clamp(max=63)
        loss = torch.nn.functional.cross_entropy(E[c] @ W.T, y)
        (gradient,) = torch.autograd.grad(loss, W)
        W = (W - 8.0 * (1 - t / 30) * gradient).detach().requires_grad_()
    cross = -(P * (E @ W.T).log_softmax(1)).sum(1)
    entropy = torch.special.entr(P).sum(1)
    got = ch.train_bigram("fp32", 6, steps=30, amp=3.0)
    assert got["excess"] == pytest.approx((cross - entropy)[2:].mean().item(), rel=1e-3)
    assert got["outlier_excess"] == pytest.approx((cross - entropy)[:2].mean().item(), rel=1e-3)
    assert got["grad_mse"] == 0


def test_bigram_approaches_the_entropy_and_repeats_itself():
    once, again = (ch.train_bigram("RHT+SR", 7, steps=60, lr=64.0) for _ in range(2))
    assert once == again
    longer = ch.train_bigram("fp32", 7, steps=600, lr=128.0)
    assert 0 < longer["excess"] < 0.06 < once["excess"] < np.log(64)


def test_gpt_learns_and_shares_its_start_between_modes():
    runs = {mode: ch.train_gpt(mode, 8, steps=24) for mode in ("fp32", "RHT+SR")}
    assert runs["fp32"]["losses"][0] == runs["RHT+SR"]["losses"][0]  # the forward pass is exact
    assert runs["fp32"]["losses"][1] != runs["RHT+SR"]["losses"][1]
    for run in runs.values():
        assert len(run["losses"]) == 24 and run["val_loss"] < run["losses"][0] - 0.5


def test_gpt_is_causal():
    torch.manual_seed(9)
    model = ch.GPT("fp32")
    block = model.blocks[0]
    x = torch.randn(1, 20, 64)
    changed = x.clone()
    changed[:, 12:] += 1
    difference = (block(x) - block(changed))[0].abs().amax(1)
    assert difference[:12].max() < 1e-6 and difference[12:].min() > 1e-3
