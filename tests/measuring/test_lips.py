"""Figures of lips whose opening is known: amplitude, onset, silence, rest, and when a clip sounds."""

import numpy as np
import pytest
from made_lips import face, lips, spoken

from talkface_lite.clip import Clip, Interval
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.lips import (
    AMPLITUDES,
    BACK,
    IS_BACK,
    LIP_FIGURES,
    MOVEMENTS,
    compare_lips,
    describe_lips,
    movement,
    ratio,
    rest_frame,
    sounding_frames,
)

MOVES = 0.48
"""Of the 20 points 8 go down by 1 px and their centre by 0.4: 8 move by 0.6, 12 by 0.4 px."""


def test_the_made_mouth_opens_as_it_says():
    np.testing.assert_allclose(lip_opening(lips([0, 1.5, 4])), [0, 1.5, 4], atol=1e-5)
    np.testing.assert_allclose(movement(lips([0, 1, 1, 3])), [MOVES, 0, 2 * MOVES], atol=1e-5)


def test_a_perfect_mouth_has_0_and_the_photograph_held_still_1():
    real = lips([1, 3, 5, 2, 0, 6])
    perfect = compare_lips(real, real, photograph=real[0])
    assert [perfect[name] for name in LIP_FIGURES] == [0] * 5
    assert perfect["lip_opening_correlation"] == pytest.approx(1)
    copy = compare_lips(np.repeat(real[:1], 6, axis=0), real, photograph=real[0])
    assert copy["opening_error"] == pytest.approx(np.mean([0, 2, 4, 1, 1, 5]), abs=1e-5)
    assert copy["opening_error_over_copy"] == pytest.approx(1)
    assert copy["mouth_landmark_distance_over_copy"] == pytest.approx(1)
    assert copy["motion_distance_over_still"] == pytest.approx(1)
    assert np.isnan(copy["lip_opening_correlation"])


def test_a_constant_offset_is_an_error_of_the_mouth_and_none_of_its_motion():
    openings = np.array([0, 2, 4, 2, 0.0])
    off = compare_lips(lips(openings + 1), lips(openings), photograph=face())
    assert off["opening_error"] == pytest.approx(1, abs=1e-5)
    assert off["opening_error_over_copy"] == pytest.approx(1 / 1.6, abs=1e-5)
    assert off["mouth_landmark_distance_over_copy"] == pytest.approx(1 / 1.6, abs=1e-5)
    assert off["motion_distance"] == pytest.approx(0, abs=1e-6)
    assert off["lip_opening_correlation"] == pytest.approx(1)


def test_half_the_amplitude_is_half_of_the_motion():
    openings = np.array([0, 2, 4, 2, 0.0])
    half = compare_lips(lips(openings / 2), lips(openings), photograph=face())
    away = np.abs(openings - openings.mean()).mean() * MOVES
    assert half["motion_distance"] == pytest.approx(away / 2, abs=1e-5)
    assert half["motion_distance_over_still"] == pytest.approx(0.5, abs=1e-5)
    assert half["opening_error_over_copy"] == pytest.approx(0.5, abs=1e-5)


