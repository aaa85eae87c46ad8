"""Slopes, intervals and rank statistics with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float, Real, Shaped
from scipy.special import ndtri, stdtrit

Vector = Real[np.ndarray, "n"] | Sequence[SupportsFloat]


class SlopeFit(NamedTuple):
    """Power law y = exp(intercept) * x**slope: least squares on natural logarithms."""

    slope: float
    """exponent (dimensionless)"""
    intercept: float
    """natural logarithm of y at x = 1"""
    stderr: float
    """standard error of the slope: of the regression for one curve, over seeds for several"""
    low: float
    """lower end of the two-sided Student t interval of the slope"""
    high: float
    """upper end of that interval"""
    per_seed: Float[np.ndarray, "seeds"]
    """one slope per seed; a single entry for one curve"""


class Interval(NamedTuple):
    """An estimate with the ends of its confidence interval; floats or arrays of one shape."""

    mean: float | Float[np.ndarray, "..."]
    low: float | Float[np.ndarray, "..."]
    high: float | Float[np.ndarray, "..."]


def loglog_slope(
    x: Vector, y: Vector | Real[np.ndarray, "seeds n"] | Sequence[Vector], confidence: SupportsFloat = 0.95
) -> SlopeFit:
    """Fit log y = intercept + slope * log x and say how sure the slope is.

    Parameters
    ----------
    x : (n,) positive, at least two distinct values.
    y : (n,) one curve, or (n_seeds, n) one curve per seed. Positive.
    confidence : of the interval, in (0, 1).

    Returns
    -------
    SlopeFit. One curve: `stderr` and interval from the residuals with n - 2 degrees of freedom (NaN for n = 2).
    Several seeds: slope and intercept are means of the fits per seed, `stderr` is their standard deviation divided by
    sqrt(n_seeds), the interval has n_seeds - 1 degrees of freedom. Seeds are independent, points of one curve often
    are not: prefer several seeds.

    Raises
    ------
    ValueError : lengths differ, a value is not positive and finite, or fewer than two distinct x.

    Examples
    --------
    >>> x = np.array([1.0, 10.0, 100.0])
    >>> round(loglog_slope(x, 3 * x**-0.5).slope, 6)
    -0.5
    """
    x = np.asarray(x, float)
    curves = np.atleast_2d(np.asarray(y, float))
    if curves.shape[1] != x.size:
        raise ValueError(f"x has {x.size} values but each curve in y has {curves.shape[1]}; they must agree")
    if not (np.all(np.isfinite(curves)) and np.all(np.isfinite(x)) and curves.min() > 0 and x.min() > 0):
        raise ValueError("a log-log fit needs positive, finite x and y; drop zeros or use a linear fit")
    centred = np.log(x) - np.log(x).mean()
    spread = float(centred @ centred)
    if spread <= 1e-24:
        raise ValueError("a log-log fit needs at least two distinct values of x")
    logs = np.log(curves)
    slopes = logs @ centred / spread
    intercepts = logs.mean(1) - slopes * np.log(x).mean()
    n_seeds = len(curves)
    if n_seeds > 1:
        stderr, freedom = slopes.std(ddof=1) / np.sqrt(n_seeds), n_seeds - 1
    else:
        residual = logs[0] - logs[0].mean() - slopes[0] * centred
        freedom = x.size - 2
        stderr = np.sqrt(residual @ residual / freedom / spread) if freedom else np.nan
    half = _t_quantile(freedom, confidence) * stderr
    slope = float(slopes.mean())
    return SlopeFit(
        slope, float(intercepts.mean()), float(stderr), float(slope - half), float(slope + half), per_seed=slopes
    )


def mean_ci(values: Real[np.ndarray, "seeds ..."] | Sequence, confidence: SupportsFloat = 0.95) -> Interval:
    """Mean over seeds (the first axis) with a two-sided Student t interval, n_seeds - 1 degrees of freedom.

    Parameters
    ----------
    values : (n_seeds, ...) one run per row, for example (n_seeds, n_steps) learning curves.
    confidence : in (0, 1).

    Returns
    -------
    Interval(mean, low, high), each of shape `values.shape[1:]`, floats when that is (). One seed has no interval:
    low and high are NaN.

    Raises
    ------
    ValueError : no rows, or confidence outside (0, 1).

    Examples
    --------
    >>> mean_ci([1.0, 2.0, 3.0]).mean
    2.0
    """
    values = np.asarray(values, float)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError("mean_ci needs at least one seed: values of shape (n_seeds, ...)")
    n_seeds = len(values)
    mean = values.mean(0)
    if n_seeds > 1:
        half = _t_quantile(n_seeds - 1, confidence) * values.std(0, ddof=1) / np.sqrt(n_seeds)
    else:
        half = np.full_like(mean, np.nan)
    low, high = mean - half, mean + half
    if values.ndim == 1:
        return Interval(float(mean), float(low), float(high))
    return Interval(mean, low, high)


def wilson_interval(successes: SupportsIndex, n: SupportsIndex, confidence: SupportsFloat = 0.95) -> Interval:
    """Wilson's score interval for a proportion; unlike the Wald interval it is honest near 0 and 1.

    Parameters
    ----------
    successes, n : counts with 0 <= successes <= n and n >= 1.

    Returns
    -------
    Interval(mean, low, high) with mean = successes / n (which is not the centre of the interval).

    Raises
    ------
    ValueError : impossible counts, or confidence outside (0, 1).

    References
    ----------
    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.

    Examples
    --------
    >>> [round(v, 3) for v in wilson_interval(0, 10)]
    [0.0, 0.0, 0.278]
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials; need 0 <= successes <= n and n >= 1")
    _check_confidence(confidence)
    z = ndtri(0.5 + confidence / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # The ends at 0 and n successes are exactly 0 and 1; rounding would leave them a hair inside or outside.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return Interval(p, low, high)


def auroc(positives: Shaped[np.ndarray, "p"] | Sequence, negatives: Shaped[np.ndarray, "q"] | Sequence) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting one half.

    Parameters
    ----------
    positives, negatives : (p,) and (q,) scores; positives are expected to be larger.

    Returns
    -------
    float in [0, 1]; 0.5 is chance. Cost O((p + q) log q).

    Raises
    ------
    ValueError : an empty class or a NaN score.

    Examples
    --------
    >>> auroc([3.0, 2.0], [2.0, 1.0])
    0.875
    """
    positives, negatives = np.asarray(positives, float), np.sort(np.asarray(negatives, float))
    if positives.size == 0 or negatives.size == 0:
        raise ValueError("auroc needs at least one positive and one negative score")
    if np.isnan(positives).any() or np.isnan(negatives).any():
        raise ValueError("auroc cannot rank NaN scores; replace them first")
    below = np.searchsorted(negatives, positives, "left")
    not_above = np.searchsorted(negatives, positives, "right")
    return float((below.sum() + not_above.sum()) / (2 * positives.size * negatives.size))


def moving_average(values: Real[np.ndarray, "*rest n"] | Sequence, window: int) -> Float[np.ndarray, "*rest n"]:
    """Centred moving average along the last axis, with the end values repeated beyond the ends.

    Parameters
    ----------
    values : (..., n) with n >= 1.
    window : number of points averaged, >= 1. An odd window is centred; an even one reaches one point further back.

    Returns
    -------
    (..., n), same length as the input.

    Raises
    ------
    ValueError : window < 1 or an empty axis.

    Examples
    --------
    >>> moving_average([0.0, 3.0, 0.0], 3).tolist()
    [1.0, 1.0, 1.0]
    """
    values = np.asarray(values, float)
    if window < 1 or values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"moving_average needs window >= 1 (got {window}) and at least one value")
    before = window // 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(before, window - 1 - before)], mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1).mean(-1)


def _t_quantile(freedom: int, confidence: SupportsFloat) -> float:
    _check_confidence(confidence)
    return float(stdtrit(freedom, 0.5 + confidence / 2)) if freedom > 0 else np.nan


def _check_confidence(confidence: SupportsFloat) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie strictly between 0 and 1, for example 0.95")
