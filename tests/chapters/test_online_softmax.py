"""The algorithm cells against SciPy, PyTorch, logaddexp, argsort, and a cache model by reuse distances."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from book import names

ch = names("online-softmax")
KERNELS = {"naive": (ch.softmax_naive, 3), "safe": (ch.softmax_safe, 4), "online": (ch.softmax_online, 3)}
TOPK = {
    "unfused": (ch.topk_unfused, 5),
    "safe fused": (ch.topk_safe_fused, 2),
    "online fused": (ch.topk_online_fused, 1),
}

logit = st.one_of(st.just(-math.inf), st.floats(-800, 800))
vectors = st.lists(st.floats(-800, 800), min_size=1, max_size=40).map(np.array)
pairs = st.lists(logit, max_size=5).map(lambda xs: pair_of(np.array(xs)))


def pair_of(x):
    """(m, d) by the definition."""
    if not len(x) or x.max() == -math.inf:
        return -math.inf, 0.0
    return float(x.max()), float(np.exp(x - x.max()).sum())


def close(p, q):
    return p[0] == q[0] and p[1] == pytest.approx(q[1], rel=1e-12)


@given(vectors)
def test_every_prefix_has_the_logsumexp_of_logaddexp(x):
    for j, expected in enumerate(itertools.accumulate(x, np.logaddexp), 1):
        m, d, _ = ch.online_normalizer(x[:j])
        assert m == x[:j].max() and 1 <= d <= j * (1 + 1e-12)
        assert m + math.log(d) == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(vectors)
def test_rescales_are_strict_records(x):
    records = sum(all(x[j] > x[i] for i in range(j)) for j in range(len(x)))
    assert ch.online_normalizer(x)[2] == records


def test_masked_and_bad_entries():
    m, d, rescales = ch.online_normalizer(np.array([-np.inf, 2.0, -np.inf, 1.0]))
    assert (m, rescales) == (2.0, 1) and d == pytest.approx(1 + math.exp(-1))
    assert ch.online_normalizer(np.full(3, -np.inf)) == (-math.inf, 0.0, 0)
    assert math.isnan(ch.online_normalizer(np.array([1.0, np.nan, 2.0]))[1])


@given(pairs, pairs, pairs)
def test_monoid_laws(p, q, r):
    assert close(ch.md_combine(p, q), ch.md_combine(q, p))
    assert close(ch.md_combine(ch.md_combine(p, q), r), ch.md_combine(p, ch.md_combine(q, r)))
    assert ch.md_combine(p, (-math.inf, 0.0)) == p == ch.md_combine((-math.inf, 0.0), p)
    assert not any(math.isnan(v) for v in ch.md_combine(p, q))


@given(st.lists(logit, min_size=1, max_size=30).map(np.array), st.data())
def test_any_cut_gives_the_whole(x, data):
    cut = data.draw(st.integers(0, len(x)))
    assert close(ch.md_combine(pair_of(x[:cut]), pair_of(x[cut:])), pair_of(x))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("n", "block"), [(1, 1), (7, 3), (100, 256), (1000, 64), (1024, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_equals_scipy_and_torch(name, n, block, dtype):
    x = np.random.default_rng(n).normal(0, 3, n).astype(dtype)
    y = KERNELS[name][0](x, block)
    assert y.dtype == dtype and y.shape == (n,)
    np.testing.assert_allclose(y, softmax(x.astype(np.float64)), rtol=2e-6 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(y, torch.softmax(torch.from_numpy(x), 0).numpy(), rtol=3e-6)


@pytest.mark.parametrize("shift", [-1e4, -150.0, 150.0, 1e4])
def test_online_survives_what_naive_does_not(shift):
    x = (np.random.default_rng(0).normal(0, 3, 500) + shift).astype(np.float32)
    with np.errstate(all="ignore"):
        assert not np.isfinite(ch.softmax_naive(x)).all()
    expected = softmax(x.astype(np.float64))
    for kernel in (ch.softmax_safe, ch.softmax_online):
        np.testing.assert_allclose(kernel(x), expected, rtol=5e-6)


def test_masked_blocks_have_probability_zero():
    x = np.random.default_rng(1).normal(size=40)
    x[:16], x[30] = -np.inf, -np.inf
    for kernel in (ch.softmax_safe, ch.softmax_online):
        np.testing.assert_allclose(kernel(x, 8), softmax(x), rtol=1e-12)
    values, indices = ch.topk_online_fused(x, 30, 8)
    order = np.argsort(-x, kind="stable")[:30]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(values, softmax(x)[order], rtol=1e-12)


@given(
    x=st.lists(st.integers(-3, 3), min_size=1, max_size=60).map(lambda v: np.array(v, float)),
    block=st.integers(1, 20),
    data=st.data(),
)
@settings(max_examples=200)
def test_topk_with_many_ties_equals_a_stable_argsort(x, block, data):
    k = data.draw(st.integers(1, len(x)))
    order = np.argsort(-x, kind="stable")[:k]
    for kernel, _ in TOPK.values():
        values, indices = kernel(x, k, block)
        np.testing.assert_array_equal(indices, order)
        np.testing.assert_allclose(values, softmax(x)[order], rtol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_topk_on_long_vectors(k):
    x = np.random.default_rng(k).normal(0, 3, 5000).astype(np.float32)
    expected = torch.topk(torch.softmax(torch.from_numpy(x).double(), 0), k)
    for kernel, _ in TOPK.values():
        values, indices = kernel(x, k)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(indices, expected.indices.numpy())
        np.testing.assert_allclose(values, expected.values.numpy(), rtol=2e-6)


@pytest.mark.parametrize("n", [64, 4096, 1001])
def test_accesses_per_element(n):
    x = np.random.default_rng(0).normal(size=n)
    for kernel, accesses in KERNELS.values():
        meter = ch.TrafficMeter()
        kernel(x, 64, meter)
        assert meter.loads + meter.stores == accesses * n
    for kernel, accesses in TOPK.values():
        meter = ch.TrafficMeter()
        kernel(x, 5, 64, meter)
        assert meter.loads + meter.stores == accesses * n
        assert sum(b - a for _, a, b, _ in meter.trace) == accesses * n


class Spy(np.ndarray):
    """An array that counts the elements taken out of it by slices: a meter that the kernels do not know of."""

    read = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        if isinstance(key, slice):
            Spy.read += len(part)
        return np.asarray(part)


@pytest.mark.parametrize(
    ("kernel", "passes"),
    [
        (lambda x, b: ch.softmax_naive(x, b, out=np.empty(300)), 2),
        (lambda x, b: ch.softmax_safe(x, b, out=np.empty(300)), 3),
        (lambda x, b: ch.softmax_online(x, b, out=np.empty(300)), 2),
        (lambda x, b: ch.topk_unfused(x, 5, b, out=np.empty(300)), 3),
        (lambda x, b: ch.topk_safe_fused(x, 5, b), 2),
        (lambda x, b: ch.topk_online_fused(x, 5, b), 1),
    ],
)
def test_the_meter_misses_no_read_of_x(kernel, passes):
    x = np.random.default_rng(0).normal(size=300).view(Spy)
    Spy.read = 0
    kernel(x, 32)
    assert Spy.read == passes * 300


def test_a_loaded_view_cannot_be_written():
    view = ch.TrafficMeter().load(np.zeros(8), 2, 6)
    assert len(view) == 4
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


def test_out_is_filled_and_returned():
    x, out = np.arange(5.0), np.empty(5)
    for kernel, _ in KERNELS.values():
        assert kernel(x, 2, out=out) is out
    np.testing.assert_allclose(out, softmax(x))


def reuse_distance_traffic(trace, capacity, line):
    """Traffic of an LRU cache from reuse distances: no cache is simulated.

    A line is resident from one access to the next when fewer than `capacity` other lines come between. Each stay costs
    one fetch when it begins with a read and one write-back when anything in it wrote.
    """
    accesses = [((n, i), w) for n, a, b, w in trace for i in range(a // line, -(-b // line))]
    moved = 0
    for key in {k for k, _ in accesses}:
        times = [t for t, (k, _) in enumerate(accesses) if k == key]
        stays = [[times[0]]]
        for before, now in itertools.pairwise(times):
            between = {k for k, _ in accesses[before + 1 : now]}
            stays.append([now]) if len(between) >= capacity else stays[-1].append(now)
        for stay in stays:
            moved += line * (not accesses[stay[0]][1]) + line * any(accesses[t][1] for t in stay)
    return moved


trace_entries = st.tuples(st.sampled_from("xy"), st.integers(0, 60), st.integers(1, 20), st.booleans())


@given(st.lists(trace_entries, max_size=30), st.integers(1, 8), st.sampled_from([1, 4, 16]))
def test_lru_equals_reuse_distances(entries, capacity, line):
    trace = [(name, a, a + n, w) for name, a, n, w in entries]
    assert ch.lru_traffic(trace, capacity * line, line) == reuse_distance_traffic(trace, capacity, line)


def test_lru_on_traces_whose_answer_is_obvious():
    again = [("x", 0, 64, False)] * 3
    assert ch.lru_traffic(again, 64) == 64
    assert ch.lru_traffic(again, 48) == 3 * 64  # one line too small: nothing is found again
    assert ch.lru_traffic([("y", 0, 64, True)] * 3, 64) == 64
    assert ch.lru_traffic([], 64) == 0


@pytest.mark.parametrize(("n", "safe", "online", "unfused", "fused"), [(4096, 4, 3, 5, 1), (256, 2, 2, 2, 1)])
def test_traffic_outside_and_inside_a_cache_of_1024(n, safe, online, unfused, fused):
    x = np.random.default_rng(0).normal(size=n)

    def moved(kernel, *k):
        meter = ch.TrafficMeter()
        kernel(x, *k, 64, meter)
        return ch.lru_traffic(meter.trace, 1024) / n

    assert moved(ch.softmax_safe) == safe
    assert moved(ch.softmax_online) == online
    assert moved(ch.topk_unfused, 5) == unfused
    assert moved(ch.topk_online_fused, 5) == fused


def test_bad_arguments_are_named():
    x = np.zeros(4)
    for kernel, _ in TOPK.values():
        for k in (0, 5):
            with pytest.raises(ValueError, match="k is between 1 and the 4 logits"):
                kernel(x, k)
    for kernel, _ in KERNELS.values():
        with pytest.raises(ValueError, match="block >= 1"):
            kernel(x, 0)
        with pytest.raises(ValueError, match="at least one logit"):
            kernel(np.empty(0))
    for kernel in (ch.softmax_safe, ch.softmax_online):
        with pytest.raises(ValueError, match="every logit is -inf"):
            kernel(np.full(5, -np.inf))
    with pytest.raises(ValueError, match="must hold a line"):
        ch.lru_traffic([], 8, 16)


def test_serial_float32_sums_lose_digits_and_the_blocked_kernel_does_not():
    x = np.random.default_rng(5).normal(0, 2.5, 400_000).astype(np.float32)
    m, d = -math.inf, 0.0
    for a in range(0, len(x), 1024):
        m, d = ch.md_combine((m, d), ch.block_md(x[a : a + 1024]))
    assert m + math.log(d) == pytest.approx(logsumexp(x.astype(np.float64)), abs=2e-7)
