import numpy as np
import pytest
from exercises import WHOLE, given_as

from talkface_lite.check import Wrong
from talkface_lite.check.how_to_read_and_run import exercise_1


def test_right_answer(capsys):
    assert exercise_1(lambda seconds: int(seconds * 25))
    assert capsys.readouterr().out == "Exercise 1: right.\n"


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_right_answer_in_every_type(kind):
    assert exercise_1(given_as(kind, lambda seconds: int(seconds * 25)))
    assert exercise_1(lambda seconds: np.searchsorted(np.arange(1, 80) / 25, seconds, side="right"))


@pytest.mark.parametrize("stub", [None, lambda seconds: None, lambda seconds: ...])
def test_a_stub_is_not_wrong(stub, capsys):
    assert not exercise_1(stub)
    assert "nothing to check yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda seconds: int(seconds * 25) + 1, "counted from 0"),
        (lambda seconds: round(seconds * 25), "still on the screen|centre of frame"),
        (lambda seconds: int(seconds * 30), "centre of frame"),
        (lambda seconds: seconds * 25, "whole number; yours is 0.5"),
        (lambda seconds: "frame 0", "whole number; yours is 'frame 0'"),
        (lambda seconds: [0], "whole number"),
        (3, "the function itself"),
    ],
)
def test_wrong_answers_get_a_hint(answer, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_1(answer)
