"""The self-checks of "Speech to MFCC" take right answers and refuse wrong ones."""

import numpy as np
import pytest
from exercises import KINDS, WHOLE, given_as

from talkface_lite.check import Wrong
from talkface_lite.check.speech_to_mfcc import RECIPES, exercise_1, exercise_2, exercise_3
from talkface_lite.speech import PSF, MFCCSettings, mfcc_windows


@pytest.mark.parametrize("exercise", [exercise_1, exercise_2, exercise_3])
@pytest.mark.parametrize("stub", [None, ..., lambda *_: None, lambda *_: ...])
def test_a_stub_is_nothing_to_check_yet(exercise, stub, capsys):
    assert not exercise(stub)
    assert "nothing to check yet" in capsys.readouterr().out


def test_rows_right(capsys):
    assert exercise_1(lambda frame, rows: (4 * frame + 2 - rows // 2, 4 * frame + 2 + rows // 2))
    assert capsys.readouterr().out == "Exercise 1: right.\n"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("number", WHOLE.values(), ids=WHOLE)
def test_rows_right_in_every_type(kind, number):
    def rows_of(frame, rows):
        return [number(4 * frame + 2 - rows // 2), number(4 * frame + 2 + rows // 2)]

    assert exercise_1(given_as(kind, rows_of))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda t, n: (4 * t - n // 2, 4 * t + n // 2), "20 ms too early"),
        (lambda t, n: (4 * t + 2 - n // 2, 4 * t + 1 + n // 2), "after"),
        (lambda t, n: (4 * (t - 3), 4 * (t + 4)), "4 rows runs over 28"),
        (lambda t, n: 4 * t, "two whole numbers"),
        (lambda t, n: [4 * t + 2], "two whole numbers"),
        (lambda t, n: (4 * t + 2.5 - n // 2, 4 * t + 2.5 + n // 2), "whole number; yours is 0.5"),
        (lambda t, n: "ab", "whole number; yours is 'a'"),
    ],
)
def test_rows_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_1(wrong)


def nearest_recipe(windows, speech):
    def distance(name):
        return np.abs(mfcc_windows(speech, settings=RECIPES[name]) - windows).mean()

    return min(RECIPES, key=distance)


def test_fingerprint_right():
    assert exercise_2(nearest_recipe)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda windows, speech: "PSF", "LIBROSA were taken for PSF"),
        (lambda windows, speech: "htk", "Give one of"),
        (lambda windows, speech: ["ATVGNET"], "Give one of"),
        (
            lambda windows, speech: next(
                (n for n in RECIPES if np.array_equal(mfcc_windows(speech, settings=RECIPES[n]), windows)),
                "none",
            ),
            "Give one of",
        ),
    ],
)
def test_fingerprint_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_2(wrong)


def test_better_settings_right(capsys):
    better = MFCCSettings(window="hamming")
    assert exercise_3(lambda: better)
    assert "R² of the jaw" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [(lambda: PSF, "It takes"), (lambda: RECIPES["SYNCNET"], "It takes"), (lambda: 13, "MFCCSettings")],
)
def test_better_settings_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_3(wrong)
