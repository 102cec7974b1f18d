"""A mouth that hardly moves is still."""

import numpy as np

from talkface_lite.systems.settling import SILENCE_FRAMES, STILL, STILL_FRAMES, after_silence, settled


def test_what_hardly_moves_is_settled_smoothly():
    for size, share in ((0.0, 0.0), (0.1, 1e-4 / 1.0001), (1.0, 0.5), (10.0, 1e4 / 10001)):
        moved = np.zeros((2, 68, 2))
        moved[:, 48:68, 1] = size * STILL
        np.testing.assert_allclose(settled(moved)[:, 60, 1], size * STILL * share, rtol=1e-6)


def test_small_movements_after_large_ones_stay_and_none_looks_ahead():
    moved = np.zeros((20, 68, 2))
    moved[:, 48:68, 0] = 0.1 * STILL
    moved[8, 48:68, 0] = 100 * STILL
    left = settled(moved)[:, 60, 0]
    near = (np.arange(20) >= 8) & (np.arange(20) <= 8 + STILL_FRAMES)
    np.testing.assert_allclose(left[near], moved[near, 60, 0], rtol=1e-6)
    assert (left[~near] < 2e-4 * moved[~near, 60, 0]).all()


def test_another_mouth_and_another_stillness():
    moved = np.zeros((3, 21, 2))
    moved[:, :20] = [0.6, 0.8]  # of 20 lip points, all by 1 px
    moved[:, 20] = 30  # and the tip of the nose, which is no lip
    for still, share in ((1.0, 1 / 2), (2.0, 1 / 17), (0.5, 16 / 17)):
        left = settled(moved, slice(0, 20), still)
        np.testing.assert_allclose(left, moved * share, rtol=1e-12)
    np.testing.assert_allclose(settled(moved, slice(20, 21)), moved, rtol=1e-5)
    np.testing.assert_array_equal(settled(moved, slice(0, 20)), settled(moved, slice(0, 20), STILL))


def test_what_stillness_is():
    assert (STILL, STILL_FRAMES, SILENCE_FRAMES) == (0.5, 3, 25)
    # the mouth of a whole face is its points 48 to 67
    moved = np.zeros((1, 68, 2))
    moved[:, :48] = 100
    moved[:, 48:, 0] = STILL
    np.testing.assert_allclose(settled(moved), moved / 2)


def test_silence_before_speech_and_after_its_last_frame():
    speech = np.linspace(0.1, 0.2, 1000, dtype=np.float32)
    heard = after_silence(speech, 3)
    assert (len(heard), heard.dtype) == (5 * 640, np.float32)
    np.testing.assert_array_equal(heard[3 * 640 : 3 * 640 + 1000], speech)
    assert not heard[: 3 * 640].any()
    assert not heard[3 * 640 + 1000 :].any()
    np.testing.assert_array_equal(after_silence(speech, 0), heard[3 * 640 :])
