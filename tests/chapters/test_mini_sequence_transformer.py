"""The algorithm cells against F.cross_entropy with autograd, finite differences, torch's profiler and byte counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from book import names

F = torch.nn.functional
ch = names("mini-sequence-transformer")
MODES = list(ch.MODES)


@given(n=st.integers(1, 500), m=st.integers(1, 600))
def test_sizes_are_near_equal_and_cover_everything(n, m):
    sizes = ch.split_sizes(n, m)
    assert sum(sizes) == n and len(sizes) == min(n, m)
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="at least one token"):
        ch.split_sizes(0, 3)
    with pytest.raises(ValueError, match="one piece"):
        ch.split_sizes(3, 0)
    with pytest.raises(ValueError, match="must agree"):
        ch.mini_lm_head_loss(torch.zeros(3, 2), torch.zeros(5, 2), torch.zeros(4, dtype=torch.long), 2)
    net = ch.TinyLlama(8, 4, 1, 2, 6)
    with pytest.raises(ValueError, match="no mode 'fast'"):
        net.loss(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), "fast")


def head_problem(T, V, d, ignored, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(T, d, generator=g, dtype=dtype).requires_grad_()
    w = torch.randn(V, d, generator=g, dtype=dtype).requires_grad_()
    y = torch.randint(V, (T,), generator=g)
    return h, w, y.where(torch.rand(T, generator=g) >= ignored, -100)


@settings(deadline=None, max_examples=60)
@given(T=st.integers(1, 40), V=st.integers(2, 30), m=st.integers(1, 50), seed=st.integers(0, 99), masked=st.booleans())
def test_head_equals_cross_entropy_and_autograd(T, V, m, seed, masked):
    h, w, y = head_problem(T, V, 5, 0.4 if masked else 0.0, seed)
    y[0] = 1  # at least one target counts, or PyTorch returns NaN
    theirs = 3 * F.cross_entropy(h @ w.T, y)
    expected = torch.autograd.grad(theirs, (h, w))
    ours = 3 * ch.mini_lm_head_loss(h, w, y, m)
    got = torch.autograd.grad(ours, (h, w))
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_head_gradient_by_finite_differences():
    h, w, y = head_problem(3, 4, 2, 0.0)
    assert torch.autograd.gradcheck(lambda a, b: ch.mini_lm_head_loss(a, b, y, 2), (h, w))


def test_another_ignore_index_and_large_logits():
    h, w, y = head_problem(9, 7, 3, 0.0, dtype=torch.float32)
    y[2:5] = 0
    torch.testing.assert_close(
        ch.mini_lm_head_loss(300 * h, w, y, 4, ignore_index=0), F.cross_entropy(300 * h @ w.T, y, ignore_index=0)
    )


def test_all_targets_ignored_gives_zero_and_zero_gradients():
    h, w, y = head_problem(6, 5, 3, 0.0)
    loss = ch.mini_lm_head_loss(h, w, torch.full_like(y, -100), 4)
    loss.backward()
    assert loss.item() == 0 and not h.grad.any() and not w.grad.any()


def test_mini_mlp_equals_the_whole_for_any_number_of_pieces():
    torch.manual_seed(0)
    layer = ch.Layer(8, 2, 12).double()
    x = torch.randn(2, 11, 8, dtype=torch.float64)
    for m in (1, 2, 5, 11, 40):
        torch.testing.assert_close(ch.mini_mlp(layer.mlp, x, m), layer.mlp(x))
        torch.testing.assert_close(ch.mini_mlp_again(layer.mlp, x, m), layer.mlp(x))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 7, 50])
def test_every_mode_has_the_loss_and_gradients_of_plain_autograd(mode, n):
    torch.manual_seed(1)
    net = ch.TinyLlama(40, 8, 3, 2, 20).double()
    ids, y = torch.randint(40, (2, n)), torch.randint(40, (2, n))
    y[0, : n // 2] = -100  # uneven: a mean of means would show
    reference = net.embed(ids)
    for layer in net.layers:
        q, k, v = layer.qkv(layer.norm1(reference)).view(2, n, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT / 2).masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
        reference = reference + layer.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(2, n, 8))
        z = layer.norm2(reference)
        reference = reference + layer.down(F.silu(layer.gate(z)) * layer.up(z))
    expected = F.cross_entropy(net.head(net.norm(reference)).flatten(0, 1), y.flatten())
    gradients = torch.autograd.grad(expected, list(net.parameters()))
    net.loss(ids, y, mode, m_mlp=3, m_head=5).backward()
    assert net.loss(ids, y, mode, m_mlp=3, m_head=5).item() == pytest.approx(expected.item(), abs=1e-12)
    for p, g in zip(net.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad, g, atol=1e-10, rtol=0)


def test_attention_is_causal():
    torch.manual_seed(2)
    layer = ch.Layer(8, 2, 12)
    x = torch.randn(1, 9, 8)
    changed = x.clone()
    changed[:, 6:] += 1
    same = (layer(x, ch.partial(ch.mini_mlp, m=3)) - layer(changed, ch.partial(ch.mini_mlp, m=3)))[0]
    assert not same[:6].any() and same[6:].any()


def profiled_peak(work):
    """Largest running sum of the allocations that torch's profiler reports, an independent meter."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as prof:
        work()
    sizes = [e.nbytes() for e in prof.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum(sizes).max())


