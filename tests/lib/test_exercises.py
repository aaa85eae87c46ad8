"""Checkers answer every conceivable answer, never raise, never disturb what follows."""

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from sharpbook.exercises import MIME, answered, array, checker, digest, number, require


@checker("Square", praise="Yes.")
def check_square(f):
    answered(f, "the function")
    require(number(f(3), "f(3)") == 9, "Try f(3) by hand.")


def test_the_three_answers():
    assert check_square(lambda v: v * v).passed
    assert check_square(lambda v: v + v).message == "Try f(3) by hand."
    assert check_square(None).message == "Fill in the function first."
    assert check_square(...).message == "Fill in the function first."


@pytest.mark.parametrize(
    "answer",
    [
        3,
        "text",
        [],
        {},
        object(),
        lambda: 1,
        lambda v: 1 / 0,
        lambda v: None,
        lambda v: "nine",
        lambda v: np.nan,
        lambda v: [9, 9],
    ],
)
def test_a_wrong_answer_of_any_kind_never_raises(answer):
    said = check_square(answer)
    assert not said.passed
    assert said.message


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.lists(st.floats())))
def test_any_value_is_answered(value):
    @checker("Vector")
    def check(v):
        array(v, (3,))

    assert check(value).passed == (isinstance(value, list) and len(value) == 3 and np.isfinite(value).all())


def test_an_endless_answer_is_stopped():
    @checker("Loop", seconds=0.2)
    def check(f):
        f()

    def endless():
        while True:
            pass

    assert "does not end" in check(endless).message


def test_a_checker_without_arguments_is_answered_too():
    assert not check_square().passed


def test_the_global_generator_is_left_as_it_was():
    @checker("Random")
    def check(f):
        f()

    np.random.seed(3)
    expected = np.random.RandomState(3).rand()
    check(np.random.rand)
    assert np.random.rand() == expected


def test_array_names_the_shape_it_found():
    @checker("Shape")
    def check(v):
        array(v, (2, None), "the matrix")

    assert check([[1, 2], [3, 4]]).passed
    assert check([1, 2]).message == "The matrix has shape (2,); expected (2, None)."
    assert "NaN" in check([[1, np.nan], [0, 0]]).message


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_digest_depends_on_rounded_values_only(values):
    rounded = np.round(values, 3)
    assert digest(values, 3) == digest(rounded, 3)
    assert digest(values, 3) != digest(np.append(rounded[1:], rounded[0] + 1), 3)


def test_negative_zero_is_zero():
    assert digest([-0.0]) == digest([0.0])


def test_feedback_is_escaped_and_collected():
    @checker("A <b>")
    def check():
        require(False, "x < y & z")

    bundle = check()._repr_mimebundle_()
    soup = BeautifulSoup(bundle["text/html"], "html.parser")
    assert "x < y & z" in soup.get_text()
    assert soup.select_one(".sb-feedback")["data-passed"] == "false"
    assert bundle[MIME] == {"exercise": "A <b>", "passed": False, "message": "x < y & z"}
