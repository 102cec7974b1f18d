"""Self-checks for the exercises: one module a chapter, one function an exercise.

``exercise_n(answer)`` prints one line. A stub that gives ``None`` or ``...`` is "nothing to check yet"; a
right answer is "right"; a wrong one raises :class:`Wrong` with a hint, and never gives the solution away.

What a reader's function gives may be a list, a tuple, an array or a tensor, and its whole numbers of any
kind: :func:`array_from` and :func:`whole_number` take them all, and turn the rest into a hint.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


class OneLine(Exception):
    """An error whose message is all that a reader needs: a notebook shows it alone, without a traceback.

    The cell fails all the same, so that graded and tested notebooks notice; outside a notebook Python
    shows it as any other exception.
    """

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback."""
        return [str(self)]


class Wrong(OneLine, AssertionError):
    """The answer is not right yet; the message is a hint."""


@dataclass(frozen=True)
class Verdict:
    """How a check went; true for a right answer. A notebook shows nothing: the printed line has said it."""

    right: bool

    def __bool__(self) -> bool:
        return self.right

    def _ipython_display_(self) -> None:
        pass


def verify(number: int, answer: Callable | None, test: Callable[[Callable], None]) -> Verdict:
    """Run ``test(answer)`` and say in one line how it went.

    Parameters
    ----------
    number:
        Number of the exercise, for the message.
    answer:
        The reader's function; ``None`` or a function that gives ``None``, ``...`` or raises
        ``NotImplementedError`` counts as not written yet.
    test:
        Calls the answer and raises :class:`Wrong` with a hint where it is not right.

    Returns
    -------
    Verdict
        True for a right answer, false for one not written yet.

    Raises
    ------
    Wrong
        For a wrong answer, or one that is no function.
    """
    try:
        if answer is None or answer is ...:
            raise NotImplementedError
        if not callable(answer):
            raise Wrong(f"Give the function itself, not what it returns; you gave {_shown(answer)}.")
        test(_refusing_stubs(answer))
    except NotImplementedError:
        print(f"Exercise {number}: nothing to check yet.")
        return Verdict(False)
    except Wrong as hint:
        raise Wrong(f"Exercise {number}: not yet. {hint}") from None
    print(f"Exercise {number}: right.")
    return Verdict(True)


def whole_number(value: object, what: str) -> int:
    """Take a reader's whole number, be it an ``int``, NumPy's, a tensor's, or a float such as 3.0.

    Parameters
    ----------
    value:
        What the reader's function gave.
    what:
        What it should be, for the hint: "a frame's number".

    Raises
    ------
    Wrong
        When it is no whole number.
    """
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        number = math.nan if isinstance(value, str) or np.ndim(value) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer():
        raise Wrong(f"{what[0].upper()}{what[1:]} is a whole number; yours is {_shown(value)}.")
    return int(number)


def array_from(value: object, what: str, *, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Take a reader's numbers, be they a list, a tuple, an array or a tensor.

    Parameters
    ----------
    value:
        What the reader's function gave.
    what:
        What it should be, for the hint: "the opening of each face".
    shape:
        Shape that is asked for, if there is one.

    Returns
    -------
    float64 array of that shape. It may hold NaN.

    Raises
    ------
    Wrong
        When these are no numbers, or of another shape.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise Wrong(f"{what[0].upper()}{what[1:]} should be numbers; you give {_shown(value)}.") from None
    if shape is not None and array.shape != shape:
        raise Wrong(f"The shape is {array.shape}; {what} should have {shape}.")
    return array


def _shown(value: object) -> str:
    """A value in few words, for a hint of one line."""
    text = " ".join((str if isinstance(value, np.generic) else repr)(value).split())
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"


def _refusing_stubs(answer: Callable) -> Callable:
    def call(*arguments: object, **options: object) -> object:
        result = answer(*arguments, **options)
        if result is None or result is ...:
            raise NotImplementedError
        return result

    return call
