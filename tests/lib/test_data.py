import doctest
import re
from collections import Counter
from pydoc_data.topics import topics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sharpbook import data
from sharpbook.data import (
    LETTERS,
    MarkovLanguage,
    bundled_split,
    digits_split,
    entropy_rate,
    markov_language,
    pool_digits,
    pydoc_corpus,
    stationary_law,
)
from sklearn.datasets import load_digits


def test_docstring_examples():
    assert doctest.testmod(data).failed == 0


@given(st.integers(0, 50), st.integers(1, 1797))
def test_digits_split_is_a_partition_of_the_set(seed, n_train):
    split = digits_split(seed, n_train=n_train)
    raw = load_digits()
    ours = np.column_stack([np.vstack([split.X_train, split.X_test]) * 16, np.append(split.y_train, split.y_test)])
    theirs = np.column_stack([raw.data, raw.target])
    assert len(split.X_train) == n_train
    assert np.array_equal(np.sort(ours.view(f"V{65 * 8}").ravel()), np.sort(theirs.copy().view(f"V{65 * 8}").ravel()))


def test_split_repeats_with_its_seed_and_differs_with_another():
    a, b, c = digits_split(1), digits_split(1), digits_split(2)
    assert np.array_equal(a.X_train, b.X_train) and not np.array_equal(a.y_train, c.y_train)


def test_centring_uses_the_training_rows_only():
    plain, centred = digits_split(0), digits_split(0, center=True)
    assert centred.X_train.mean(0) == pytest.approx(np.zeros(64), abs=1e-12)
    assert centred.X_test == pytest.approx(plain.X_test - plain.X_train.mean(0))


def test_standardising_survives_constant_features():
    split = digits_split(0, standardize=True, dtype=np.float32)
    spread = split.X_train.std(0)
    assert split.X_train.dtype == np.float32 and np.isfinite(split.X_test).all()
    assert np.all((np.abs(spread - 1) < 1e-4) | (spread == 0))


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris"])
def test_label_noise_replaces_by_a_uniform_class(name):
    clean = bundled_split(name, 3)
    noisy = bundled_split(name, 3, label_noise=1.0)
    n_classes = clean.y_train.max() + 1
    assert np.array_equal(clean.X_train, noisy.X_train) and np.array_equal(clean.y_test, noisy.y_test)
    n = len(clean.y_train)
    right = (clean.y_train == noisy.y_train).mean()
    assert abs(right - 1 / n_classes) < 4 * np.sqrt((1 - 1 / n_classes) / n_classes / n)


def test_label_noise_touches_the_fraction_asked():
    clean, noisy = digits_split(0), digits_split(0, label_noise=0.3)
    wrong = (clean.y_train != noisy.y_train).sum()
    assert abs(wrong - 0.27 * 1297) < 4 * np.sqrt(0.3 * 1297 * 0.9 * 0.1)


def test_subset_of_classes_is_relabelled():
    split = digits_split(0, n_train=200, classes=(7, 3))
    raw = load_digits()
    means = [raw.data[raw.target == c].mean(0) / 16 for c in (7, 3)]
    X, y = np.vstack([split.X_train, split.X_test]), np.append(split.y_train, split.y_test)
    for label in (0, 1):
        assert X[y == label].mean(0) == pytest.approx(means[label])


def test_pooling_averages_blocks_of_four_pixels():
    X = np.random.default_rng(0).random((3, 64))
    image = X[1].reshape(8, 8)
    expected = [image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for i in range(4) for j in range(4)]
    assert pool_digits(X)[1] == pytest.approx(expected)


def test_regression_set_keeps_its_targets():
    split = bundled_split("diabetes", 0, n_train=400, n_test=20)
    assert split.y_train.dtype.kind == "f" and len(split.y_test) == 20


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnist", {}, "choose one of"),
        ("iris", {"n_train": 151}, "do not fit"),
        ("iris", {"n_train": 100, "n_test": 51}, "do not fit"),
        ("iris", {"label_noise": 1.5}, "label_noise"),
        ("diabetes", {"label_noise": 0.1}, "regression"),
        ("iris", {"classes": (0, 9)}, "not all labels"),
    ],
)
def test_bundled_split_refuses(name, options, message):
    with pytest.raises(ValueError, match=message):
        bundled_split(name, 0, **options)


def test_corpus_of_most_frequent_symbols():
    text = " ".join(" ".join(topics.values()).lower().split())
    corpus = pydoc_corpus(32)
    assert corpus.n_symbols == 32 and corpus.ids.min() == 0 and corpus.ids.max() == 31
    kept = {c for c, _ in Counter(text).most_common(31)}
    assert set(corpus.symbols[:-1]) == kept
    decoded = corpus.decode(corpus.ids).strip()
    assert len(decoded) == len(text)
    assert all(a == b or (b not in kept and a == corpus.symbols[-1]) for a, b in zip(decoded, text, strict=True))


def test_corpus_of_letters():
    corpus = pydoc_corpus(alphabet=LETTERS)
    decoded = corpus.decode(corpus.ids)
    assert decoded == re.sub("[^a-z]+", " ", " ".join(topics.values()).lower())
    assert "  " not in decoded


