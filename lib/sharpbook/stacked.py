"""Train many copies of a small network at once: one batched computation, one learning-rate schedule per copy.

A *replica* is one network. R replicas share initial weights and minibatches unless told otherwise, so that curves
differ only by what is varied (common random numbers). All parameters of a stack are one array `params` of shape (R, P),
one row per replica; `weights` and `biases` are views into it.

Why NumPy: on one thread of an AMD EPYC, 1280 SGD steps of 64-64-64-10 at batch 32 took 0.57 s with NumPy's batched
matmul and 0.68 s with torch.bmm for 17 replicas (0.07 s and 0.11 s for one); and NumPy needs no import of seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float, Float64, Int, Num

Inputs = Num[np.ndarray, "batch features"] | Num[np.ndarray, "replicas batch features"]
Labels = Int[np.ndarray, "batch"] | Int[np.ndarray, "replicas batch"]
Rates = Num[np.ndarray, "replicas"] | Num[np.ndarray, "replicas parameters"] | float | int | np.number
Seed = SupportsIndex | np.random.Generator
Pullback = Callable[[Float[np.ndarray, "replicas batch out"]], Float[np.ndarray, "replicas parameters"]]

# Keeps activations in cache; fixed, so that a replica's result does not depend on how many others there are.
_EVALUATION_ROWS = 256


class StackedMLP:
    """R fully connected networks of the same shape, evaluated and differentiated together.

    Parameters
    ----------
    widths : layer widths from input to output, for example (64, 64, 64, 10).
    n_replicas : R >= 1.
    seed : integer or Generator: all replicas start from the same weights. A sequence of R of them: replica r starts
        from its own.
    active : (R, hidden layers) number of living units per hidden layer, for sweeps over width. The others have zero
        weights in and out; their gradients are exactly zero, so they stay dead and replica r behaves as a network
        that has only its living units.
    activation : "relu" or "tanh", on all layers but the last.
    loss : "cross_entropy" (of the softmax, in nats) or "squared" (half the squared distance to the one-hot label).
    dtype : float32 or float64.

    Weights start as N(0, 2 / fan_in) (He et al. 2015, arXiv 1502.01852), with fan_in counted over living units;
    biases start at 0.

    Attributes
    ----------
    params : (R, P), changed in place by the optimizers below.
    weights, biases : per layer, views (R, in, out) and (R, out).

    Raises
    ------
    ValueError : a shape, an activation or a loss that does not exist.

    Examples
    --------
    >>> net = StackedMLP((2, 3, 2), n_replicas=5, seed=0)
    >>> net.params.shape, net.logits(np.ones((4, 2))).shape
    ((5, 17), (5, 4, 2))
    """

    _extra_shapes: tuple[tuple[int, ...], ...] = ()  # parameters of a subclass, stored after the layers

    def __init__(
        self,
        widths: Sequence[int],
        n_replicas: int,
        seed: Seed | Sequence[Seed],
        *,
        active: Int[np.ndarray, "replicas hidden"] | None = None,
        activation: str = "relu",
        loss: str = "cross_entropy",
        dtype: type = np.float32,
    ) -> None:
        if len(widths) < 2 or min(widths) < 1 or n_replicas < 1:
            raise ValueError(f"widths {tuple(widths)}, n_replicas {n_replicas}; need two positive widths and R >= 1")
        if activation not in ("relu", "tanh"):
            raise ValueError(f"activation is {activation!r}; choose 'relu' or 'tanh'")
        if loss not in ("cross_entropy", "squared"):
            raise ValueError(f"loss is {loss!r}; choose 'cross_entropy' or 'squared'")
        self.widths, self.n_replicas = tuple(widths), n_replicas
        self.activation, self.loss = activation, loss
        self._shapes = [shape for i, o in pairwise(self.widths) for shape in ((i, o), (o,))] + list(self._extra_shapes)
        self.params = np.zeros((n_replicas, sum(int(np.prod(s)) for s in self._shapes)), dtype)
        self._bind()

        living = self._living_units(active)
        if isinstance(seed, (Sequence, np.ndarray)):
            if len(seed) != n_replicas:
                raise ValueError(f"{len(seed)} seeds for {n_replicas} replicas; give one seed or one per replica")
            for r, own in enumerate(seed):
                self._initialise(np.random.default_rng(own), slice(r, r + 1), living[r : r + 1])
        else:
            self._initialise(np.random.default_rng(seed), slice(None), living)

    def logits(self, x: Inputs) -> Float[np.ndarray, "replicas batch out"]:
        """Outputs of the last layer for inputs common to all replicas, (B, in), or one set each, (R, B, in)."""
        return self._forward(self._features(x))[-1]

    def loss_and_grad(
        self, x: Inputs, y: Labels
    ) -> tuple[Float64[np.ndarray, "replicas"], Float[np.ndarray, "replicas parameters"]]:
        """Mean loss of each replica on one minibatch and its gradient in the layout of `params`.

        x : (B, in) or (R, B, in). y : (B,) or (R, B) integer labels. Overflow gives inf or NaN in that replica only.
        """
        z, pullback = self.vjp(x)
        with np.errstate(all="ignore"):
            losses, delta = self._output_loss(z, y, gradient=True)
            delta /= delta.shape[1]
        return losses.mean(1), pullback(delta)

    def vjp(self, x: Inputs) -> tuple[Float[np.ndarray, "replicas batch out"], Pullback]:
        """Logits z, (R, B, out), and the function that turns dL/dz into dL/dparams, (R, P): for losses of your own.

        Examples
        --------
        >>> net = StackedMLP((2, 3), n_replicas=1, seed=0)
        >>> z, pullback = net.vjp(np.ones((4, 2)))
        >>> pullback(np.ones_like(z))[0, -3:].tolist()
        [4.0, 4.0, 4.0]
        """
        hidden = self._forward(self._features(x))

        def pullback(delta: Float[np.ndarray, "replicas batch out"]) -> Float[np.ndarray, "replicas parameters"]:
            grad = np.empty_like(self.params)
            parts = self._views(grad)
            with np.errstate(all="ignore"):
                for layer in reversed(range(len(self.weights))):
                    np.matmul(hidden[layer].swapaxes(-1, -2), delta, out=parts[2 * layer])
                    np.sum(delta, axis=1, out=parts[2 * layer + 1])
                    if layer > 0:
                        delta = np.matmul(delta, self.weights[layer].swapaxes(1, 2))
                        delta *= hidden[layer] > 0 if self.activation == "relu" else 1 - hidden[layer] ** 2
                self._features_grad(x, delta, parts)
            return grad

        return hidden[-1], pullback

    def evaluate(
        self, x: Inputs, y: Labels
    ) -> tuple[Float64[np.ndarray, "replicas"], Float64[np.ndarray, "replicas"]]:
        """Mean loss (nats) and accuracy in [0, 1] of each replica; both NaN for a replica that has diverged."""
        losses, hits = [], []
        with np.errstate(all="ignore"):
            for start in range(0, x.shape[-2], _EVALUATION_ROWS):
                rows = slice(start, start + _EVALUATION_ROWS)
                labels = y[..., rows]
                z = self.logits(x[..., rows, :])
                hit = (z.argmax(-1) == labels).astype(np.float64)
                hit[~np.isfinite(z).all(-1)] = np.nan
                hits.append(hit)
                losses.append(self._output_loss(z, labels, gradient=False)[0])
            return np.concatenate(losses, 1).mean(1), np.concatenate(hits, 1).mean(1)

    def replica(self, r: int) -> StackedMLP:
        """A stack of one: an independent copy of replica r."""
        return self.repeat(np.array([r]))

    def repeat(self, rows: Int[np.ndarray, "new"]) -> StackedMLP:
        """An independent stack made of the replicas `rows`, which may repeat: `net.repeat(np.zeros(9, int))`."""
        other = copy.copy(self)
        other.params = self.params[rows]
        other.n_replicas = len(rows)
        other._bind()
        return other

    def per_layer(self, values: Num[np.ndarray, "replicas layers"]) -> Float[np.ndarray, "replicas parameters"]:
        """Spread one number per replica and layer over that layer's weights and biases, in the layout of `params`.

        For layer-wise learning rates: pass the result as `lr` of an optimizer. (R, L), L = len(widths) - 1.
        Parameters of a subclass (an embedding) take the first layer's value.
        """
        layer_of = np.repeat(np.arange(len(self.widths) - 1), 2)
        layer_of = np.append(layer_of, np.zeros(len(self._extra_shapes), int))
        sizes = [int(np.prod(s)) for s in self._shapes]
        return np.repeat(values[:, layer_of], sizes, axis=1).astype(self.params.dtype)

    def _bind(self) -> None:
        views = self._views(self.params)
        n_layers = len(self.widths) - 1
        self.weights, self.biases = views[0 : 2 * n_layers : 2], views[1 : 2 * n_layers : 2]
        self._extra = views[2 * n_layers :]

    def _views(self, flat: Float[np.ndarray, "replicas parameters"]) -> list[np.ndarray]:
        ends = np.cumsum([int(np.prod(s)) for s in self._shapes])
        starts = np.append(0, ends[:-1])
        return [
            flat[:, a:b].reshape(len(flat), *s) for a, b, s in zip(starts, ends, self._shapes, strict=True)
        ]

    def _living_units(self, active: Int[np.ndarray, "replicas hidden"] | None) -> Int[np.ndarray, "replicas layers"]:
        living = np.tile(np.array(self.widths), (self.n_replicas, 1))
        if active is not None:
            hidden = living[:, 1:-1]
            if active.shape != hidden.shape or (active < 1).any() or (active > hidden).any():
                raise ValueError(
                    f"active needs shape {hidden.shape} and values from 1 to the layer's width {self.widths[1:-1]}"
                )
            living[:, 1:-1] = active
        return living

    def _initialise(self, rng: np.random.Generator, rows: slice, living: Int[np.ndarray, "rows layers"]) -> None:
        for layer, weight in enumerate(self.weights):
            n_in, n_out = weight.shape[1:]
            fan_in, fan_out = living[:, layer, None], living[:, layer + 1, None]
            alive = (np.arange(n_in) < fan_in)[:, :, None] & (np.arange(n_out) < fan_out)[:, None, :]
            weight[rows] = rng.normal(size=(n_in, n_out)) * np.sqrt(2 / fan_in)[:, :, None] * alive

    def _features(self, x: Inputs) -> Float[np.ndarray, "*replicas batch inputs"]:
        return x.astype(self.params.dtype, copy=False)

    def _features_grad(self, x: np.ndarray, delta: np.ndarray, parts: list[np.ndarray]) -> None:
        """For a subclass whose features have parameters: delta is the loss gradient at the first layer's outputs."""

    def _forward(self, features: Float[np.ndarray, "*replicas batch features"]) -> list[np.ndarray]:
        hidden = [features]
        with np.errstate(all="ignore"):
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                z = np.matmul(hidden[-1], weight)
                z += bias[:, None, :]
                if layer < len(self.weights) - 1:
                    if self.activation == "relu":
                        np.maximum(z, 0, out=z)
                    else:
                        np.tanh(z, out=z)
                hidden.append(z)
        return hidden

    def _output_loss(
        self, z: Float[np.ndarray, "replicas batch out"], y: Labels, gradient: bool
    ) -> tuple[Float64[np.ndarray, "replicas batch"], Float[np.ndarray, "replicas batch out"] | None]:
        """Loss of every sample, and its gradient in z if asked (z is then overwritten)."""
        y = np.broadcast_to(y, z.shape[:2])[..., None]
        if self.loss == "squared":
            residual = z if gradient else z.copy()
            np.put_along_axis(residual, y, np.take_along_axis(residual, y, -1) - 1, -1)
            return 0.5 * np.square(residual).sum(-1, dtype=np.float64), residual
        z = z - z.max(-1, keepdims=True)
        at_label = np.take_along_axis(z, y, -1)
        np.exp(z, out=z)
        total = z.sum(-1, keepdims=True)
        losses = (np.log(total) - at_label)[..., 0].astype(np.float64)
        if gradient:
            z /= total
            np.put_along_axis(z, y, np.take_along_axis(z, y, -1) - 1, -1)
        return losses, z


