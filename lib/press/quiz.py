"""Check-yourself questions: parsed here, answered on the page itself, without a kernel.

A question is Markdown; its options are list items `- [x] text :: feedback` (right) or `- [ ] text :: feedback` (wrong).
Kinds: `single` (one right option), `multiple` (one or more), `number` (options are `value +- tolerance`, and one
`- [ ] else :: feedback` for all other numbers). Nothing here knows about Sphinx.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

KINDS = ("single", "multiple", "number")
_OPTION = re.compile(r"^-\s+\[(?P<mark>.)\]\s*(?P<rest>.*)$")
_NUMBER = re.compile(r"^(?P<value>\S+?)\s*(?:\+-|±)\s*(?P<tolerance>\S+)$")


@dataclass(frozen=True)
class Option:
    """One answer: Markdown `text` and `feedback`, whether it is right, the line it stands on (0-based in the body)."""

    text: str
    feedback: str
    right: bool
    line: int
    value: float | None = None
    tolerance: float | None = None

    @property
    def otherwise(self) -> bool:
        """True for the `else` of a number question."""
        return self.value is None and self.text == "else"


@dataclass(frozen=True)
class Quiz:
    """A question of some kind with its options."""

    kind: str
    question: str
    options: tuple[Option, ...] = field(default_factory=tuple)


class QuizError(ValueError):
    """A malformed question; `line` is the 0-based line of the body that is wrong."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def parse_quiz(kind: str, body: str) -> Quiz:
    """Parse the body of a `quiz` directive.

    Raises
    ------
    QuizError (a ValueError) : one line that says what is wrong: an unknown kind, no question, fewer than two options,
        an option without feedback, not exactly one right option (single), none (multiple, number), a value that is
        not `number +- tolerance`, a wrong value inside the tolerance of a right one.
    """
    if kind not in KINDS:
        raise QuizError(f"a quiz is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
    lines = body.splitlines()
    first = next((i for i, line in enumerate(lines) if _OPTION.match(line)), len(lines))
    question = "\n".join(lines[:first]).strip("\n")
    if not question.strip():
        raise QuizError("a quiz needs a question before its options")
    options = [_option(kind, text, at) for text, at in _items(lines, first)]
    _check(kind, options)
    return Quiz(kind, question, tuple(options))


def _items(lines: list[str], first: int):
    """Text of every option with the line it starts on; indented lines continue an option."""
    found: list[tuple[list[str], int]] = []
    for at in range(first, len(lines)):
        line = lines[at]
        if _OPTION.match(line):
            found.append(([line], at))
        elif line.startswith((" ", "\t")) and line.strip():
            found[-1][0].append(line.strip())
        elif line.strip():
            raise QuizError(f"after the options only options may follow, not {line.strip()[:40]!r}", at)
    return [("\n".join(parts), at) for parts, at in found]


def _option(kind: str, item: str, at: int) -> Option:
    head, _, more = item.partition("\n")
    match = _OPTION.match(head)
    mark, content = match["mark"], "\n".join(filter(None, [match["rest"], more]))
    if mark not in "xX ":
        raise QuizError(f"an option starts with [x] (right) or [ ] (wrong), not [{mark}]", at)
    text, separator, feedback = content.partition("::")
    text, feedback = text.strip(), feedback.strip()
    if not text:
        raise QuizError("an option without text", at)
    if not separator or not feedback:
        raise QuizError(f"the option {text[:40]!r} has no feedback: write it behind ' :: '", at)
    right = mark in "xX"
    if kind != "number" or text == "else":
        return Option(text, feedback, right, at)
    return Option(text, feedback, right, at, *_value(text, at))


def _value(text: str, at: int) -> tuple[float, float]:
    match = _NUMBER.match(text)
    try:
        value, tolerance = float(match["value"]), float(match["tolerance"])
    except (TypeError, ValueError):
        raise QuizError(f"a numeric option is 'value +- tolerance' or 'else', not {text[:40]!r}", at) from None
    if not (math.isfinite(value) and math.isfinite(tolerance)) or tolerance < 0:
        raise QuizError(f"value and tolerance must be finite, the tolerance not negative: {text[:40]!r}", at)
    return value, tolerance


def _check(kind: str, options: list[Option]) -> None:
    right = [o for o in options if o.right]
    if len(options) < (1 if kind == "number" else 2):
        raise QuizError("a quiz needs at least two options" if kind != "number" else "a number quiz needs an answer")
    if kind == "single" and len(right) != 1:
        raise QuizError(f"a single-choice quiz has exactly one right option [x], not {len(right)}")
    if not right:
        raise QuizError("no option is marked right with [x]")
    if kind != "number":
        return
    otherwise = [o for o in options if o.otherwise]
    if len(otherwise) != 1 or otherwise[0].right:
        raise QuizError("a number quiz ends with one wrong option '- [ ] else :: feedback'")
    for wrong in (o for o in options if not o.right and o.value is not None):
        for good in (o for o in right if o.value is not None):
            if abs(wrong.value - good.value) <= good.tolerance + wrong.tolerance:
                raise QuizError(f"{wrong.text!r} (wrong) overlaps {good.text!r} (right)", wrong.line)
