"""Checkers: they tell right from wrong, answer with a hint, and never raise.

A checker is a function that takes the reader's answer and calls `require(condition, hint)`. The decorator turns it into
one that returns a `Feedback`, whatever the answer does. The build proves both directions: the starter cell does not
pass, the worked solution does.
"""

from __future__ import annotations

import functools
import hashlib
import signal
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, SupportsFloat

import numpy as np

MIME = "application/vnd.sharpbook.exercise+json"


class Hint(Exception):  # noqa: N818  (a hint is not an error)
    """Raised inside a checker to say that the answer is not right yet, and what to look at."""


@dataclass(frozen=True)
class Feedback:
    """What a checker answers: whether the answer passes, and one sentence."""

    exercise: str
    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{self.exercise}: {'passed' if self.passed else 'not yet'}. {self.message}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        shape, word = ("✓", "passed") if self.passed else ("→", "not yet")
        html = (
            f'<div class="sb-feedback" data-passed="{str(self.passed).lower()}" role="status">'
            f'<b><span aria-hidden="true">{shape}</span> {escape(self.exercise)}: {word}.</b> '
            f"{escape(self.message)}</div>"
        )
        return {
            "text/plain": repr(self),
            "text/html": html,
            MIME: {"exercise": self.exercise, "passed": self.passed, "message": self.message},
        }


def require(condition: Any, hint: str) -> None:
    """Go on when `condition` is true, else end the check with `hint`."""
    if not bool(condition):
        raise Hint(hint)


def answered(value: Any, what: str = "your answer") -> None:
    """End the check kindly when the reader has not filled in `value` yet (None or ...)."""
    require(value is not None and value is not ..., f"Fill in {what} first.")


def number(value: Any, what: str = "your answer") -> float:
    """`value` as a finite float, or a hint that says what is expected."""
    answered(value, what)
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise Hint(f"{what[0].upper()}{what[1:]} should be one number, not {type(value).__name__}.") from None
    require(np.isfinite(result), f"{what[0].upper()}{what[1:]} should be finite, not {result}.")
    return result


def array(value: Any, shape: tuple[int | None, ...], what: str = "your answer") -> np.ndarray:
    """`value` as a float array of `shape` (None: any length), or a hint that names the shape found."""
    answered(value, what)
    try:
        result = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Hint(f"{what[0].upper()}{what[1:]} should be numeric.") from None
    fits = result.ndim == len(shape) and all(s is None or s == n for s, n in zip(shape, result.shape, strict=True))
    require(fits, f"{what[0].upper()}{what[1:]} has shape {result.shape}; expected {shape}.")
    require(bool(np.isfinite(result).all()), f"{what[0].upper()}{what[1:]} contains NaN or infinity.")
    return result


def digest(values: Any, decimals: int = 6) -> str:
    """Fingerprint of numbers rounded to `decimals`, so that a checker can hold an answer without showing it."""
    rounded = np.round(np.asarray(values, dtype=float).ravel(), decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return hashlib.sha256(",".join(f"{v:.{decimals}f}" for v in rounded).encode()).hexdigest()[:16]


@contextmanager
def _time_limit(seconds: SupportsFloat):
    # Signals work in the main thread only; elsewhere an endless answer is the caller's to interrupt.
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(signum, frame):
        raise Hint(f"Your answer ran for more than {seconds:g} s. Is there a loop that does not end?")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def checker(exercise: str, *, praise: str = "Right.", seconds: SupportsFloat = 20.0) -> Callable[[Callable], Callable]:
    """Turn a function of the reader's answer into one that returns a `Feedback` and never raises.

    Parameters
    ----------
    exercise : name shown in the feedback.
    praise : what to say when the answer passes; a good place for what to notice. The function may return a string
        to say something else.
    seconds : an answer that runs longer is told so.

    Examples
    --------
    >>> @checker("Sum", praise="Addition it is.")
    ... def check_sum(f):
    ...     answered(f, "the function")
    ...     require(f(2, 3) == 5, "Try f(2, 3) by hand.")
    >>> check_sum(None)
    Sum: not yet. Fill in the function first.
    >>> check_sum(lambda a, b: a + b)
    Sum: passed. Addition it is.
    """

    def decorate(check: Callable) -> Callable[..., Feedback]:
        @functools.wraps(check)
        def checked(*answers: Any, **named: Any) -> Feedback:
            # An answer must not disturb the experiments that follow it.
            numpy_state = np.random.get_state()
            try:
                with _time_limit(seconds):
                    said = check(*answers, **named)
                return Feedback(exercise, True, said if isinstance(said, str) else praise)
            except Hint as hint:
                return Feedback(exercise, False, str(hint))
            except Exception as error:
                return Feedback(exercise, False, f"Your answer stopped with {type(error).__name__}: {error}")
            finally:
                np.random.set_state(numpy_state)

        return checked

    return decorate
