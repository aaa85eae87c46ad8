import doctest

import numpy as np
import pytest
import torch
from sharpbook import networks
from sharpbook.data import digits_split
from sharpbook.networks import count_parameters, digit_cnn, he_init_, mlp
from sharpbook.stacked import StackedMLP
from torch import nn


def test_docstring_examples():
    assert doctest.testmod(networks).failed == 0


def test_mlp_computes_what_a_stacked_mlp_with_its_weights_computes():
    net = mlp((5, 7, 3), seed=1)
    stack = StackedMLP((5, 7, 3), n_replicas=1, seed=0)
    for i, layer in enumerate([net[0], net[2]]):
        stack.weights[i][0], stack.biases[i][0] = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    assert net(torch.from_numpy(x)).detach().numpy() == pytest.approx(stack.logits(x)[0], abs=1e-5)


def test_seed_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    a, b, c = mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=0), mlp((4, 8, 2), seed=1)
    digit_cnn(0)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(a[0].weight, b[0].weight) and not torch.equal(a[0].weight, c[0].weight)


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2**0.5), ("tanh", 5 / 3), ("linear", 1.0)])
def test_initialisation_scale(activation, gain):
    net = he_init_(nn.Sequential(nn.Linear(400, 300), nn.Conv2d(10, 300, 3)), torch.Generator(), activation)
    assert net[0].weight.std().item() == pytest.approx(gain / 400**0.5, rel=0.02)
    assert net[1].weight.std().item() == pytest.approx(gain / 90**0.5, rel=0.02)


def test_relu_layers_keep_the_second_moment_on_average():
    x = torch.randn(100, 100, generator=torch.Generator().manual_seed(1000))
    moments = [mlp([100] * 6, seed=s, bias=False)[:-1](x).square().mean().item() for s in range(100)]
    assert np.mean(moments) == pytest.approx(1.0, abs=4 * np.std(moments) / 10)
    assert np.std(moments) < 1


@pytest.mark.parametrize("build", [lambda: mlp((64, 32, 10), seed=0), lambda: digit_cnn(0, channels=8)])
def test_learns_the_digits(build):
    split = digits_split(0, dtype=np.float32)
    X, y = torch.from_numpy(split.X_train), torch.from_numpy(split.y_train)
    net = build()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    accuracy = (net(torch.from_numpy(split.X_test)).argmax(1).numpy() == split.y_test).mean()
    assert accuracy > 0.9


def test_cnn_reads_rows_and_images_alike():
    images = torch.rand(4, 8, 8)
    assert torch.equal(digit_cnn(2)(images), digit_cnn(2)(images.reshape(4, 64)))


def test_frozen_parameters_are_not_counted():
    net = mlp((3, 4, 2), seed=0)
    net[0].requires_grad_(False)
    assert count_parameters(net) == 4 * 2 + 2


def test_mlp_refuses_a_single_width():
    with pytest.raises(ValueError, match="output width"):
        mlp((3,), seed=0)