class CharLMStack(StackedMLP):
    """R neural n-gram language models (Bengio et al. 2003): embed `context` symbols, one ReLU layer, softmax.

    Parameters
    ----------
    n_symbols : V, size of the alphabet.
    n_replicas, seed, active, dtype : as in `StackedMLP`; `active` is (R, 1) living hidden units.
    context : number of symbols seen.
    embedding : numbers per symbol; the table (R, V, embedding) is the attribute `embedding` and starts as N(0, 1).
    hidden : units of the hidden layer.

    Inputs x are integers, (B, context) or (R, B, context), in 0..V-1; labels are the next symbols. Losses are nats per
    symbol.

    Examples
    --------
    >>> CharLMStack(32, n_replicas=3, seed=0).logits(np.zeros((8, 6), int)).shape
    (3, 8, 32)
    """

    def __init__(
        self,
        n_symbols: int,
        n_replicas: int,
        seed: Seed | Sequence[Seed],
        *,
        context: int = 6,
        embedding: int = 12,
        hidden: int = 64,
        active: Int[np.ndarray, "replicas 1"] | None = None,
        dtype: type = np.float32,
    ) -> None:
        self._extra_shapes = ((n_symbols, embedding),)
        super().__init__((context * embedding, hidden, n_symbols), n_replicas, seed, active=active, dtype=dtype)

    def _bind(self) -> None:
        super()._bind()
        (self.embedding,) = self._extra

    def _initialise(self, rng: np.random.Generator, rows: slice, living: Int[np.ndarray, "rows layers"]) -> None:
        super()._initialise(rng, rows, living)
        self.embedding[rows] = rng.normal(size=self.embedding.shape[1:])

    def _features(self, x: Inputs) -> Float[np.ndarray, "replicas batch inputs"]:
        replicas = np.arange(self.n_replicas)[:, None, None]
        embedded = self.embedding[:, x] if x.ndim == 2 else self.embedding[replicas, x]
        return embedded.reshape(self.n_replicas, x.shape[-2], -1)

    def _features_grad(self, x: np.ndarray, delta: np.ndarray, parts: list[np.ndarray]) -> None:
        # The transpose of a look-up is a sum over the places where each symbol was read: a product with one-hot rows.
        slots = np.matmul(delta, self.weights[0].swapaxes(1, 2))
        slots = slots.reshape(self.n_replicas, -1, self.embedding.shape[2])
        n_symbols = self.embedding.shape[1]
        read = x.reshape(*x.shape[:-2], 1, -1) == np.arange(n_symbols)[:, None]
        np.matmul(read.astype(slots.dtype), slots, out=parts[-1])


