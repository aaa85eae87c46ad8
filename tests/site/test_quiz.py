"""The grammar of check-yourself questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from press.quiz import KINDS, QuizError, parse_quiz

SINGLE = "Which?\n\n- [x] this :: yes\n- [ ] that :: no\n"


def test_a_question_with_continued_options():
    quiz = parse_quiz(
        "single", "Which of $a$\nand $b$?\n\n- [ ] one\n  more :: no,\n  never\n- [x] two :: yes :: really\n"
    )
    assert quiz.question == "Which of $a$\nand $b$?"
    assert [(o.text, o.feedback, o.right, o.line) for o in quiz.options] == [
        ("one\nmore", "no,\nnever", False, 3),
        ("two", "yes :: really", True, 6),
    ]


def test_numbers():
    quiz = parse_quiz(
        "number", "How much?\n- [x] 0.035 +- 5e-4 :: yes\n- [ ] -7 ± 0.5 :: no\n- [ ] else :: try again\n"
    )
    assert [(o.value, o.tolerance, o.otherwise) for o in quiz.options] == [
        (0.035, 5e-4, False),
        (-7.0, 0.5, False),
        (None, None, True),
    ]


@pytest.mark.parametrize(
    ("kind", "body", "line", "said"),
    [
        ("essay", SINGLE, 0, "not 'essay'"),
        ("single", "- [x] a :: b\n- [ ] c :: d", 0, "needs a question"),
        ("single", "Which?\n- [x] a :: b", 0, "at least two options"),
        ("single", "Which?\n- [x] a :: b\n- [x] c :: d", 0, "exactly one right option [x], not 2"),
        ("single", "Which?\n- [ ] a :: b\n- [ ] c :: d", 0, "exactly one right option [x], not 0"),
        ("multiple", "Which?\n- [ ] a :: b\n- [ ] c :: d", 0, "no option is marked right"),
        ("single", "Which?\n- [x] a :: b\n- [ ] c", 2, "'c' has no feedback"),
        ("single", "Which?\n- [x] a :: b\n- [ ] c ::", 2, "'c' has no feedback"),
        ("single", "Which?\n- [x] a :: b\n- [?] c :: d", 2, "not [?]"),
        ("single", "Which?\n- [x] a :: b\n- [ ] c :: d\nafterthought", 3, "only options may follow"),
        ("number", "How?\n- [x] about 3 :: b\n- [ ] else :: d", 1, "'value +- tolerance' or 'else'"),
        ("number", "How?\n- [x] 3 +- -1 :: b\n- [ ] else :: d", 1, "not negative"),
        ("number", "How?\n- [x] inf +- 1 :: b\n- [ ] else :: d", 1, "finite"),
        ("number", "How?\n- [x] 3 +- 1 :: b", 0, "ends with one wrong option"),
        ("number", "How?\n- [x] 3 +- 1 :: b\n- [ ] 3.5 +- 0 :: c\n- [ ] else :: d", 2, "overlaps"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(kind, body, line, said):
    with pytest.raises(QuizError) as raised:
        parse_quiz(kind, body)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.line == line


@given(kind=st.sampled_from(KINDS), body=st.text(alphabet="ab- []x:\n+.1", max_size=80))
def test_any_text_gives_a_quiz_or_a_quiz_error(kind, body):
    try:
        quiz = parse_quiz(kind, body)
    except QuizError:
        return
    right = [o for o in quiz.options if o.right]
    assert right
    assert all(o.feedback and o.text for o in quiz.options)
    assert kind != "single" or len(right) == 1


word = st.text(alphabet="abc xyz$0", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(question=word, options=st.lists(st.tuples(st.booleans(), word, word), min_size=2, max_size=6))
def test_written_then_parsed_is_the_same(question, options):
    if not any(right for right, _, _ in options):
        options[0] = (True, *options[0][1:])
    body = question + "\n\n" + "\n".join(f"- [{'x' if r else ' '}] {t} :: {f}" for r, t, f in options)
    quiz = parse_quiz("multiple", body)
    assert quiz.question == question
    assert [(o.right, o.text, o.feedback) for o in quiz.options] == options
