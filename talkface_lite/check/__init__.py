"""Self-checks for the exercises: one module a chapter, one function an exercise.

``exercise_n(answer)`` prints one line. A stub that gives ``None`` or ``...`` is "nothing to check yet"; a
right answer is "right"; a wrong one raises :class:`Wrong` with a hint, and never gives the solution away.
"""

from collections.abc import Callable
from dataclasses import dataclass


class Wrong(AssertionError):
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
        For a wrong answer.
    """
    try:
        if answer is None or answer is ...:
            raise NotImplementedError
        test(_refusing_stubs(answer) if callable(answer) else answer)
    except NotImplementedError:
        print(f"Exercise {number}: nothing to check yet.")
        return Verdict(False)
    except Wrong as hint:
        raise Wrong(f"Exercise {number}: not yet. {hint}") from None
    print(f"Exercise {number}: right.")
    return Verdict(True)


def _refusing_stubs(answer: Callable) -> Callable:
    def call(*arguments: object, **options: object) -> object:
        result = answer(*arguments, **options)
        if result is None or result is ...:
            raise NotImplementedError
        return result

    return call