class SGD:
    """Stochastic gradient descent with heavy-ball momentum, in the convention of `torch.optim.SGD`.

    v <- momentum * v + g;  params <- params - lr * v. `params` is (R, P) and changes in place.

    Examples
    --------
    >>> params = np.ones((2, 1)); SGD(params, momentum=0.0).step(np.ones((2, 1)), lr=np.array([0.1, 0.5]))
    >>> params.ravel().tolist()
    [0.9, 0.5]
    """

    def __init__(self, params: Float[np.ndarray, "replicas parameters"], momentum: SupportsFloat = 0.9) -> None:
        self.params, self.momentum = params, momentum
        self.velocity = np.zeros_like(params)
        self._scratch = np.empty_like(params)

    def step(self, grad: Float[np.ndarray, "replicas parameters"], lr: Rates) -> None:
        """One update with rate lr: a number, (R,) one per replica, or (R, P) one per parameter."""
        with np.errstate(all="ignore"):
            self.velocity *= self.momentum
            self.velocity += grad
            np.multiply(self.velocity, _column(lr, self.params), out=self._scratch)
            self.params -= self._scratch


class Adam:
    """Adam with bias correction (Kingma and Ba 2015), in the convention of `torch.optim.Adam`.

    `params` is (R, P) and changes in place; the step count is common to all replicas.

    Examples
    --------
    >>> params = np.ones((1, 1)); Adam(params).step(np.full((1, 1), 3.0), lr=0.1)
    >>> params.round(6).item()
    0.9
    """

    def __init__(
        self,
        params: Float[np.ndarray, "replicas parameters"],
        betas: tuple[SupportsFloat, SupportsFloat] = (0.9, 0.999),
        eps: SupportsFloat = 1e-8,
    ) -> None:
        self.params, self.betas, self.eps = params, betas, eps
        self.t = 0
        self.first, self.second = np.zeros_like(params), np.zeros_like(params)
        self._scratch = np.empty_like(params)

    def step(self, grad: Float[np.ndarray, "replicas parameters"], lr: Rates) -> None:
        """One update with rate lr: a number, (R,) one per replica, or (R, P) one per parameter."""
        beta1, beta2 = self.betas
        self.t += 1
        scratch = self._scratch
        with np.errstate(all="ignore"):
            self.first *= beta1
            self.first += np.multiply(grad, 1 - beta1, out=scratch)
            self.second *= beta2
            np.multiply(grad, grad, out=scratch)
            scratch *= 1 - beta2
            self.second += scratch
            np.sqrt(self.second, out=scratch)
            scratch /= (1 - beta2**self.t) ** 0.5
            scratch += self.eps
            np.divide(self.first, scratch, out=scratch)
            scratch *= _column(lr, self.params) / (1 - beta1**self.t)
            self.params -= scratch


