"""Small PyTorch networks with a seeded He initialisation, for chapters that write their own training loop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import SupportsIndex

import torch
from torch import nn


def he_init_(module: nn.Module, generator: torch.Generator, activation: str = "relu") -> nn.Module:
    """Draw all linear and convolutional weights from N(0, gain**2 / fan_in) in place, set biases to 0; returns module.

    Parameters
    ----------
    activation : "relu" (gain sqrt 2), "tanh" (5/3) or "linear" (1), as in `torch.nn.init.calculate_gain`.

    References
    ----------
    He, Zhang, Ren, Sun (2015), Delving deep into rectifiers, arXiv 1502.01852, section 2.2.

    Examples
    --------
    >>> layer = he_init_(nn.Linear(1000, 500), torch.Generator().manual_seed(0))
    >>> abs(layer.weight.std().item() / (2 / 1000) ** 0.5 - 1) < 0.01, layer.bias.abs().max().item()
    (True, 0.0)
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity=activation, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def mlp(
    widths: Sequence[int], seed: SupportsIndex, *, activation: type[nn.Module] = nn.ReLU, bias: bool = True
) -> nn.Sequential:
    """Multilayer perceptron with He initialisation; no activation after the last layer.

    Parameters
    ----------
    widths : from input to output, for example (64, 32, 10).
    seed : of the weights; the global generator is neither used nor changed.
    activation : class of the activation between layers, `nn.ReLU` or `nn.Tanh`, or any other (gain of ReLU).

    Raises
    ------
    ValueError : fewer than two widths.

    Examples
    --------
    >>> mlp((64, 32, 10), seed=0)(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """
    if len(widths) < 2:
        raise ValueError(f"widths {tuple(widths)}: an MLP needs an input and an output width")
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [_empty(nn.Linear, n_in, n_out, bias=bias), activation()]
    name = "tanh" if activation is nn.Tanh else "relu"
    return he_init_(nn.Sequential(*layers[:-1]), torch.Generator().manual_seed(int(seed)), name)


def digit_cnn(seed: SupportsIndex, *, channels: int = 16, n_classes: int = 10) -> nn.Sequential:
    """Small convolutional network for 8x8 images: two 3x3 convolutions with 2x2 pooling, one linear layer.

    Takes (batch, 64) rows as `sharpbook.data.digits_split` gives them (or (batch, 8, 8)); returns (batch, n_classes).
    `channels` after the first convolution, twice as many after the second.

    Examples
    --------
    >>> digit_cnn(seed=0)(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """
    net = nn.Sequential(
        nn.Flatten(1),
        nn.Unflatten(1, (1, 8, 8)),
        _empty(nn.Conv2d, 1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        _empty(nn.Conv2d, channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(1),
        _empty(nn.Linear, 8 * channels, n_classes),
    )
    return he_init_(net, torch.Generator().manual_seed(int(seed)))


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in `module`, shared ones once.

    Examples
    --------
    >>> count_parameters(mlp((64, 32, 10), seed=0))
    2410
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _empty(layer: type[nn.Module], *args: int, **options) -> nn.Module:
    # The default initialisation would draw from the global generator, and what a chapter draws next would depend on it.
    return nn.utils.skip_init(layer, *args, **options)
