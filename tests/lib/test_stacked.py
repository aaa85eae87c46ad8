import doctest

import numpy as np
import pytest
import torch
from sharpbook import stacked
from sharpbook.stacked import (
    SGD,
    Adam,
    CharLMStack,
    StackedMLP,
    minibatches,
    stack_minibatches,
    train_stack,
)

WIDTHS = (6, 9, 7, 4)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_docstring_examples():
    assert doctest.testmod(stacked).failed == 0


def batch(rng, n=16, dtype=np.float64):
    return rng.normal(size=(n, WIDTHS[0])).astype(dtype), rng.integers(WIDTHS[-1], size=n)


def torch_twin(net, r, activation=torch.nn.ReLU):
    layers = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        layer = torch.nn.Linear(*weight.shape[1:]).to(torch.from_numpy(weight).dtype)
        layer.weight.data = torch.from_numpy(weight[r].T.copy())
        layer.bias.data = torch.from_numpy(bias[r].copy())
        layers += [layer, activation()]
    return torch.nn.Sequential(*layers[:-1])


def flat(model, grad=False):
    parts = []
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            w, b = (layer.weight.grad, layer.bias.grad) if grad else (layer.weight.data, layer.bias.data)
            parts += [w.T.ravel(), b]
    return torch.cat(parts).numpy()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradient_against_autograd(rng, activation, loss):
    net = StackedMLP(WIDTHS, 3, [1, 2, 3], activation=activation, loss=loss, dtype=np.float64)
    net.params += 0.1 * rng.normal(size=net.params.shape)
    x, y = batch(rng)
    losses, grad = net.loss_and_grad(x, y)
    for r in range(3):
        twin = torch_twin(net, r, {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation])
        z, labels = twin(torch.from_numpy(x)), torch.from_numpy(y)
        if loss == "cross_entropy":
            value = torch.nn.functional.cross_entropy(z, labels)
        else:
            value = 0.5 * (z - torch.nn.functional.one_hot(labels, 4)).square().sum(1).mean()
        value.backward()
        assert losses[r] == pytest.approx(value.item(), abs=1e-12)
        assert grad[r] == pytest.approx(flat(twin, grad=True), abs=1e-12)


def finite_difference(net, x, y, r, i, h=1e-6):
    keep = net.params[r, i]
    values = []
    for step in (h, -h):
        net.params[r, i] = keep + step
        values.append(net.loss_and_grad(x, y)[0][r])
    net.params[r, i] = keep
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.parametrize("kind", ["mlp", "lm"])
@pytest.mark.parametrize("own_data", [False, True])
def test_gradient_against_finite_differences(rng, kind, own_data):
    lead = (2, 12) if own_data else (12,)
    if kind == "mlp":
        net = StackedMLP(WIDTHS, 2, [0, 1], activation="tanh", dtype=np.float64)
        x, y = rng.normal(size=(*lead, WIDTHS[0])), rng.integers(WIDTHS[-1], size=lead)
    else:
        net = CharLMStack(5, 2, [0, 1], context=3, embedding=2, hidden=6, dtype=np.float64)
        x, y = rng.integers(5, size=(*lead, 3)), rng.integers(5, size=lead)
    _, grad = net.loss_and_grad(x, y)
    for r in range(2):
        numeric = np.array([finite_difference(net, x, y, r, i) for i in range(net.params.shape[1])])
        assert grad[r] == pytest.approx(numeric, abs=1e-7)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_training_equals_torch_training(rng, name):
    rates = np.array([[0.01] * 60, np.linspace(0.05, 0.0, 60)])
    net = StackedMLP(WIDTHS, 2, seed=0, dtype=np.float64)
    X, y = batch(rng, 64)
    data = [next(minibatches(X, y, 16, rng, noise=0.3)) for _ in range(60)]
    twins = [torch_twin(net, r) for r in range(2)]
    optimizer = SGD(net.params, 0.9) if name == "sgd" else Adam(net.params, (0.9, 0.95))
    train_stack(net, optimizer, rates, data)
    for r, twin in enumerate(twins):
        if name == "sgd":
            reference = torch.optim.SGD(twin.parameters(), momentum=0.9)
        else:
            reference = torch.optim.Adam(twin.parameters(), betas=(0.9, 0.95))
        for t, (xb, yb) in enumerate(data):
            reference.param_groups[0]["lr"] = rates[r, t]
            reference.zero_grad()
            torch.nn.functional.cross_entropy(twin(torch.from_numpy(xb)), torch.from_numpy(yb)).backward()
            reference.step()
        assert net.params[r] == pytest.approx(flat(twin), abs=1e-9)