def _column(lr: Rates, params: np.ndarray) -> np.ndarray:
    lr = np.asarray(lr, params.dtype)
    return lr[:, None] if lr.ndim == 1 else lr


Batch = tuple[np.ndarray, np.ndarray]
Evaluation = Callable[[StackedMLP], Sequence[Num[np.ndarray, "replicas"]]]


def train_stack(
    net: StackedMLP,
    optimizer: SGD | Adam,
    schedules: Num[np.ndarray, "replicas steps"],
    batches: Iterable[Batch],
    evaluate: Evaluation | None = None,
    log_every: int = 0,
) -> tuple[Int[np.ndarray, "logs"], Float64[np.ndarray, "quantities replicas logs"]]:
    """Train every replica with its own learning-rate schedule on a common stream of minibatches.

    Parameters
    ----------
    net, optimizer : the optimizer holds `net.params`.
    schedules : (R, T) learning rate of replica r at step t.
    batches : yields at least T pairs (x, y), in the shapes that `net.loss_and_grad` takes.
    evaluate : called with net; returns k arrays (R,), for example `lambda net: net.evaluate(x_test, y_test)`.
    log_every : call it after each so many steps; 0 means once, after the last step.

    Returns
    -------
    iterations : (m,) number of steps done at each log.
    values : (k, R, m); k = 0 without `evaluate`.

    Raises
    ------
    ValueError : schedules do not match the stack, or the stream of minibatches ends early.

    Examples
    --------
    >>> net = StackedMLP((4, 8, 2), n_replicas=2, seed=0)
    >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> steps, (loss, accuracy) = train_stack(
    ...     net, SGD(net.params), np.full((2, 30), 0.1), [(x, y)] * 30, lambda net: net.evaluate(x, y), log_every=10)
    >>> steps.tolist(), accuracy[:, -1].tolist()
    ([10, 20, 30], [1.0, 1.0])
    """
    n_steps = schedules.shape[1]
    if len(schedules) != net.n_replicas or n_steps == 0:
        raise ValueError(f"schedules have shape {schedules.shape}; need ({net.n_replicas} replicas, at least 1 step)")
    schedules = schedules.astype(net.params.dtype)
    iterations, values = [], []
    stream = iter(batches)
    for t in range(n_steps):
        batch = next(stream, None)
        if batch is None:
            raise ValueError(f"the minibatches ended after {t} of {n_steps} steps")
        _, grad = net.loss_and_grad(*batch)
        optimizer.step(grad, schedules[:, t])
        done = t + 1
        if evaluate is not None and ((log_every and done % log_every == 0) or (not log_every and done == n_steps)):
            iterations.append(done)
            values.append(np.stack(evaluate(net)).astype(np.float64))
    if not values:
        return np.array([], int), np.empty((0, net.n_replicas, 0))
    return np.array(iterations), np.stack(values, axis=-1)


