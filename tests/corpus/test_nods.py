"""Nods on stressed syllables: when, how deep, how late, and that nothing else moves."""

import numpy as np
import pytest

from talkface_lite.clip import Interval, frame_times
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.motion import PITCH_LIMIT, POSE_BAND_HZ, Motion
from talkface_lite.corpus.nods import (
    LEAST_DEPTH,
    LONGEST_LAG,
    MOST_DEPTH,
    NOD_SECONDS,
    ORDINARY_DEPTH,
    NodHabit,
    nodding,
    stress_signal,
    stressed_times,
)
from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError

ONE = (Interval("l", 0.8, 0.9), Interval("ˈeɪ", 0.9, 1.06))
"""One stressed syllable, at 0.98 s: the centre of frame 24."""


def at(*middles):
    return tuple(Interval("ˈa", middle - 0.05, middle + 0.05) for middle in middles)


def test_stress_is_in_the_middle_of_marked_phonemes():
    marked = (*ONE, Interval("ˌæ", 1.2, 1.3), Interval("uː", 1.3, 1.4), Interval("ˈuː", 1.5, 2.5))
    assert stressed_times(marked) == pytest.approx([0.98, 2.0])
    for none in ((), (Interval("a", 0, 1),)):
        assert stressed_times(none).shape == (0,)
        assert stressed_times(none).dtype == np.float64


def test_drawn_sentences_are_stressed_on_their_words():
    clip = draw_clip(1, paint=False, clean=True, text="bin blue at f two now")
    times = stressed_times(clip.phonemes)
    holds = [sum(word.holds(times)) for word in clip.words]
    assert holds == [1, 1, 0, 1, 1, 1]


def test_the_curve_has_a_bump_of_height_1_for_each_stress():
    curve = stress_signal(ONE, 60)
    assert curve.shape == (60,)
    assert curve.dtype == np.float64
    assert curve.argmax() == 24
    assert curve[24] == pytest.approx(1)
    np.testing.assert_allclose(curve, np.exp(-((frame_times(60) - 0.98) ** 2) / (2 * NOD_SECONDS**2)))
    both = stress_signal((*ONE, *at(1.1)), 60)
    np.testing.assert_allclose(both, curve + stress_signal(at(1.1), 60))  # bumps add up
    assert not stress_signal((), 5).any()
    assert stress_signal(ONE, 1).shape == (1,)
    with pytest.raises(InputError, match="n_frames: got 0, expected at least 1"):
        stress_signal(ONE, 0)


def test_a_still_head_nods_down_by_its_depth_and_after_its_lag():
    for frames in (-5, 0, 5):
        habit = NodHabit(lag=frames * 0.04, depth=0.08)
        pitch = nodding(Motion.hold(60), ONE, habit).pose[:, 1]
        assert pitch.argmax() == 24 + frames
        assert pitch.max() == pytest.approx(PITCH_LIMIT * np.tanh(0.08 / PITCH_LIMIT), rel=1e-6)
        assert 0.075 < pitch.max() < 0.08
        assert pitch.min() >= 0
        assert pitch[[0, -1]] == pytest.approx([0, 0], abs=1e-4)
    small = nodding(Motion.hold(60), ONE, NodHabit(lag=0, depth=1e-3)).pose[:, 1]
    np.testing.assert_allclose(small, 1e-3 * stress_signal(ONE, 60), atol=1e-7)


def test_only_the_pitch_changes_and_only_around_nods():
    motion = Motion.draw(3, 100)
    before = motion.pose.copy()
    nods = nodding(motion, ONE, NodHabit(lag=0.1, depth=0.1))
    for name in ("shift", "blink", "gaze", "brows"):
        np.testing.assert_array_equal(getattr(nods, name), getattr(motion, name))
    np.testing.assert_array_equal(motion.pose, before)
    np.testing.assert_array_equal(nods.pose[:, [0, 2]], before[:, [0, 2]])
    np.testing.assert_allclose(nods.pose[50:, 1], before[50:, 1], atol=1e-6)
    assert (nods.pose[24:30, 1] > before[24:30, 1] + 0.03).all()
    assert nods.pose.dtype == np.float32
    np.testing.assert_allclose(nodding(motion, (), NodHabit(lag=0, depth=0.1)).pose, before, atol=1e-7)


def test_the_pitch_keeps_its_limit():
    close = at(*np.arange(0.5, 3, 0.1))
    deep = NodHabit(lag=0, depth=MOST_DEPTH)
    for motion in (Motion.hold(90), Motion.hold(90, pitch=PITCH_LIMIT), Motion.hold(90, pitch=0.5)):
        pitch = nodding(motion, close, deep).pose[:, 1]
        assert (pitch <= PITCH_LIMIT).all()
        assert pitch.max() > 0.94 * PITCH_LIMIT
    up = nodding(Motion.hold(90, pitch=-0.5), (), deep).pose[:, 1]
    assert up == pytest.approx(np.full(90, -PITCH_LIMIT), rel=2e-6)
    assert (up >= -PITCH_LIMIT).all()


def test_one_who_is_bowed_nods_less():
    habit = NodHabit(lag=0, depth=0.08)
    depths = [
        np.ptp(nodding(Motion.hold(60, pitch=pitch), ONE, habit).pose[:, 1]) for pitch in (0, 0.1, 0.15)
    ]
    assert depths[0] > depths[1] + 0.01
    assert depths[1] > depths[2] + 0.01
    # what a tanh has bent is unbent first
    bent = np.tanh(np.arctanh(0.1 / PITCH_LIMIT) + 0.08 / PITCH_LIMIT)
    assert depths[1] == pytest.approx(PITCH_LIMIT * bent - 0.1, rel=1e-4)


def test_a_nod_lies_in_the_band_of_the_pose():
    curve = stress_signal(at(20.02), 1001)
    power = np.abs(np.fft.rfft(curve)) ** 2
    share = power[np.fft.rfftfreq(1001, 0.04) < POSE_BAND_HZ].sum() / power.sum()
    assert 0.97 < share < 0.99


def test_a_habit_is_the_persons():
    habits = [NodHabit.draw(Identity.draw(seed)) for seed in range(400)]
    assert NodHabit.draw(Identity.draw(5)) == habits[5]
    assert habits[5].lag == pytest.approx(0.2171, abs=1e-4)  # as it was when corpora were drawn
    assert type(habits[5].lag) is type(habits[5].depth) is float
    lags = np.array([habit.lag for habit in habits])
    assert LONGEST_LAG == 0.24
    assert 0.23 < lags.max() <= LONGEST_LAG
    assert -0.23 > lags.min() >= -LONGEST_LAG
    assert abs(lags.mean()) < 0.03
    assert lags.std() == pytest.approx(0.48 / np.sqrt(12), rel=0.1)
    depths = np.array([habit.depth for habit in habits])
    assert np.rad2deg([LEAST_DEPTH, ORDINARY_DEPTH, MOST_DEPTH]) == pytest.approx([2.5, 5, 8])
    assert (depths.min(), depths.max()) == (LEAST_DEPTH, MOST_DEPTH)
    assert np.median(depths) == pytest.approx(ORDINARY_DEPTH, rel=0.08)
    assert np.quantile(depths, 0.84) == pytest.approx(ORDINARY_DEPTH * np.exp(0.3), rel=0.08)
    assert abs(np.corrcoef(lags, depths)[0, 1]) < 0.15
