import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sharpbook import statistics
from sharpbook.statistics import auroc, loglog_slope, mean_ci, moving_average, wilson_interval
from sklearn.metrics import roc_auc_score


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_docstring_examples():
    assert doctest.testmod(statistics).failed == 0


@given(st.floats(-3, 3), st.floats(-5, 5))
def test_slope_of_an_exact_power_law(slope, intercept):
    x = np.array([1.0, 3.0, 10.0, 40.0])
    fit = loglog_slope(x, np.exp(intercept) * x**slope)
    assert fit.slope == pytest.approx(slope, abs=1e-9) and fit.intercept == pytest.approx(intercept, abs=1e-9)
    assert fit.stderr == pytest.approx(0, abs=1e-7)


def test_slope_of_one_curve_agrees_with_scipy(rng):
    x = np.geomspace(1, 1e4, 9)
    y = 2 * x**-0.5 * np.exp(0.1 * rng.normal(size=9))
    fit, reference = loglog_slope(x, y), stats.linregress(np.log(x), np.log(y))
    assert (fit.slope, fit.intercept, fit.stderr) == pytest.approx(
        (reference.slope, reference.intercept, reference.stderr)
    )
    half = stats.t.ppf(0.975, 7) * reference.stderr
    assert (fit.low, fit.high) == pytest.approx((reference.slope - half, reference.slope + half))


def test_slope_over_seeds_has_the_interval_of_its_per_seed_slopes(rng):
    x = np.geomspace(1, 100, 6)
    curves = x ** rng.normal(-1, 0.1, size=(5, 1))
    fit = loglog_slope(x, curves)
    slopes = [stats.linregress(np.log(x), np.log(c)).slope for c in curves]
    assert fit.per_seed == pytest.approx(slopes)
    assert fit.stderr == pytest.approx(stats.sem(slopes))
    assert (fit.low, fit.high) == pytest.approx(stats.t.interval(0.95, 4, np.mean(slopes), stats.sem(slopes)))


def test_two_points_have_a_slope_but_no_interval():
    fit = loglog_slope([1.0, 2.0], [1.0, 4.0])
    assert fit.slope == pytest.approx(2) and np.isnan(fit.stderr) and np.isnan(fit.low)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0, 0.0], "positive"),
        ([1.0, 2.0], [1.0, np.nan], "positive"),
        ([1.0, 2.0], [1.0], "must agree"),
        ([2.0, 2.0], [1.0, 3.0], "distinct"),
    ],
)
def test_slope_refuses(x, y, message):
    with pytest.raises(ValueError, match=message):
        loglog_slope(x, y)


def test_mean_ci_agrees_with_scipy(rng):
    values = rng.normal(size=(6, 4))
    ci = mean_ci(values, 0.9)
    low, high = stats.t.interval(0.9, 5, values.mean(0), stats.sem(values))
    assert ci.low == pytest.approx(low) and ci.high == pytest.approx(high) and ci.mean == pytest.approx(values.mean(0))


def test_mean_ci_covers_as_often_as_it_says(rng):
    ci = mean_ci(rng.normal(size=(4, 20_000)))
    covered = np.mean((ci.low <= 0) & (ci.high >= 0))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 20_000)


def test_mean_ci_of_one_seed_has_no_ends():
    ci = mean_ci([2.0])
    assert ci.mean == 2.0 and np.isnan(ci.low) and np.isnan(ci.high)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(counts):
    k, n = counts
    reference = stats.binomtest(k, n).proportion_ci(method="wilson")
    ours = wilson_interval(k, n)
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=1e-12)
    assert ours.low <= ours.mean <= ours.high


def test_wilson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence=95.0)


scores = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@given(scores, scores)
def test_auroc_agrees_with_pairs_and_sklearn(positives, negatives):
    pairs = [(p > q) + 0.5 * (p == q) for p in positives for q in negatives]
    labels = [1] * len(positives) + [0] * len(negatives)
    assert auroc(positives, negatives) == pytest.approx(np.mean(pairs))
    assert auroc(positives, negatives) == pytest.approx(roc_auc_score(labels, positives + negatives))


def test_auroc_refuses():
    with pytest.raises(ValueError, match="at least one"):
        auroc([], [1.0])
    with pytest.raises(ValueError, match="NaN"):
        auroc([np.nan], [1.0])


@given(arrays(float, st.integers(1, 20), elements=st.floats(-5, 5)), st.integers(1, 9))
def test_moving_average_against_a_loop(values, window):
    n = len(values)
    expected = [
        np.mean([values[min(max(j, 0), n - 1)] for j in range(i - window // 2, i - window // 2 + window)])
        for i in range(n)
    ]
    assert moving_average(values, window) == pytest.approx(np.array(expected), abs=1e-12)


def test_moving_average_works_per_row_and_refuses_an_empty_window():
    rows = np.arange(12.0).reshape(2, 6)
    assert np.array_equal(moving_average(rows, 3)[1], moving_average(rows[1], 3))
    with pytest.raises(ValueError, match="window"):
        moving_average(rows, 0)