def test_corpus_with_an_alphabet_and_line_breaks_kept():
    symbols = "abcdefghijklmnopqrstuvwxyz .,()'_\n"
    corpus = pydoc_corpus(alphabet=symbols, collapse=False)
    text = " ".join(topics.values()).lower()
    assert corpus.decode(corpus.ids) == "".join(c if c in symbols else " " for c in text)
    assert len(corpus.train) == int(0.9 * len(text)) and len(corpus.train) + len(corpus.valid) == len(text)


def test_corpus_case_and_length():
    corpus = pydoc_corpus(64, lower=False, collapse=False, max_chars=5000)
    assert len(corpus.ids) == 5000 and any(c.isupper() for c in corpus.symbols)


def test_windows_come_from_their_part():
    corpus = pydoc_corpus(32)
    windows = corpus.valid_windows(4096, 7)
    assert windows.shape == (4096, 7) and np.array_equal(windows, pydoc_corpus(32).valid_windows(4096, 7))
    assert np.array_equal(windows[0], corpus.valid[:7]) and np.array_equal(windows[-1], corpus.valid[-7:])
    train = corpus.decode(corpus.train)
    assert all(corpus.decode(w) in train for w in corpus.train_windows(20, 40, np.random.default_rng(0)))


def test_batches_pair_a_context_with_its_next_symbol():
    corpus = pydoc_corpus(32)
    x, y = next(corpus.batches(8, 30, np.random.default_rng(0)))
    train = corpus.decode(corpus.train)
    assert all(corpus.decode([*c, n]) in train for c, n in zip(x.tolist(), y.tolist(), strict=True))


def test_corpus_refuses():
    with pytest.raises(ValueError, match="space"):
        pydoc_corpus(alphabet="abc")
    with pytest.raises(ValueError, match="n_symbols"):
        pydoc_corpus(1)
    with pytest.raises(ValueError, match="no symbol"):
        pydoc_corpus(alphabet=LETTERS).encode("x+1")
    with pytest.raises(ValueError, match="do not fit"):
        pydoc_corpus(32).valid_windows(1, 10**6)


@given(st.integers(0, 1000), st.integers(2, 8), st.sampled_from([0.05, 0.2, 1, 5]))
def test_stationary_law_is_left_unchanged(seed, n_symbols, concentration):
    language = markov_language(n_symbols, seed, concentration)
    law = language.stationary
    assert law @ language.transition == pytest.approx(law, abs=1e-9) and law.sum() == pytest.approx(1)
    assert -1e-12 <= language.entropy_rate <= np.log(n_symbols) + 1e-12


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_entropy_rate_of_two_symbols_in_closed_form(p, q):
    def binary(v):
        return -v * np.log2(v) - (1 - v) * np.log2(1 - v)

    rate = entropy_rate(np.array([[1 - p, p], [q, 1 - q]]), unit="bits")
    assert rate == pytest.approx((q * binary(p) + p * binary(q)) / (p + q))


def test_entropy_rate_is_the_growth_of_block_entropy():
    language = markov_language(3, 5, 0.7)

    def block_entropy(length):
        total = {(s,): language.stationary[s] for s in range(3)}
        for _ in range(length - 1):
            total = {(*w, s): p * language.transition[w[-1], s] for w, p in total.items() for s in range(3)}
        p = np.array(list(total.values()))
        return -(p * np.log(p)).sum()

    assert block_entropy(6) - block_entropy(5) == pytest.approx(language.entropy_rate)


def test_sampled_text_follows_the_transition_matrix():
    language = markov_language(4, 0, 1.0)
    text = language.sample(200, 500, np.random.default_rng(1))
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (text[:, :-1].ravel(), text[:, 1:].ravel()), 1)
    error = pairs / pairs.sum(1, keepdims=True) - language.transition
    se = np.sqrt(language.transition * (1 - language.transition) / pairs.sum(1, keepdims=True))
    assert np.all(np.abs(error) < 5 * se + 1e-9)
    first = np.bincount(text[:, 0], minlength=4) / 200
    assert np.abs(first - language.stationary).max() < 4 * 0.5 / np.sqrt(200)


def test_deterministic_cycle_is_sampled_exactly():
    cycle = MarkovLanguage(np.roll(np.eye(5), 1, axis=1))
    text = cycle.sample(10, 50, np.random.default_rng(0))
    assert np.array_equal(text[:, 1:], (text[:, :-1] + 1) % 5) and cycle.entropy_rate == 0


def test_language_refuses():
    with pytest.raises(ValueError, match="single stationary"):
        stationary_law(np.eye(2))
    with pytest.raises(ValueError, match="sum to 1"):
        stationary_law(np.ones((2, 2)))
    with pytest.raises(ValueError, match="bits"):
        entropy_rate(np.full((2, 2), 0.5), unit="bytes")
    with pytest.raises(ValueError, match="concentration"):
        markov_language(4, 0, 0.0)