def test_char_lm_equals_a_torch_language_model(rng):
    net = CharLMStack(7, 1, 0, context=3, embedding=4, hidden=8, dtype=np.float64)
    table = torch.from_numpy(net.embedding[0].copy()).requires_grad_()
    twin = torch_twin(net, 0)
    reference = torch.optim.Adam([table, *twin.parameters()], lr=0.01, betas=(0.9, 0.95))
    optimizer = Adam(net.params, (0.9, 0.95))
    for _ in range(30):
        x, y = rng.integers(7, size=(16, 3)), rng.integers(7, size=16)
        optimizer.step(net.loss_and_grad(x, y)[1], 0.01)
        reference.zero_grad()
        z = twin(table[torch.from_numpy(x)].reshape(16, -1))
        torch.nn.functional.cross_entropy(z, torch.from_numpy(y)).backward()
        reference.step()
    assert net.embedding[0] == pytest.approx(table.detach().numpy(), abs=1e-9)
    assert net.params[0, : -table.numel()] == pytest.approx(flat(twin), abs=1e-9)


@pytest.mark.parametrize("kind", ["mlp", "lm"])
def test_a_replica_in_a_stack_equals_the_replica_alone_bit_for_bit(rng, kind):
    rates = np.geomspace(0.003, 0.1, 5)[:, None] * np.linspace(1, 0, 40)

    def run(rows):
        if kind == "mlp":
            net = StackedMLP(WIDTHS, len(rows), seed=4)
            data = [(x, y) for x, y in [batch(np.random.default_rng(t), dtype=np.float32) for t in range(40)]]
        else:
            net = CharLMStack(9, len(rows), seed=4)
            draw = np.random.default_rng(0)
            data = [(draw.integers(9, size=(32, 6)), draw.integers(9, size=32)) for _ in range(40)]
        _, values = train_stack(net, Adam(net.params), rates[rows], data, lambda n: n.evaluate(*data[0]), log_every=10)
        return net.params, values

    params, values = run(np.arange(5))
    for r in range(5):
        alone, alone_values = run(np.array([r]))
        assert np.array_equal(params[r], alone[0])
        assert np.array_equal(values[:, r], alone_values[:, 0])


def test_a_diverged_replica_leaves_the_others_alone(rng):
    data = [batch(rng, dtype=np.float32) for _ in range(50)]
    runs = []
    for bad in (1e12, 0.01):
        net = StackedMLP(WIDTHS, 2, seed=0)
        _, values = train_stack(
            net, SGD(net.params), np.array([[0.01] * 50, [bad] * 50]), data, lambda n: n.evaluate(*data[0])
        )
        runs.append((net.params[0], values))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert np.isnan(runs[0][1][:, 1]).all() and np.isfinite(runs[0][1][:, 0]).all()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_masked_units_stay_dead_and_the_rest_is_a_narrower_network(rng, activation):
    active = np.array([[9, 7], [3, 2]])
    net = StackedMLP(WIDTHS, 2, seed=0, active=active, activation=activation, dtype=np.float64)
    narrow = StackedMLP((6, 3, 2, 4), 1, seed=0, activation=activation, dtype=np.float64)
    for own, wide in zip(narrow.weights, net.weights, strict=True):
        own[0] = wide[1, : own.shape[1], : own.shape[2]]
    data = [batch(rng) for _ in range(40)]
    for stack in (net, narrow):
        train_stack(stack, Adam(stack.params), np.full((stack.n_replicas, 40), 0.02), data)
    assert not net.weights[0][1, :, 3:].any() and not net.biases[0][1, 3:].any() and not net.weights[1][1, 3:].any()
    assert net.logits(data[0][0])[1] == pytest.approx(narrow.logits(data[0][0])[0], abs=1e-9)


def test_he_initialisation_counts_living_inputs():
    net = StackedMLP((400, 300, 300, 50), 2, seed=1, active=np.array([[300, 300], [300, 100]]))
    assert net.weights[0][0].std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert net.weights[2][0].std() == pytest.approx(np.sqrt(2 / 300), rel=0.05)
    assert net.weights[2][1, :100].std() == pytest.approx(np.sqrt(2 / 100), rel=0.05)


def test_common_and_own_initialisation():
    common, own = StackedMLP(WIDTHS, 2, seed=5), StackedMLP(WIDTHS, 2, seed=[5, 6])
    assert np.array_equal(common.params[0], common.params[1])
    assert np.array_equal(own.params, StackedMLP(WIDTHS, 2, seed=np.array([5, 6])).params)
    assert np.array_equal(own.params[0], common.params[0]) and not np.array_equal(own.params[0], own.params[1])


