"""What every check of an exercise must do, asked of one chapter's module of checks."""

import pytest

from talkface_lite.check import Wrong


def passes_and_waits(check, number, answer, capsys):
    """A right answer passes and says so; a stub that returns nothing is told that nothing is there yet."""
    exercise = getattr(check, f"exercise_{number}")
    assert exercise(answer)
    assert f"Exercise {number}: right." in capsys.readouterr().out
    assert not exercise(lambda *_: None)
    assert f"Exercise {number}: nothing to check yet." in capsys.readouterr().out


def hints(check, number, answer, hint):
    """A wrong answer gets this hint."""
    with pytest.raises(Wrong, match=hint):
        getattr(check, f"exercise_{number}")(answer)
