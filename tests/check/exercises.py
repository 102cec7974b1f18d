"""What every check of an exercise must do, asked of one chapter's module of checks."""

import numpy as np
import pytest
import torch

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


KINDS = {
    "list": list,
    "tuple": tuple,
    "array": np.asarray,
    "tensor": lambda values: torch.tensor(np.asarray(values)),
}
"""Types in which a right answer of several numbers may come."""

WHOLE = {
    "np.int64": np.int64,
    "np.int32": np.int32,
    "0-d array": np.array,
    "tensor": torch.tensor,
    "float without a fraction": float,
}
"""Types in which a right answer of one whole number may come."""


def given_as(kind, answer):
    """The same answer, given as another type."""
    return lambda *arguments: kind(answer(*arguments))