def test_evaluate_against_the_definition(rng):
    net = StackedMLP(WIDTHS, 3, seed=[0, 1, 2])
    x, y = batch(rng, 700, np.float32)
    loss, accuracy = net.evaluate(x, y)
    z = torch.from_numpy(net.logits(x))
    for r in range(3):
        assert loss[r] == pytest.approx(torch.nn.functional.cross_entropy(z[r], torch.from_numpy(y)).item(), rel=1e-5)
        assert accuracy[r] == (z[r].argmax(1).numpy() == y).mean()


def test_per_layer_rates_reach_their_layer(rng):
    net = StackedMLP(WIDTHS, 2, seed=0)
    before = net.repeat(np.arange(2))
    rates = net.per_layer(np.array([[0.0, 0.0, 0.1], [0.1, 0.0, 0.0]]))
    SGD(net.params).step(np.ones_like(net.params), rates)
    changed = np.array([[bool((a != b)[r].any()) for a, b in zip(net.weights, before.weights, strict=True)]
                        for r in range(2)])  # fmt: skip
    assert changed.tolist() == [[False, False, True], [True, False, False]]


def test_replica_is_an_independent_copy():
    net = StackedMLP(WIDTHS, 3, seed=[0, 1, 2])
    one = net.replica(1)
    assert np.array_equal(one.params[0], net.params[1])
    one.weights[0][:] = 0
    assert net.weights[0][1].any() and not one.params[0, : one.weights[0][0].size].any()


def test_minibatches_visit_every_row_once_per_epoch(rng):
    stream = minibatches(np.arange(12.0)[:, None], np.arange(12), 4, rng)
    for _ in range(3):
        seen = [next(stream) for _ in range(3)]
        assert sorted(np.concatenate([y for _, y in seen]).tolist()) == list(range(12))
        assert all(np.array_equal(x[:, 0], y) for x, y in seen)


def test_minibatch_noise_is_fresh_and_of_the_size_asked(rng):
    stream = minibatches(np.zeros((50, 400)), np.zeros(50, int), 50, rng, noise=0.3)
    a, b = next(stream)[0], next(stream)[0]
    assert a.std() == pytest.approx(0.3, rel=0.03) and (a - b).std() == pytest.approx(0.3 * 2**0.5, rel=0.03)


def test_stacked_seeds_equal_separate_runs():
    X, y = batch(np.random.default_rng(0), 40, np.float32)
    rates = np.tile(np.array([[0.01], [0.1]]), (2, 30))

    def streams(seeds):
        return [minibatches(X, y, 8, np.random.default_rng(s), noise=0.1) for s in seeds]

    net = StackedMLP(WIDTHS, 4, [10, 10, 11, 11])
    train_stack(net, SGD(net.params), rates, stack_minibatches(streams([0, 1]), each=2))
    for s in range(2):
        alone = StackedMLP(WIDTHS, 2, 10 + s)
        train_stack(alone, SGD(alone.params), rates[:2], streams([s])[0])
        assert net.params[2 * s : 2 * s + 2] == pytest.approx(alone.params, abs=1e-6)


def test_logs_carry_the_number_of_steps_done(rng):
    net = StackedMLP(WIDTHS, 2, seed=0)
    steps, values = train_stack(
        net, SGD(net.params), np.full((2, 10), 0.01), minibatches(*batch(rng, 32), 8, rng),
        lambda n: [n.params[:, 0], n.params[:, 1], n.params[:, 2]], log_every=3,
    )  # fmt: skip
    assert steps.tolist() == [3, 6, 9] and values.shape == (3, 2, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StackedMLP((4,), 1, 0), "two positive widths"),
        (lambda: StackedMLP(WIDTHS, 2, 0, activation="gelu"), "relu"),
        (lambda: StackedMLP(WIDTHS, 2, 0, loss="hinge"), "cross_entropy"),
        (lambda: StackedMLP(WIDTHS, 2, [0]), "one per replica"),
        (lambda: StackedMLP(WIDTHS, 2, 0, active=np.array([[9, 8], [9, 7]])), "active"),
        (lambda: minibatches(np.zeros((3, 2)), np.zeros(3, int), 4, np.random.default_rng(0)), "batch"),
    ],
)
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_train_stack_refuses_mismatched_schedules_and_short_streams(rng):
    net = StackedMLP(WIDTHS, 2, seed=0)
    with pytest.raises(ValueError, match="2 replicas"):
        train_stack(net, SGD(net.params), np.ones((3, 5)), [])
    with pytest.raises(ValueError, match="ended after 1 of 5"):
        train_stack(net, SGD(net.params), np.ones((2, 5)), [batch(rng)])