def test_a_mouth_that_stands_elsewhere_is_the_same_mouth():
    real = lips([0, 3, 1])
    moved = compare_lips(real + np.array([5, -3]), real, photograph=face())
    assert moved["mouth_landmark_distance_over_copy"] == pytest.approx(0, abs=1e-6)
    assert moved["motion_distance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_frames_that_were_not_seen_count_nowhere():
    real, made = lips([0, 2, 4, 8, 2]).astype(float), lips([0, 3, 50, 8, 2]).astype(float)
    real[3], made[2] = np.nan, np.nan
    found = compare_lips(made, real, photograph=face())
    assert found["opening_error"] == pytest.approx(1 / 3, abs=1e-5)
    assert found["opening_error_over_copy"] == pytest.approx(1 / 4, abs=1e-5)
    silent = np.zeros(5, bool)
    described = describe_lips(made, photograph=face(), sounds=silent)
    assert described["opening_mean"] == pytest.approx(13 / 4, abs=1e-5)
    assert described["silence_movement"] == pytest.approx(MOVES * (3 + 6) / 2, abs=1e-5)
    unseen = np.full((5, 68, 2), np.nan)
    assert all(np.isnan(v) for v in compare_lips(unseen, real, photograph=face()).values())
    assert all(np.isnan(v) for v in describe_lips(unseen, photograph=face(), sounds=silent).values())
    blind = compare_lips(real, real, photograph=np.full((68, 2), np.nan))
    assert blind["opening_error"] == 0
    assert np.isnan(blind["opening_error_over_copy"])


def test_amplitudes_are_those_of_the_curve():
    openings, wider = np.linspace(0, 10, 21), np.linspace(-2, 2, 21)
    found = describe_lips(lips(openings, wider=wider), photograph=face(), sounds=np.ones(21, bool))
    assert set(found) == {*AMPLITUDES, *MOVEMENTS, BACK, IS_BACK}
    assert found["opening_mean"] == pytest.approx(5, abs=1e-5)
    assert found["opening_spread"] == pytest.approx(openings.std(), abs=1e-5)
    assert found["opening_p95"] == pytest.approx(9.5, abs=1e-5)
    assert found["width_mean"] == pytest.approx(30, abs=1e-5)
    assert found["width_spread"] == pytest.approx(wider.std(), abs=1e-5)
    few = describe_lips(lips(openings), photograph=face(), sounds=np.ones(21, bool), every_frame=False)
    assert set(few) == set(AMPLITUDES)


def test_the_jump_at_the_onset_is_the_largest_within_three_frames_of_it():
    sounds = np.zeros(16, bool)
    sounds[6:12] = True

    def jump(**moves):
        openings = np.zeros(16)
        for at, by in moves.items():
            openings[int(at[1:]) :] += by  # from the frame before to this one
        return describe_lips(lips(openings), photograph=face(), sounds=sounds)["onset_jump"]

    assert jump(f4=1, f6=2, f8=-1) == pytest.approx(2 * MOVES, abs=1e-5)
    assert jump(f9=3, f6=2) == pytest.approx(3 * MOVES, abs=1e-5), "into the third frame after it"
    assert jump(f10=9, f6=2) == pytest.approx(2 * MOVES, abs=1e-5), "later is no onset"
    assert jump(f4=3, f6=2) == pytest.approx(3 * MOVES, abs=1e-5), "out of the third frame before it"
    assert jump(f3=9, f6=2) == pytest.approx(2 * MOVES, abs=1e-5), "nor earlier"
    at_once = describe_lips(lips(np.arange(16)), photograph=face(), sounds=np.ones(16, bool))
    assert np.isnan(at_once["onset_jump"]), "a clip that begins with the sound has no onset"
    assert np.isnan(at_once["silence_movement"])


def test_movement_in_silence_is_between_frames_that_are_both_silent():
    sounds = np.array([0, 0, 0, 1, 1, 0, 0], bool)
    openings = np.cumsum([0, 1, 3, 100, 100, 100, 6])
    found = describe_lips(lips(openings), photograph=face(), sounds=sounds)
    assert found["silence_movement"] == pytest.approx(MOVES * (1 + 3 + 6) / 3, abs=1e-4)


@pytest.mark.parametrize(
    ("after", "seconds", "is_back"),
    [
        ([1.0, 0, 0], 0.04, 1),  # 0.48 px
        ([1.1, 1.0, 9], 0.08, 1),  # 0.528 px is too far; what comes then does not matter
        ([5, 3, 2], None, 0),
        ([], None, None),
    ],
)
def test_how_long_the_mouth_takes_back_to_the_photograph(after, seconds, is_back):
    openings = [0, 0, 4, 0, 4, *after]
    sounds = np.array([False] * 2 + [True] * 3 + [False] * len(after))
    found = describe_lips(lips(openings), photograph=face(), sounds=sounds)
    for name, value in ((BACK, seconds), (IS_BACK, is_back)):
        assert found[name] == pytest.approx(float("nan") if value is None else value, nan_ok=True)
    open_photograph = describe_lips(lips(openings), photograph=lips([5.0])[0], sounds=sounds)
    if after:
        assert open_photograph[IS_BACK] == float(5 in after), "back is where the photograph was"


def test_as_many_sounds_as_frames():
    with pytest.raises(InputError, match="sounds: got 2 frames"):
        describe_lips(lips([0, 1, 2]), photograph=face(), sounds=np.zeros(2, bool))


def test_nothing_over_nothing_is_no_ratio():
    assert ratio(3, 2) == 1.5
    assert np.isnan(ratio(1, 0))
    assert np.isnan(ratio(1, 5e-6)), "rounding"
    assert ratio(1e-3, 2e-3) == 0.5
    assert np.isnan(ratio(1, float("nan")))


def test_words_say_when_a_clip_sounds():
    clip = spoken(np.zeros(10), (2, 4), (6, 9))
    assert np.flatnonzero(sounding_frames(clip)).tolist() == [2, 3, 6, 7, 8]
    part = Clip(
        frames=None, landmarks=clip.landmarks, speech=clip.speech, words=(Interval("a", 0.119, 0.161),)
    )
    assert np.flatnonzero(sounding_frames(part)).tolist() == [2, 3, 4], "a part of a frame is enough"
    phones = Clip(
        frames=None, landmarks=clip.landmarks, speech=clip.speech, phonemes=(Interval("p", 0.2, 0.24),)
    )
    assert np.flatnonzero(sounding_frames(phones)).tolist() == [5]


def test_without_words_the_sound_says_it():
    rng = np.random.default_rng(0)
    level = np.full(20, 0.002)
    level[6:11] = 0.1
    speech = (rng.standard_normal(20 * 640) * level.repeat(640)).clip(-1, 1)
    speech[15 * 640 : 15 * 640 + 400] += 0.2  # a click of 25 ms

    def sounds(speech):
        clip = Clip(frames=None, landmarks=lips(np.zeros(20)), speech=speech.astype(np.float32))
        return np.flatnonzero(sounding_frames(clip)).tolist()

    assert sounds(speech) == [6, 7, 8, 9, 10]
    assert sounds(speech / 20) == [6, 7, 8, 9, 10], "however loud it was recorded"
    quiet = speech.copy()
    quiet[6 * 640 : 11 * 640] /= 20  # 8 dB over the noise
    assert sounds(quiet) == []
    assert sounds(np.zeros(20 * 640)) == []
    faint = np.zeros(20 * 640)
    faint[6 * 640 : 11 * 640] = 3e-4 * rng.standard_normal(5 * 640)  # -70 dB in digital silence
    assert sounds(faint) == []


def test_the_photograph_at_rest_is_the_least_open_of_the_first_half_second():
    openings = np.array([3, 2, 5, 1, 4, 4, 4, 4, 4, 4, 4, 4, 0.5, 0])
    assert rest_frame(lips(openings)) == 3
    openings[11] = 0.2
    assert rest_frame(lips(openings)) == 11
    assert rest_frame(lips([4, 3])) == 1
