"""The four students against exact risks, brute force, PyTorch and scikit-learn; the hard instances against the text."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from book import names

ch = names("knowledge-transfer")
WORKED = np.array([[0.6, 0.2, 0.15, 0.05]])


def random_teacher(rng, S, A, concentration=0.5):
    return rng.dirichlet(np.full(A, concentration), size=S), rng.dirichlet(np.ones(S))


def expand(counts):
    """The samples behind a table of counts, in some order."""
    s, a = np.nonzero(counts)
    return np.repeat(s, counts[s, a]), np.repeat(a, counts[s, a])


def test_samples_follow_the_table():
    rng = np.random.default_rng(0)
    teacher, rho = np.array([[0.5, 0.0, 0.5], [0.1, 0.9, 0.0]]), np.array([0.3, 0.7])
    s, a = ch.sample_transfer(teacher, rho, 200_000, rng)
    seen = np.zeros((2, 3))
    np.add.at(seen, (s, a), 1)
    joint = rho[:, None] * teacher
    assert (seen[joint == 0] == 0).all()
    assert np.abs(seen / len(s) - joint).max() < 5 * np.sqrt(0.25 / len(s))


@pytest.mark.parametrize("seed", range(6))
def test_every_student_is_what_it_says_and_counts_give_the_same_risks(seed):
    rng = np.random.default_rng(seed)
    teacher, rho = random_teacher(rng, 5, 7)
    s, a = ch.sample_transfer(teacher, rho, 25, rng)
    p, rows = teacher[s, a], teacher[s]
    students = [
        ch.fit_hard(s, a, 5, 7),
        ch.fit_naive_ce(s, a, p, 5, 7),
        ch.fit_sel(s, a, p, 5, 7),
        ch.fit_soft(s, rows, 5, 7),
    ]
    counts = np.zeros((5, 7), int)
    np.add.at(counts, (s, a), 1)
    for i in range(5):  # row by row, in plain Python
        n_s = counts[i].sum()
        if n_s == 0:
            expected = [np.full(7, 1 / 7)] * 4
        else:
            weights = counts[i] * teacher[i]
            left = max(0.0, 1 - teacher[i][counts[i] > 0].sum())
            unseen = (counts[i] == 0).sum()
            sel = [teacher[i, j] if counts[i, j] else left / unseen for j in range(7)]
            expected = [counts[i] / n_s, weights / weights.sum(), sel, teacher[i]]
        for student, row in zip(students, expected, strict=True):
            np.testing.assert_allclose(student[i], row, atol=1e-12)
    risks = ch.risks_from_counts(counts[None], teacher, rho)
    assert risks.shape == (1, 4)
    np.testing.assert_allclose(risks[0], [ch.transfer_risk(x, teacher, rho) for x in students], atol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60))
def test_the_risk_of_sel_is_at_most_the_mass_of_unseen_pairs(seed, n):
    rng = np.random.default_rng(seed)
    teacher, rho = random_teacher(rng, 4, 5)
    s, a = ch.sample_transfer(teacher, rho, n, rng)
    student = ch.fit_sel(s, a, teacher[s, a], 4, 5)
    unseen = np.ones((4, 5), bool)
    unseen[s, a] = False
    missing = (rho[:, None] * teacher)[unseen].sum()
    assert ch.transfer_risk(student, teacher, rho) <= missing + 1e-12
    np.testing.assert_allclose(student.sum(1), 1)
    assert (student >= 0).all()


def test_mean_missing_mass_and_exact_soft_risk():
    rng = np.random.default_rng(3)
    teacher, rho = random_teacher(rng, 6, 5)
    n, repeats = 40, 20_000
    counts = rng.multinomial(n, (rho[:, None] * teacher).ravel(), size=repeats).reshape(repeats, 6, 5)
    risks = ch.risks_from_counts(counts, teacher, rho)
    x = rho[:, None] * teacher
    error = risks.std(0) / np.sqrt(repeats)
    assert risks[:, 2].mean() <= (x * (1 - x) ** n).sum() + 4 * error[2]
    exact = (rho * (1 - rho) ** n * 0.5 * np.abs(teacher - 0.2).sum(1)).sum()
    assert abs(risks[:, 3].mean() - exact) < 4 * error[3]
    assert (x * (1 - x) ** n).sum() <= ch.risk_bounds("sel", 6, 5, n)[1]


@pytest.mark.parametrize("seed", range(3))
def test_students_minimise_their_losses(seed):
    """No random table of the simplex does better on the loss that a student claims to minimise."""
    rng = np.random.default_rng(seed)
    teacher, rho = random_teacher(rng, 3, 4, concentration=2.0)
    s, a = ch.sample_transfer(teacher, rho, 30, rng)
    p = teacher[s, a]
    hard, naive, sel = ch.fit_hard(s, a, 3, 4), ch.fit_naive_ce(s, a, p, 3, 4), ch.fit_sel(s, a, p, 3, 4)
    losses = {
        "hard": (hard, lambda t: -np.log(t[s, a]).sum()),
        "naive": (naive, lambda t: -(p * np.log(t[s, a])).sum()),
        "sel": (sel, lambda t: 0.5 * ((np.log(t[s, a]) - np.log(p)) ** 2).sum()),
    }
    for student, loss in losses.values():
        at_student = loss(student)
        for step in (1e-3, 1e-2, 0.3):
            others = (1 - step) * student + step * rng.dirichlet(np.ones(4), size=(200, 3))
            assert all(loss(other) >= at_student - 1e-12 for other in others)


@pytest.mark.parametrize("seed", range(6))
def test_a_softmax_trained_by_gradients_ends_at_sel(seed):
    """From zero logits the missing mass is spread evenly too: equal gradients keep unseen logits equal."""
    rng = np.random.default_rng(seed)
    teacher, rho = random_teacher(rng, 3, 6, concentration=1.0)
    s, a = ch.sample_transfer(teacher, rho, 15, rng)
    target = torch.tensor(np.log(teacher[s, a]))
    logits = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], lr=1, max_iter=3000, tolerance_grad=1e-14, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = 0.5 * ((torch.log_softmax(logits, 1)[s, a] - target) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    trained = torch.softmax(logits, 1).detach().numpy()
    np.testing.assert_allclose(trained, ch.fit_sel(s, a, teacher[s, a], 3, 6), atol=1e-9)


def test_worked_numbers_of_the_limit():
    limit = ch.naive_ce_limit(WORKED)
    np.testing.assert_allclose(limit, [[0.84706, 0.09412, 0.05294, 0.00588]], atol=5e-6)
    one = np.ones(1)
    assert ch.transfer_risk(limit, WORKED, one) == pytest.approx(0.247059, abs=5e-7)
    zipf = 1 / np.arange(1, 21)
    zipf = (zipf / zipf.sum())[None]
    assert ch.transfer_risk(ch.naive_ce_limit(zipf), zipf, one) == pytest.approx(0.366199, abs=5e-7)
    rho, classic = ch.hard_instance("classic", 100, 25)
    assert ch.transfer_risk(ch.naive_ce_limit(classic), classic, rho) == pytest.approx(0.4457, abs=5e-5)


def test_naive_reaches_its_limit_and_the_limit_is_a_temperature():
    counts = np.round(1e6 * WORKED).astype(int)
    s, a = expand(counts)
    np.testing.assert_allclose(ch.fit_naive_ce(s, a, WORKED[s, a], 1, 4), ch.naive_ce_limit(WORKED), atol=1e-12)
    sharpened = torch.softmax(torch.tensor(np.log(WORKED)) / 0.5, 1).numpy()
    np.testing.assert_allclose(ch.naive_ce_limit(WORKED), sharpened, atol=1e-12)


@pytest.mark.parametrize("row", [[0.5, 0, 0.5, 0], [0.25] * 4, [0, 0, 1, 0]])
def test_naive_equals_hard_on_rows_uniform_on_their_support(row):
    rng = np.random.default_rng(1)
    teacher = np.array([row], float)
    s, a = ch.sample_transfer(teacher, np.ones(1), 37, rng)
    np.testing.assert_allclose(ch.fit_naive_ce(s, a, teacher[s, a], 1, 4), ch.fit_hard(s, a, 1, 4), atol=1e-12)


@pytest.mark.parametrize("kind", ["classic", "hard", "sel", "soft", "all"])
@pytest.mark.parametrize(("S", "A"), [(12, 20), (24, 21)])
def test_instances_are_distributions(kind, S, A):
    rho, teacher = ch.hard_instance(kind, S, A, 10_000)
    assert rho.shape == (S,) and teacher.shape == (S, A)
    assert rho.min() >= 0 and teacher.min() >= 0
    np.testing.assert_allclose(rho.sum(), 1)
    np.testing.assert_allclose(teacher.sum(1), 1)


def test_instances_entry_by_entry():
    rho, teacher = ch.hard_instance("classic", 3, 4)
    np.testing.assert_allclose(teacher, np.full((3, 4), 0.125) + 0.5 * np.eye(3, 4))
    gap = 0.25 * np.sqrt(2 * 4 / 50)
    for A, tail in ((4, []), (5, [0.0])):  # an odd A: the last label is not used
        _, teacher = ch.hard_instance("hard", 2, A, 50)
        np.testing.assert_allclose(teacher[1], [(1 + gap) / 4, (1 - gap) / 4, (1 + gap) / 4, (1 - gap) / 4, *tail])
    rare = 3 / 101
    for A, tail in ((5, []), (6, [0.0])):
        rho, teacher = ch.hard_instance("sel", 3, A, 100)
        np.testing.assert_allclose(teacher[2], [rare, 0, rare, 0, 1 - 2 * rare, *tail])
    rho, soft_teacher = ch.hard_instance("soft", 3, 6, 100)
    np.testing.assert_allclose(rho, [1 / 101, 1 / 101, 99 / 101])
    np.testing.assert_array_equal(soft_teacher, teacher)
    rho, teacher = ch.hard_instance("all", 24, 21, 10_000)
    np.testing.assert_allclose(rho[18:], 1 / 10_001)
    np.testing.assert_array_equal(teacher[18:].argmax(1), np.arange(18, 24) % 21)
    share = round(10_000 * rho[0] * 6)
    for block, kind in enumerate(("classic", "hard", "sel")):
        np.testing.assert_array_equal(teacher[6 * block : 6 * block + 6], ch.hard_instance(kind, 6, 21, share)[1])


def test_exact_soft_risk_of_instance_3():
    rho, teacher = ch.hard_instance("soft", 10, 21, 10_000)
    far = 0.5 * np.abs(teacher - 1 / 21).sum(1)
    assert (rho * (1 - rho) ** 10_000 * far).sum() == pytest.approx(3.120e-4, rel=1e-3)


def test_bad_instances_and_levels_are_named():
    with pytest.raises(ValueError, match="unknown kind"):
        ch.hard_instance("harder", 3, 4, 10)
    with pytest.raises(ValueError, match="give n"):
        ch.hard_instance("sel", 3, 5)
    with pytest.raises(ValueError, match="too small"):
        ch.hard_instance("hard", 100, 100, 10)
    with pytest.raises(ValueError, match="unknown level"):
        ch.risk_bounds("soft labels", 3, 4, 10)


def test_bounds_by_hand_and_in_order():
    np.testing.assert_allclose(ch.risk_bounds("hard", 10, 20, 200), (np.exp(-0.5) / 16, 0.5 + np.sqrt(0.05)))
    np.testing.assert_allclose(ch.risk_bounds("sel", 10, 21, 99), (200 / (400 * np.e), 210 / (99 * np.e)))
    np.testing.assert_allclose(ch.risk_bounds("soft", 11, 2, 99), (10 / (200 * np.e), 11 / (99 * np.e)))
    for level in ("hard", "sel", "soft"):
        for n in (1000, 10**5):
            low, high = ch.risk_bounds(level, 10, 21, n)
            assert 0 < low < high


def test_risks_lie_between_the_bounds_on_the_hard_instances():
    rng = np.random.default_rng(0)
    for column, (level, A) in {0: ("hard", 20), 2: ("sel", 21), 3: ("soft", 21)}.items():
        rho, teacher = ch.hard_instance(level, 10, A, 5000)
        counts = rng.multinomial(5000, (rho[:, None] * teacher).ravel(), size=2000).reshape(2000, 10, A)
        risk = ch.risks_from_counts(counts, teacher, rho)[:, column].mean()
        low, high = ch.risk_bounds(level, 10, A, 5000)
        assert low < risk < high


def test_large_alphabet_constants():
    """Gaussian limit of the MLE on Instance 1, and the share of mass that SEL misplaces on Instance 2."""
    rng = np.random.default_rng(2)
    S, A, n = 4, 100, 200_000
    rho, teacher = ch.hard_instance("hard", S, A, n)
    counts = rng.multinomial(n, (rho[:, None] * teacher).ravel(), size=100).reshape(100, S, A)
    hard = ch.risks_from_counts(counts, teacher, rho)[:, 0].mean()
    assert hard == pytest.approx(0.3989 * np.sqrt(S * (A - 1) / n), rel=0.02)
    S, A, n = 4, 201, 20_000
    rho, teacher = ch.hard_instance("sel", S, A, n)
    counts = rng.multinomial(n, (rho[:, None] * teacher).ravel(), size=400).reshape(400, S, A)
    sel = ch.risks_from_counts(counts, teacher, rho)[:, 2].mean()
    assert sel == pytest.approx(S * (A - 1) / (2 * (1 + np.e) * (n + 1)), rel=0.03)


def linear_teacher(rng, n, d, A):
    Phi = np.column_stack([rng.standard_normal((n, d - 1)), np.ones(n)])
    log_rows = log_softmax(Phi @ rng.standard_normal((d, A)), axis=1)
    a = np.array([rng.choice(A, p=np.exp(row)) for row in log_rows])
    return Phi, log_rows, a


@pytest.mark.parametrize("weighted", [False, True])
def test_linear_cross_entropy_has_zero_gradient_and_equals_scikit_learn(weighted):
    rng = np.random.default_rng(4)
    Phi, log_rows, a = linear_teacher(rng, 300, 4, 5)
    w = np.exp(log_rows[np.arange(300), a]) if weighted else np.ones(300)
    ridge = 1 / w.sum()
    W = ch.fit_ce_linear(Phi, a, w, 5, ridge)
    torch_W = torch.tensor(W, requires_grad=True)
    log_pi = torch.log_softmax(torch.tensor(Phi) @ torch_W, 1)[np.arange(300), a]
    loss = -(torch.tensor(w) * log_pi).sum() / w.sum() + ridge / 2 * (torch_W**2).sum()
    loss.backward()
    assert torch_W.grad.abs().max() < 1e-6
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8, max_iter=5000).fit(Phi, a, sample_weight=w)
    np.testing.assert_allclose(np.exp(log_softmax(Phi @ W, axis=1)), model.predict_proba(Phi), atol=1e-4)


def test_repeated_pairs_may_stand_once():
    rng = np.random.default_rng(5)
    Phi, log_rows, a = linear_teacher(rng, 40, 3, 4)
    times = rng.integers(1, 5, size=40)
    many = np.repeat(np.arange(40), times)
    logp = log_rows[np.arange(40), a] + 0.3 * rng.standard_normal(40)  # outside the class: the weights matter
    once = ch.fit_ce_linear(Phi, a, times.astype(float), 4, 0.01)
    np.testing.assert_allclose(once, ch.fit_ce_linear(Phi[many], a[many], np.ones(len(many)), 4, 0.01), atol=1e-5)
    once = ch.fit_sel_linear(Phi, a, logp, 4, times.astype(float))
    again = ch.fit_sel_linear(Phi[many], a[many], logp[many], 4)
    np.testing.assert_allclose(log_softmax(Phi @ once, axis=1), log_softmax(Phi @ again, axis=1), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_teacher_is_recovered_from_the_fewest_equations(seed):
    rng = np.random.default_rng(seed)
    d, A = 4, 5
    Phi, log_rows, a = linear_teacher(rng, 200, d, A)
    W = ch.fit_soft_linear(Phi[:d], log_rows[:d])
    np.testing.assert_allclose(log_softmax(Phi @ W, axis=1), log_rows, atol=1e-8)
    below = ch.fit_soft_linear(Phi[: d - 1], log_rows[: d - 1])
    assert np.abs(log_softmax(Phi @ below, axis=1) - log_rows).max() > 1e-2
    n = 3 * (A - 1) * d
    W = ch.fit_sel_linear(Phi[:n], a[:n], log_rows[np.arange(n), a[:n]], A)
    np.testing.assert_allclose(np.exp(log_softmax(Phi @ W, axis=1)), np.exp(log_rows), atol=1e-5)
    assert (W[:, -1] == 0).all()


def test_entropy_rate_of_two_states_and_of_coins():
    p, q = 0.3, 0.1
    T = np.array([[1 - p, p], [q, 1 - q]])

    def h(x):
        return -(x * np.log2(x) + (1 - x) * np.log2(1 - x))

    assert ch.entropy_rate(T) == pytest.approx((q * h(p) + p * h(q)) / (p + q))
    assert ch.entropy_rate(np.full((8, 8), 1 / 8)) == pytest.approx(3)
    assert ch.entropy_rate(np.roll(np.eye(4), 1, axis=1)) == pytest.approx(0, abs=1e-12)


def test_written_text_follows_the_chain():
    T = np.array([[0.0, 1.0, 0.0], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    text = ch.write_text(T, 0, 400, 100, np.random.default_rng(0))
    assert text.shape == (400, 101) and (text[:, 0] == 0).all()
    seen = np.zeros((3, 3))
    np.add.at(seen, (text[:, :-1], text[:, 1:]), 1)
    assert (seen[T == 0] == 0).all()
    np.testing.assert_allclose(seen / seen.sum(1, keepdims=True), T, atol=0.02)
