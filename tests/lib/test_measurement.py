import doctest

import numpy as np
import pytest
import torch
from sharpbook import measurement, peak_memory
from sharpbook.measurement import peak_bytes, peak_numpy, time_many, time_ratio
from sharpbook.peak_memory import PeakMem
from torch.utils.checkpoint import checkpoint


def test_docstring_examples():
    assert doctest.testmod(measurement).failed == 0
    assert doctest.testmod(peak_memory).failed == 0


def test_rounds_are_interleaved_and_warmed_up():
    calls = []
    time_many({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, warmup=1)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"


def test_ratio_is_the_median_of_paired_ratios(monkeypatch):
    # A clock that we move by hand: a takes 2, 6, 20 s while b takes 1, 2, 10 s.
    clock = [0.0]
    spans = {"a": iter([2.0, 6.0, 20.0]), "b": iter([1.0, 2.0, 10.0])}
    monkeypatch.setattr(measurement, "perf_counter", lambda: clock[0])

    def work(name):
        clock[0] += next(spans[name])

    timing = time_ratio(lambda: work("a"), lambda: work("b"), repeats=3, warmup=0)
    assert timing.ratios.tolist() == [2.0, 3.0, 2.0]
    assert (timing.ratio, timing.a_seconds, timing.b_seconds) == (2.0, 6.0, 2.0)
    assert timing.low <= timing.ratio <= timing.high


def test_timing_refuses():
    with pytest.raises(ValueError, match="repeats"):
        time_many({"a": lambda: None}, repeats=0)


def test_numpy_peak_counts_what_is_alive_together():
    def work():
        a = np.ones(250_000)
        b = a + 1
        del a
        c = b * 2
        return c.sum()

    peak, total = peak_numpy(work)
    assert 4_000_000 <= peak < 4_020_000 and total == 1_000_000


def test_numpy_peak_forgets_what_existed_before():
    before = np.ones(1_000_000)
    peak, _ = peak_numpy(lambda: before[:1000] + 1)
    assert 8_000 <= peak < 20_000


def model_step(depth, batch=64, width=32, recompute=False, inner=1):
    torch.manual_seed(0)

    def pairs():
        return [module for _ in range(inner) for module in (torch.nn.Linear(width, width), torch.nn.Tanh())]

    layers = [torch.nn.Sequential(*pairs()) for _ in range(depth)]
    x = torch.randn(batch, width)

    def step():
        h = x
        for layer in layers:
            h = checkpoint(layer, h, use_reentrant=False, preserve_rng_state=False) if recompute else layer(h)
        h.square().mean().backward()

    return step


def profiler_peak(work):
    with torch.profiler.profile(profile_memory=True) as profile:
        work()
    # The tree of allocations and releases, in order of time.
    events = sorted(
        (e.start_ns(), e.nbytes()) for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"
    )
    return int(np.maximum.accumulate(np.cumsum([b for _, b in events])).max())


@pytest.mark.parametrize("depth", [1, 3, 8])
@pytest.mark.parametrize("recompute", [False, True])
def test_peak_agrees_with_torchs_profiler(depth, recompute):
    ours, _ = peak_bytes(model_step(depth, recompute=recompute))
    theirs = profiler_peak(model_step(depth, recompute=recompute))
    # The profiler also sees what an operation takes and returns within itself: a few scalars here.
    assert ours == pytest.approx(theirs, rel=0.02)


def test_peak_of_a_matrix_chain_in_closed_form():
    weight = torch.randn(16, 16)

    def work():
        h = torch.zeros(100, 16)
        for _ in range(5):
            h = h @ weight
        return h

    assert peak_bytes(work)[0] == 2 * 100 * 16 * 4


@pytest.mark.parametrize(("recompute", "kept_per_layer"), [(False, 3), (True, 1)])
def test_checkpointing_keeps_one_activation_per_layer(recompute, kept_per_layer):
    # A tanh keeps its output, which is the next linear layer's input; recomputation keeps only the layer's input.
    peaks = [peak_bytes(model_step(d, recompute=recompute, width=8, inner=3))[0] for d in (4, 12)]
    assert (peaks[1] - peaks[0]) / 8 == kept_per_layer * 4 * 64 * 8


def test_views_in_place_operations_and_old_tensors_cost_nothing():
    old = torch.ones(1000)
    with PeakMem() as memory:
        view = old.view(10, 100).T[2:]
        view.mul_(2)
        old.add_(view.sum())
    assert memory.peak == 4  # the scalar sum


def test_new_tensor_from_data_counts():
    with PeakMem() as memory:
        kept = torch.tensor([1.0, 2.0, 3.0])
    assert memory.live == 12 and kept.sum() == 6


def test_resized_storage_counts_with_its_new_size():
    with PeakMem() as memory:
        out = torch.empty(0)
        torch.add(torch.ones(50), 1, out=out)
    assert memory.live == 200


def test_timeline_ends_at_live_and_reaches_peak():
    with PeakMem(timeline=True) as memory:
        model_step(3)()
    assert max(memory.timeline) == memory.peak and min(memory.timeline) >= 0
    assert memory.timeline[-1] == memory.live


def test_count_repeats_exactly():
    assert len({peak_bytes(model_step(4))[0] for _ in range(3)}) == 1
