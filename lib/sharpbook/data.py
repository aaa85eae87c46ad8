"""Data that needs no download: scikit-learn's bundled sets, Python's own help text, languages with known entropy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float, Int, Num

LETTERS = "abcdefghijklmnopqrstuvwxyz "
"""The 27-symbol alphabet of Shannon's experiments on printed English: letters and space."""

_OTHER = "\ufffd"


class Split(NamedTuple):
    """Rows of X are samples. Labels are integers 0..C-1, or floats for a regression set."""

    X_train: Float[np.ndarray, "train features"]
    y_train: Num[np.ndarray, "train"]
    X_test: Float[np.ndarray, "test features"]
    y_test: Num[np.ndarray, "test"]


def bundled_split(
    name: str,
    seed: SupportsIndex | np.random.Generator,
    *,
    n_train: SupportsFloat = 0.7,
    n_test: int | None = None,
    classes: Sequence[int] | None = None,
    center: bool = False,
    standardize: bool = False,
    label_noise: SupportsFloat = 0.0,
    dtype: type = np.float64,
) -> Split:
    """A seeded random split of a data set that ships with scikit-learn.

    Parameters
    ----------
    name : "digits" (1797 x 64, pixels divided by 16 to lie in [0, 1]), "breast_cancer" (569 x 30), "wine" (178 x 13),
        "iris" (150 x 4), or "diabetes" (442 x 10, regression); the features of the last four as they come.
    seed : of the permutation and of the label noise, in this order: the split does not depend on `label_noise`.
    n_train : number of training rows, or a fraction of all rows when it is a float below 1.
    n_test : number of test rows; None takes all that are left.
    classes : keep only these classes; class `classes[i]` becomes label i.
    center : subtract the mean of the training rows from both parts.
    standardize : also divide by the training standard deviation per feature (1 where that is 0).
    label_noise : fraction of the training labels replaced by a draw from all classes, the true one included, so that
        about label_noise * (1 - 1/C) of them are wrong. Test labels stay clean.

    Raises
    ------
    ValueError : unknown name, sizes that do not fit, label noise outside [0, 1] or on a regression set.

    Examples
    --------
    >>> split = bundled_split("iris", seed=0, n_train=100, standardize=True)
    >>> split.X_train.shape, split.X_test.shape
    ((100, 4), (50, 4))
    """
    rng = np.random.default_rng(seed)
    X, y = _load(name)
    regression = y.dtype.kind == "f"
    if classes is not None:
        if regression or not set(classes) <= set(y.tolist()):
            raise ValueError(f"classes {tuple(classes)} are not all labels of {name}")
        label_of = {c: i for i, c in enumerate(classes)}
        keep = np.isin(y, list(classes))
        X, y = X[keep], np.array([label_of[c] for c in y[keep].tolist()])
    n = len(X)
    if isinstance(n_train, float) and n_train < 1:
        n_train = int(n_train * n)
    n_test = n - int(n_train) if n_test is None else n_test
    if n_train < 1 or n_test < 0 or n_train + n_test > n:
        raise ValueError(f"{n_train} training and {n_test} test rows do not fit the {n} rows of {name}")
    order = rng.permutation(n)
    train, test = order[: int(n_train)], order[int(n_train) : int(n_train) + n_test]
    y_train = y[train]
    if not 0 <= label_noise <= 1 or (label_noise and regression):
        raise ValueError(f"label_noise is {label_noise}; it must lie in [0, 1], and a regression set takes none")
    if label_noise:
        rows = rng.permutation(len(train))[: round(label_noise * len(train))]
        y_train[rows] = rng.integers(int(y.max()) + 1, size=len(rows))
    X_train, X_test = X[train], X[test]
    if center or standardize:
        mean = X_train.mean(0)
        X_train, X_test = X_train - mean, X_test - mean
    if standardize:
        scale = X_train.std(0)
        scale[scale == 0] = 1
        X_train, X_test = X_train / scale, X_test / scale
    return Split(X_train.astype(dtype), y_train, X_test.astype(dtype), y[test])


def digits_split(seed: SupportsIndex | np.random.Generator, n_train: SupportsFloat = 1297, **options) -> Split:
    """`bundled_split("digits", seed, n_train=n_train, **options)`: 8x8 images, pixels in [0, 1], 1797 in all.

    Examples
    --------
    >>> split = digits_split(seed=0, center=True)
    >>> split.X_train.shape, split.X_test.shape
    ((1297, 64), (500, 64))
    """
    return bundled_split("digits", seed, n_train=n_train, **options)


def pool_digits(X: Float[np.ndarray, "n 64"]) -> Float[np.ndarray, "n 16"]:
    """Average 2x2 blocks of 8x8 images: 4x4 pictures that a small model finds hard to tell apart.

    Examples
    --------
    >>> pool_digits(np.ones((3, 64))).shape
    (3, 16)
    """
    return X.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)