@pytest.mark.parametrize("mode", ["vanilla", "recompute", "mst", "mst+"])
def test_the_meter_agrees_with_the_profiler(mode):
    torch.manual_seed(3)
    net = ch.TinyLlama(512, 16, 3, 2, 56)
    ids = torch.randint(512, (1, 256))
    counted = ch.peak_bytes(net, ids, ids, mode, m_mlp=4, m_head=8)
    net.zero_grad(set_to_none=True)
    seen = profiled_peak(lambda: net.loss(ids, ids, mode, m_mlp=4, m_head=8).backward())
    # The profiler also sees what an operation takes and returns within itself: here a tile of scores in attention, with
    # its gradient, at most 256 queries by 512 keys.
    assert counted <= seen <= counted + (2 * 4 * 256 * 512 if mode == "mst+" else 0)


def largest_storages(net, ids, mode, **pieces):
    """Sizes of all storages that come to life during a step, by watching the meter's timeline for jumps."""
    net.zero_grad(set_to_none=True)
    with ch.PeakMem(timeline=True) as memory:
        net.loss(ids, ids, mode, **pieces).backward()
    return np.diff([0, *memory.timeline])


def test_logits_exist_as_a_whole_when_recomputing_and_never_in_mst():
    net, n, vocab = ch.TinyLlama(1000, 8, 2, 2, 28), 96, 1000
    ids = torch.randint(vocab, (1, n))
    full = 4 * n * vocab
    assert (largest_storages(net, ids, "recompute") == full).sum() == 4  # logits, log-probabilities, two gradients
    assert largest_storages(net, ids, "mst", m_head=16).max() <= max(full / 16, 4 * vocab * 8)


@pytest.mark.parametrize("V, d, L, I, heads", [(640, 16, 3, 40, 2), (32, 16, 2, 80, 4), (300, 24, 5, 36, 3)])
@pytest.mark.parametrize("mode", ["vanilla", "recompute", "mst", "mst+"])
def test_formula_of_the_peak_is_exact(V, d, L, I, heads, mode):
    net = ch.TinyLlama(V, d, L, heads, I)
    low, high = (
        ch.peak_bytes(net, *[torch.zeros(1, n, dtype=torch.long)] * 2, mode, m_mlp=4, m_head=32) for n in (512, 768)
    )
    assert (high - low) / 256 / 4 == pytest.approx(ch.numbers_per_token(mode, V, d, L, I, heads, m_mlp=4), abs=1e-9)


@pytest.mark.parametrize("mode", ["vanilla", "recompute", "mst", "mst+"])
def test_shapes_without_memory_give_the_same_bytes(mode):
    real = ch.TinyLlama(128, 16, 2, 2, 56)
    ids = torch.zeros(1, 70, dtype=torch.long)
    counted = ch.peak_bytes(real, ids, ids, mode, m_mlp=3, m_head=5)
    with FakeTensorMode():
        fake = ch.TinyLlama(128, 16, 2, 2, 56)
        ids = torch.zeros(1, 70, dtype=torch.long)
        assert ch.peak_bytes(fake, ids, ids, mode, m_mlp=3, m_head=5) == counted
