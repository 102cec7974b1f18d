"""The self-checks of the chapter on the corpus take right answers and refuse wrong ones."""

import numpy as np
import pytest
import torch
from exercises import KINDS, WHOLE, given_as

from talkface_lite.check import Wrong
from talkface_lite.check.corpus import exercise_1, exercise_2, exercise_3
from talkface_lite.clip import frame_times
from talkface_lite.corpus.visemes import articulation


@pytest.mark.parametrize("exercise", [exercise_1, exercise_2, exercise_3])
@pytest.mark.parametrize("stub", [None, ..., lambda *_: None, lambda *_: ...])
def test_a_stub_is_nothing_to_check_yet(exercise, stub, capsys):
    assert not exercise(stub)
    assert "nothing to check yet" in capsys.readouterr().out


def frames_in(start, end):
    return [t for t in range(100) if start <= (t + 0.5) * 0.04 < end]


def test_frames_right(capsys):
    assert exercise_1(frames_in)
    assert exercise_1(lambda a, b: np.arange(np.ceil(a / 0.04 - 0.5 - 1e-9), np.ceil(b / 0.04 - 0.5 - 1e-9)))
    assert capsys.readouterr().out == "Exercise 1: right.\n" * 2


@pytest.mark.parametrize("kind", [*KINDS.values(), lambda frames: [np.int64(t) for t in frames]])
def test_frames_right_in_every_type(kind):
    assert exercise_1(given_as(kind, frames_in))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda a, b: np.arange(25 * a, 25 * b - 0.5), "whole number; yours is 2.5"),
        (lambda a, b: {"start": a}, "should be numbers"),
        (lambda a, b: list(range(int(a * 25), int(b * 25))), "between two centres"),
        (lambda a, b: list(range(int(a * 25), int(np.ceil(b * 25)))), "by its centre"),
        (lambda a, b: frames_in(a, b) or [int(a * 25)], "between two centres"),
        (lambda a, b: [t for t in range(100) if a < (t + 0.5) * 0.04 <= b], "you give"),
    ],
)
def test_frames_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_1(wrong)


def best_lag(opening, loudness, max_lag):
    n = len(opening)

    def r(lag):
        middle = slice(max_lag, n - max_lag)
        return np.corrcoef(opening[middle], loudness[max_lag + lag : n - max_lag + lag])[0, 1]

    return max(range(-max_lag, max_lag + 1), key=r)


def over_shared_frames(measure):
    """Lag with the largest measure of the frames in which both are known."""

    def best(opening, loudness, max_lag):
        n = len(opening)
        pairs = {
            k: (opening[max(0, -k) : n - max(0, k)], loudness[max(0, k) : n - max(0, -k)])
            for k in range(-max_lag, max_lag + 1)
        }
        return max(pairs, key=lambda k: measure(*pairs[k]))

    return best


def by_rolling(opening, loudness, max_lag):
    return max(range(-max_lag, max_lag + 1), key=lambda k: np.corrcoef(opening, np.roll(loudness, -k))[0, 1])


def correlation(opening, loudness):
    return np.corrcoef(opening, loudness)[0, 1]


@pytest.mark.parametrize("right", [best_lag, over_shared_frames(correlation)])
def test_lag_right(right):
    assert exercise_2(right)


@pytest.mark.parametrize("kind", WHOLE.values(), ids=WHOLE)
def test_lag_right_in_every_type(kind):
    assert exercise_2(given_as(kind, best_lag))


