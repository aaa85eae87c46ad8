"""Time as ratios taken side by side, and peak memory as an exact count.

A time in seconds belongs to one machine and one minute; a ratio of two things timed alternately survives both. Memory
is counted, not sampled: the same program gives the same number of bytes everywhere.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from jaxtyping import Float64

Work = Callable[[], Any]


@dataclass(frozen=True)
class RatioTiming:
    """How much longer `a` takes than `b`, timed alternately."""

    ratio: float
    """median over repeats of (time of a) / (time of b); above 1 means that b is faster"""
    low: float
    """first quartile of those ratios"""
    high: float
    """third quartile of those ratios"""
    a_seconds: float
    """median time of a, s"""
    b_seconds: float
    """median time of b, s"""
    ratios: Float64[np.ndarray, "repeats"]


def time_many(
    works: Mapping[str, Work], repeats: int = 7, warmup: int = 1
) -> dict[str, Float64[np.ndarray, "repeats"]]:
    """Time several callables in rounds: each round runs every one once, so slow minutes of the machine hit them alike.

    Parameters
    ----------
    works : name -> callable without arguments. Rounds alternate between forward and reverse order.
    repeats : rounds that are timed, >= 1.
    warmup : rounds before, not timed, >= 0.

    Returns
    -------
    name -> (repeats,) seconds. Entry i of each belongs to round i: divide them to get paired ratios.

    Raises
    ------
    ValueError : repeats < 1 or warmup < 0.

    Examples
    --------
    >>> times = time_many({"sum": lambda: sum(range(9)), "max": lambda: max(range(9))}, repeats=3)
    >>> times["sum"].shape
    (3,)
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats is {repeats} and warmup {warmup}; need repeats >= 1 and warmup >= 0")
    for _ in range(warmup):
        for work in works.values():
            work()
    seconds = {name: np.empty(repeats) for name in works}
    names = list(works)
    for i in range(repeats):
        for name in names if i % 2 == 0 else reversed(names):
            work = works[name]
            start = perf_counter()
            work()
            seconds[name][i] = perf_counter() - start
    return seconds


def time_ratio(a: Work, b: Work, repeats: int = 7, warmup: int = 1) -> RatioTiming:
    """Time a and b alternately and compare: the median of paired ratios, and the median of each.

    Parameters and errors as for `time_many`.

    Examples
    --------
    >>> timing = time_ratio(lambda: sorted(range(9)), lambda: max(range(9)), repeats=5)
    >>> timing.low <= timing.ratio <= timing.high, timing.ratios.shape
    (True, (5,))
    """
    seconds = time_many({"a": a, "b": b}, repeats, warmup)
    ratios = seconds["a"] / np.maximum(seconds["b"], 1e-9)
    low, middle, high = (float(q) for q in np.quantile(ratios, [0.25, 0.5, 0.75]))
    return RatioTiming(
        middle, low, high, float(np.median(seconds["a"])), float(np.median(seconds["b"])), ratios=ratios
    )


def peak_numpy(work: Work) -> tuple[int, Any]:
    """Peak bytes that `work` held beyond what was held before, and what it returned.

    Counts what goes through Python's allocator, NumPy's arrays included (`tracemalloc`), not memory that a compiled
    library takes for itself. It slows code that makes many small objects: do not time inside it.

    Returns
    -------
    (peak, result) with peak in bytes.

    Examples
    --------
    >>> peak, total = peak_numpy(lambda: np.ones(1_000_000).sum())
    >>> 8_000_000 <= peak < 8_100_000, float(total)
    (True, 1000000.0)
    """
    nested = tracemalloc.is_tracing()
    if not nested:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = work()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not nested:
            tracemalloc.stop()
    return max(peak, 0), result


def peak_bytes(work: Work) -> tuple[int, Any]:
    """Peak bytes of PyTorch tensors that `work` created, and what it returned.

    Exact and the same on every machine: see `sharpbook.peak_memory.PeakMem`, which this wraps around the call.

    Returns
    -------
    (peak, result) with peak in bytes.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(1000)
    >>> peak_bytes(lambda: (x + 1).sum().item())
    (4004, 1000.0)
    """
    from sharpbook.peak_memory import PeakMem

    with PeakMem() as memory:
        result = work()
    return memory.peak, result
