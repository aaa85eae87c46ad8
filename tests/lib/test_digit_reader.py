import doctest

import numpy as np
import pytest
import torch
from sharpbook import digit_reader as module
from sharpbook.data import bundled_split, pool_digits
from sharpbook.digit_reader import digit_reader
from sharpbook.stacked import StackedMLP
from sharpbook.statistics import auroc
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression


@pytest.fixture(scope="module")
def reader():
    return digit_reader(seed=5, n_prompts=60)


def test_docstring_examples():
    assert doctest.testmod(module).failed == 0


def test_probabilities_are_a_product_of_digit_laws(reader):
    p = reader.probabilities.reshape(-1, 10, 10, 10)
    assert p.min() >= 0 and p.sum((1, 2, 3)) == pytest.approx(np.ones(60))
    first, second, third = p.sum((2, 3)), p.sum((1, 3)), p.sum((1, 2))
    assert p == pytest.approx(np.einsum("na,nb,nc->nabc", first, second, third), abs=1e-12)


def test_scores_are_a_sum_over_digits(reader):
    s = reader.scores.reshape(-1, 10, 10, 10)
    rebuilt = s[:, :, :1, :1] + s[:, :1, :, :1] + s[:, :1, :1, :] - 2 * s[:, :1, :1, :1]
    assert s == pytest.approx(rebuilt, abs=1e-4)


def test_answers_are_the_numbers_on_the_images(reader):
    raw = load_digits()
    label_of = {(x / 16).tobytes(): label for x, label in zip(raw.data, raw.target, strict=True)}
    numbers = [int("".join(str(label_of[image.tobytes()]) for image in prompt)) for prompt in reader.images]
    assert reader.answers.tolist() == numbers


def test_policy_is_the_logistic_regression_it_says():
    reader = digit_reader(seed=3, n_policy=90, n_verifier_images=30, temperature=1.0, n_prompts=25)
    split = bundled_split("digits", np.random.default_rng(3), n_train=120)
    model = LogisticRegression(max_iter=1000).fit(pool_digits(split.X_train[:90]), split.y_train[:90])
    for j, axes in enumerate([(2, 3), (1, 3), (1, 2)]):
        marginal = reader.probabilities.reshape(-1, 10, 10, 10).sum(axes)
        assert marginal == pytest.approx(model.predict_proba(pool_digits(reader.images[:, j])), abs=1e-9)
    trained_on = {image.tobytes() for image in split.X_train}
    assert not any(image.tobytes() in trained_on for image in reader.images.reshape(-1, 64))


def test_a_small_policy_still_knows_every_digit():
    for seed in range(4):
        assert digit_reader(seed, n_policy=20, n_prompts=2, n_verifier_samples=50).probabilities.min() > 0


def test_temperature_changes_the_spread_and_not_the_order():
    cold, warm = (digit_reader(seed=1, temperature=t, n_prompts=40).probabilities for t in (0.4, 0.8))
    assert np.array_equal(cold.argmax(1), warm.argmax(1))
    # The marginal laws obey p(0.4) proportional to p(0.8)**2.
    square = warm**2 / (warm**2).sum(1, keepdims=True)
    assert cold == pytest.approx(square, abs=1e-9)


def test_a_policy_with_many_images_reads_the_number():
    reader = digit_reader(seed=0, n_policy=1200, n_verifier_images=100, n_prompts=100)
    assert (reader.probabilities.argmax(1) == reader.answers).mean() > 0.6


def test_verifier_gradient_against_autograd():
    rng = np.random.default_rng(0)
    net = StackedMLP((64, 6, 10), n_replicas=1, seed=2, dtype=np.float64)
    images, spoken = rng.random((7, 3, 64)), rng.integers(10, size=(7, 3))
    right = rng.integers(2, size=7).astype(float)
    w0, w1 = (torch.from_numpy(w[0].copy()).requires_grad_() for w in net.weights)
    b0, b1 = (torch.from_numpy(b[0].copy()).requires_grad_() for b in net.biases)
    g = torch.relu(torch.from_numpy(images) @ w0 + b0) @ w1 + b1
    score = g.gather(2, torch.from_numpy(spoken)[..., None]).sum((1, 2))
    torch.nn.functional.binary_cross_entropy_with_logits(score, torch.from_numpy(right)).backward()
    expected = torch.cat([t.grad.ravel() for t in (w0, b0, w1, b1)]).numpy()
    assert module._logistic_gradient(net, images, spoken, right)[0] == pytest.approx(expected, abs=1e-12)


def test_verifier_tells_right_from_wrong_among_the_policys_own_answers(reader):
    rng = np.random.default_rng(0)
    drawn = np.array([rng.choice(1000, size=200, p=p) for p in reader.probabilities])
    scores = np.take_along_axis(reader.scores, drawn, 1)
    right = drawn == reader.answers[:, None]
    assert auroc(scores[right], scores[~right]) > 0.75


def test_seed_decides_everything(reader):
    again, other = digit_reader(seed=5, n_prompts=60), digit_reader(seed=6, n_prompts=60)
    assert np.array_equal(again.scores, reader.scores) and np.array_equal(again.answers, reader.answers)
    assert not np.array_equal(other.answers, reader.answers)


def test_other_lengths_of_number():
    reader = digit_reader(seed=0, n_digits=2, n_prompts=5)
    assert reader.probabilities.shape == (5, 100) and reader.images.shape == (5, 2, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"n_digits": 6}, "n_digits"),
        ({"n_policy": 1790}, "left"),
        ({"n_policy": 10}, "at least 20"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        digit_reader(0, **options)