@pytest.mark.parametrize(
    "wrong",
    [
        over_shared_frames(np.dot),
        over_shared_frames(lambda o, s: np.mean(o * s)),
        over_shared_frames(lambda o, s: o @ s / np.linalg.norm(o) / np.linalg.norm(s)),
        over_shared_frames(lambda o, s: np.cov(o, s)[0, 1]),
        over_shared_frames(lambda o, s: -np.mean((o - s) ** 2)),
        lambda o, s, m: over_shared_frames(np.dot)(o - o.mean(), s - s.mean(), m),
        by_rolling,
    ],
)
def test_products_and_wrapped_ends_do_not_pass_as_correlation(wrong):
    with pytest.raises(Wrong, match="neither level nor scale"):
        exercise_2(wrong)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda o, s, m: -best_lag(o, s, m), "Late is positive"),
        (lambda o, s, m: best_lag(o, s, m) + 1, "in step you say 1"),
        (lambda o, s, m: 0, "neither level nor scale"),
        (lambda o, s, m: 7, "at most 6 frames"),
        (lambda o, s, m: best_lag(o, s, m) + 0.5, "A lag is a whole number"),
        (lambda o, s, m: int(np.argmax(s) - np.argmax(o)), "you say"),
    ],
)
def test_lag_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_2(wrong)


def test_articulation_right():
    assert exercise_3(articulation)


@pytest.mark.parametrize("kind", [np.ndarray.tolist, lambda mouth: mouth.astype(np.float16), torch.tensor])
def test_articulation_right_in_every_type(kind):
    assert exercise_3(given_as(kind, articulation))


def changed(change):
    def wrong(phonemes, n_frames):
        mouth = articulation(phonemes, n_frames).copy()
        change(mouth)
        return mouth

    return wrong


def rounded_only_in_u(phonemes, n_frames):
    mouth, times = articulation(phonemes, n_frames).copy(), frame_times(n_frames)
    u = [p for p in phonemes if "u" in p.label or "ʉ" in p.label]
    outside = ~np.any([(times > p.start) & (times < p.end) for p in u], axis=0) if u else slice(None)
    mouth[outside, 2] = 0
    return mouth


def hold_open(mouth):
    mouth[10:-10, 0] = 0.5


def lower_lip_hangs(mouth):
    mouth[4:-4, 4] = 1.0  # the jaw is untouched


def mouth_of_one_height(mouth):
    """Open or shut, and nothing between: every vowel is as wide as every other."""
    spoken = slice(12, -12)
    mouth[spoken][mouth[spoken, 4] > 0.1] = (0.2, 0, 0.6, 0.3, 0.4, 0, 0)


def hardly_open(mouth):
    """A mumbler beyond all bounds, whose lips close and round as they should."""
    mouth[:, (0, 3, 4)] = np.minimum(mouth[:, (0, 3, 4)], 0.05)


def jump(mouth):
    mouth[12::2, 0] = 0
    mouth[13:-10:2, 0] = 0.9


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda phonemes, n: np.zeros((n, 7)), "never opens"),
        (lambda phonemes, n: np.zeros((7, n)), "shape is"),
        (lambda phonemes, n: np.full((n, 7), np.nan), "not finite"),
        (changed(hold_open), "leaves the jaw open: 0.50"),
        (changed(lambda mouth: mouth.__setitem__((0, 1), 0.3)), "should rest"),
        (changed(jump), "jumps|leaves"),
        (changed(lower_lip_hangs), "leaves the lips .* px apart, whatever the jaw does"),
        (changed(mouth_of_one_height), "/a/ is wider"),
        (changed(hardly_open), "never opens"),
        (lambda phonemes, n: [["jaw"] * 7] * n, "should be numbers"),
        (changed(lambda mouth: mouth.__setitem__((slice(None), 2), 0)), "should be rounded"),
        (rounded_only_in_u, "two frames earlier"),
    ],
)
def test_articulation_wrong(wrong, hint):
    with pytest.raises(Wrong, match=hint):
        exercise_3(wrong)


def targets_on_the_spot(phonemes, n_frames):
    """A step from target to target, without any blending."""
    from talkface_lite.corpus.visemes import VISEMES, split_symbols

    mouth, times = np.zeros((n_frames, 7)), frame_times(n_frames)
    for label, start, end in phonemes:
        mouth[(times >= start) & (times < end)] = VISEMES[split_symbols(label)[0]].target
    return mouth


def test_steps_without_blending_are_refused():
    with pytest.raises(Wrong):
        exercise_3(targets_on_the_spot)