@lru_cache(maxsize=8)
def _load(name: str) -> tuple[Float[np.ndarray, "n d"], Num[np.ndarray, "n"]]:
    names = ("digits", "breast_cancer", "wine", "iris", "diabetes")
    if name not in names:
        raise ValueError(f"no data set {name!r}; choose one of {', '.join(names)}")
    import sklearn.datasets as bundled

    X, y = getattr(bundled, f"load_{name}")(return_X_y=True)
    if name == "digits":
        X = X / 16
    X.flags.writeable = y.flags.writeable = False  # every later call gets these arrays
    return X, y


@dataclass(frozen=True)
class Corpus:
    """A text as integers, its first part for training and the rest for validation.

    Attributes
    ----------
    ids : (n,) int64, position of each character in `symbols`.
    symbols : one character per id; U+FFFD, if present, stands for all others.
    n_train : the first n_train ids are `train`, the rest is `valid`.
    """

    ids: Int[np.ndarray, "n"]
    symbols: str
    n_train: int

    @property
    def n_symbols(self) -> int:
        return len(self.symbols)

    @property
    def train(self) -> Int[np.ndarray, "train"]:
        return self.ids[: self.n_train]

    @property
    def valid(self) -> Int[np.ndarray, "valid"]:
        return self.ids[self.n_train :]

    def decode(self, ids: Int[np.ndarray, "length"] | Sequence[int]) -> str:
        return "".join(self.symbols[i] for i in ids)

    def encode(self, text: str) -> Int[np.ndarray, "length"]:
        """Ids of `text`; raises ValueError when it holds a character that the alphabet has no symbol for."""
        position = {s: i for i, s in enumerate(self.symbols)}
        other = position.get(_OTHER)
        missing = sorted(set(text) - set(position)) if other is None else []
        if missing:
            raise ValueError(f"no symbol for {missing}; the alphabet is {self.symbols!r}")
        return np.array([position.get(c, other) for c in text], int)

    def valid_windows(self, n: int, length: int) -> Int[np.ndarray, "n length"]:
        """n windows at even distances through the validation text: always the same ones, whatever the seed."""
        room = len(self.valid) - length
        if room < 0 or n < 1:
            raise ValueError(f"{n} windows of {length} do not fit {len(self.valid)} validation characters")
        starts = np.linspace(0, room, n).astype(int)
        return self.valid[starts[:, None] + np.arange(length)]

    def train_windows(self, n: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "n length"]:
        """n windows at uniform random places of the training text."""
        room = self.n_train - length
        if room < 0:
            raise ValueError(f"a window of {length} does not fit {self.n_train} training characters")
        return self.train[rng.integers(room + 1, size=n)[:, None] + np.arange(length)]

    def batches(
        self, batch: int, context: int, rng: np.random.Generator
    ) -> Iterator[tuple[Int[np.ndarray, "batch context"], Int[np.ndarray, "batch"]]]:
        """Endless minibatches (contexts, next symbols) for a language model that predicts one symbol per window."""
        while True:
            windows = self.train_windows(batch, context + 1, rng)
            yield windows[:, :-1], windows[:, -1]


@lru_cache(maxsize=8)
def pydoc_corpus(
    n_symbols: int = 32,
    *,
    alphabet: str | None = None,
    lower: bool = True,
    collapse: bool = True,
    max_chars: int | None = None,
    valid_fraction: float = 0.1,
) -> Corpus:
    """The prose of Python's built-in help (`pydoc_data.topics`, about 465,000 characters) as a corpus.

    Parameters
    ----------
    n_symbols : keep the n_symbols - 1 most frequent characters, most frequent first; all others become one symbol.
    alphabet : use these characters instead (`n_symbols` is then ignored); all others become a space, which the
        alphabet must contain. `LETTERS` gives a-z and space.
    lower : lower the case first.
    collapse : every run of white space becomes one space.
    max_chars : keep only the first so many characters of the result.
    valid_fraction : the last part of the text, for validation, in [0, 1).

    The text differs a little between versions of Python. Equal arguments return the same object.

    Raises
    ------
    ValueError : an alphabet without a space or with a repeated character, n_symbols < 2, or a bad fraction.

    Examples
    --------
    >>> corpus = pydoc_corpus(32)
    >>> corpus.n_symbols, corpus.decode(corpus.encode("the value of x"))
    (32, 'the value of �')
    >>> pydoc_corpus(alphabet=LETTERS).symbols
    'abcdefghijklmnopqrstuvwxyz '
    """
    if not 0 <= valid_fraction < 1 or n_symbols < 2:
        raise ValueError(f"n_symbols is {n_symbols}, valid_fraction {valid_fraction}; need >= 2 and [0, 1)")
    if alphabet is not None and (" " not in alphabet or len(set(alphabet)) < len(alphabet)):
        raise ValueError(f"alphabet {alphabet!r} must contain a space and no character twice")
    from pydoc_data.topics import topics

    text = " ".join(topics.values())
    if lower:
        text = text.lower()
    if alphabet is not None:
        text = re.sub(f"[^{re.escape(alphabet)}]", " ", text)
    if collapse:
        text = re.sub(r"\s+", " ", text)
    text = text[:max_chars]
    symbols = alphabet
    if symbols is None:
        # Ties are broken by the character itself, so that the alphabet does not depend on the order of the text.
        ranked = sorted(Counter(text).items(), key=lambda item: (-item[1], item[0]))
        symbols = "".join(c for c, _ in ranked[: n_symbols - 1]) + _OTHER
    position = {c: i for i, c in enumerate(symbols)}
    other = position.get(_OTHER, -1)
    ids = np.array([position.get(c, other) for c in text], dtype=np.int64)
    ids.flags.writeable = False
    return Corpus(ids, symbols, int((1 - valid_fraction) * len(ids)))