def minibatches(
    X: Num[np.ndarray, "samples features"],
    y: Int[np.ndarray, "samples"],
    batch: int,
    rng: np.random.Generator,
    *,
    noise: SupportsFloat = 0.0,
    replace: bool = False,
) -> Iterator[Batch]:
    """Endless stream of minibatches (x, y) of shapes (batch, features) and (batch,).

    Parameters
    ----------
    noise : standard deviation of fresh Gaussian noise added to every minibatch, in the units of X.
    replace : False goes through a fresh permutation per epoch and drops its incomplete last batch, so an epoch is
        n // batch steps; True draws rows independently.

    Raises
    ------
    ValueError : batch is not in 1..n.

    Examples
    --------
    >>> x, y = next(minibatches(np.eye(8), np.arange(8), 4, np.random.default_rng(0)))
    >>> x.shape, len(set(y.tolist()))
    ((4, 8), 4)
    """
    n = len(X)
    if not 1 <= batch <= n:
        raise ValueError(f"batch is {batch}; it must be from 1 to the number of samples, {n}")

    def stream() -> Iterator[Batch]:
        while True:
            order = rng.integers(n, size=n) if replace else rng.permutation(n)
            for start in range(0, n - batch + 1, batch):
                rows = order[start : start + batch]
                x = X[rows]
                if noise:
                    x = x + noise * rng.standard_normal(x.shape, dtype=np.float32)
                yield x, y[rows]

    return stream()


def stack_minibatches(streams: Sequence[Iterator[Batch]], each: int = 1) -> Iterator[Batch]:
    """One stream for a stack whose replicas do not share data: shapes (R, batch, features) and (R, batch).

    Replicas [s * each, (s + 1) * each) read stream s; R = len(streams) * each. With `seed` a sequence this trains
    several seeds of a whole sweep in one stack.

    Examples
    --------
    >>> streams = [minibatches(np.eye(8), np.arange(8), 4, np.random.default_rng(s)) for s in (0, 1)]
    >>> next(stack_minibatches(streams, each=3))[0].shape
    (6, 4, 8)
    """
    for pairs in zip(*streams, strict=False):
        yield tuple(np.repeat(np.stack(parts), each, axis=0) for parts in zip(*pairs, strict=True))