@dataclass(frozen=True)
class MarkovLanguage:
    """A first-order Markov chain over symbols 0..V-1: text whose best possible loss is known exactly.

    transition : (V, V), row s is the law of the symbol after s. Rows sum to 1.
    """

    transition: Float[np.ndarray, "V V"]

    @cached_property
    def stationary(self) -> Float[np.ndarray, "V"]:
        return stationary_law(self.transition)

    @cached_property
    def entropy_rate(self) -> float:
        """Nats per symbol: no model predicts the next symbol with a smaller mean cross-entropy."""
        return entropy_rate(self.transition)

    def sample(self, n: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "n length"]:
        """n independent texts, each started from the stationary law."""
        n_symbols = len(self.transition)
        # Rows of cumulated probabilities, shifted by the row number, are one sorted list: one search serves all texts.
        ladder = (np.cumsum(self.transition, 1) + np.arange(n_symbols)[:, None]).ravel()
        text = np.empty((n, length), int)
        state = rng.choice(n_symbols, size=n, p=self.stationary)
        for t in range(length):
            text[:, t] = state
            step = np.searchsorted(ladder, state + rng.random(n), side="right") - state * n_symbols
            state = np.clip(step, 0, n_symbols - 1)
        return text


def markov_language(
    n_symbols: int, seed: SupportsIndex | np.random.Generator, concentration: SupportsFloat = 0.2
) -> MarkovLanguage:
    """A random language: every row of the transition matrix is drawn from Dirichlet(concentration, ..., concentration).

    Small concentrations make the next symbol nearly certain, large ones nearly uniform.

    Raises
    ------
    ValueError : n_symbols < 2 or concentration <= 0.

    Examples
    --------
    >>> language = markov_language(8, seed=0, concentration=0.5)
    >>> language.sample(3, 10, np.random.default_rng(1)).shape, bool(0 < language.entropy_rate < np.log(8))
    ((3, 10), True)
    """
    if n_symbols < 2 or concentration <= 0:
        raise ValueError(f"n_symbols is {n_symbols}, concentration {concentration}; need >= 2 and > 0")
    rows = np.random.default_rng(seed).dirichlet(np.full(n_symbols, float(concentration)), size=n_symbols)
    # Tiny concentrations underflow to zeros; a trace of the uniform law keeps one closed class and one stationary law.
    rows = (1 - 1e-9) * rows + 1e-9 / n_symbols
    return MarkovLanguage(rows / rows.sum(1, keepdims=True))


def stationary_law(transition: Float[np.ndarray, "V V"]) -> Float[np.ndarray, "V"]:
    """The law that the chain leaves unchanged: law @ transition == law.

    Raises
    ------
    ValueError : rows that are not probabilities, or a chain with more than one stationary law.

    Examples
    --------
    >>> stationary_law(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4).tolist()
    [0.6667, 0.3333]
    """
    n = len(transition)
    if transition.min() < 0 or not np.allclose(transition.sum(1), 1, atol=1e-8):
        raise ValueError("transition must have non-negative rows that sum to 1")
    system = np.vstack([transition.T - np.eye(n), np.ones(n)])
    law, _, rank, _ = np.linalg.lstsq(system, np.append(np.zeros(n), 1.0), rcond=None)
    if rank < n:
        raise ValueError("the chain falls into separate parts and has no single stationary law")
    law = np.clip(law, 0, None)
    return law / law.sum()


def entropy_rate(transition: Float[np.ndarray, "V V"], unit: str = "nats") -> float:
    """Entropy per symbol of the stationary chain, -sum_s law(s) sum_a T(s, a) log T(s, a).

    Parameters
    ----------
    unit : "nats" (natural logarithm, the unit of cross-entropy losses) or "bits".

    Raises
    ------
    ValueError : another unit, or as in `stationary_law`.

    References
    ----------
    C. E. Shannon (1948), A mathematical theory of communication, section 7.

    Examples
    --------
    >>> round(entropy_rate(np.full((2, 2), 0.5), unit="bits"), 9)
    1.0
    """
    if unit not in ("nats", "bits"):
        raise ValueError(f"unit is {unit!r}; choose 'nats' or 'bits'")
    logs = np.log(np.where(transition > 0, transition, 1.0))
    nats = float(-stationary_law(transition) @ (transition * logs).sum(1))
    return float(nats / np.log(2)) if unit == "bits" else nats
