"""Rows that learned nothing: the jaw that loudness opens, the photograph warped."""

import numpy as np
import pytest
from made_lips import LOWER, face, lips, spoken
from toy_systems import Lamp, Oracle

from talkface_lite.clip import Clip
from talkface_lite.landmarks import JAW_FOLLOWS, lip_opening, mouth_centred
from talkface_lite.measuring.baselines import (
    LOUD_DB,
    QUIET_DB,
    WIDEST_OPENING,
    can_warp,
    loudness_mouth,
    warped,
)
from talkface_lite.measuring.evaluation import evaluate
from talkface_lite.measuring.pictures import measure_pictures
from talkface_lite.metrics import lip_opening_correlation
from talkface_lite.networks.thin_plate import unlearned_warp
from talkface_lite.shape_pca import ShapePCA
from talkface_lite.systems.base import Shown

MEAN = ShapePCA.pretrained().decode(np.zeros(6, np.float32)).astype(np.float32)


def at_levels(*decibels, peak=0.5):
    """Five frames at each level below the peak: a square wave has as many dB as its height says."""
    heights = peak * 10 ** (np.repeat(decibels, 5 * 640) / 20)
    return (heights * np.resize([1.0, -1.0], len(heights))).astype(np.float32)


@pytest.mark.parametrize("peak", [0.5, 0.01])
def test_the_louder_the_farther_the_jaw_is_down_however_loud_the_recording(peak):
    between = (LOUD_DB + QUIET_DB) / 2
    made = loudness_mouth(face(), at_levels(0, LOUD_DB, between, QUIET_DB, -50, peak=peak))
    assert made.shape == (25, 68, 2)
    assert made.dtype == np.float32
    opening = lip_opening(made) - lip_opening(face())
    shares = [1, 1, 0.5, 0, 0]
    # the middle of each stretch, whose neighbours are as loud
    np.testing.assert_allclose(opening[2::5], WIDEST_OPENING * np.array(shares), atol=1e-3)
    np.testing.assert_allclose(opening[9:11], WIDEST_OPENING * np.array([0.875, 0.625]), atol=1e-3)


def test_only_lower_lip_and_jaw_follow():
    moved = loudness_mouth(face(), at_levels(0)) - face()
    assert np.abs(moved[..., 0]).max() < 1e-5
    still = [point for point in range(68) if point not in JAW_FOLLOWS]
    assert np.abs(moved[:, still]).max() < 1e-5
    for point, share in JAW_FOLLOWS.items():
        np.testing.assert_allclose(moved[:, point, 1], share * WIDEST_OPENING, atol=1e-4)
    assert set(LOWER) <= JAW_FOLLOWS.keys()
    np.testing.assert_allclose(lip_opening(moved), WIDEST_OPENING, atol=1e-4)


def test_silence_leaves_the_photograph():
    for speech in (np.zeros(6400, np.float32), at_levels(0, peak=5e-4)):
        photograph = np.repeat(face()[None], len(speech) // 640, axis=0)
        np.testing.assert_allclose(loudness_mouth(face(), speech), photograph, rtol=1e-6)


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    landmarks = np.repeat(MEAN[None], 6, axis=0)
    landmarks[:, 65:68, 1] += np.array([0, 1, 4, 6, 3, 0], np.float32)[:, None]
    landmarks[:, 56:59, 1] += np.array([0, 1, 4, 6, 3, 0], np.float32)[:, None]
    frames = np.repeat(rng.integers(0, 255, (1, 16, 16, 3), dtype=np.uint8), 6, axis=0)
    frames = frames.repeat(8, axis=1).repeat(8, axis=2)
    frames = frames // 2 + np.arange(6, dtype=np.uint8)[:, None, None, None] * 9  # no two alike
    speech = at_levels(-50, 0, -50)[3 * 640 : 9 * 640]
    return Clip(frames=frames, landmarks=landmarks, speech=speech)


def test_the_photograph_is_warped_to_true_and_to_made_landmarks(clip):
    made = clip.landmarks.copy()
    made[:, 57, 1] += 2

    def answer(clip, pictures):
        films = (clip.frames, clip.frames + np.uint8(1)) if pictures else (None, None)
        return {"from_speech": Shown(made, films[0]), "with_truth": Shown(None, films[1])}

    system = Oracle(answer)
    report = evaluate(system, [clip], pictures=True, example=1)
    rows = {
        "warp_with_truth": (report["baselines"]["warp_with_truth"], clip.landmarks),
        "warped": (report["systems"]["oracle"]["warped"], made),
        "loudness": (report["baselines"]["loudness"], loudness_mouth(clip.landmarks[1], clip.speech)),
    }
    for name, (row, landmarks) in rows.items():
        film = unlearned_warp(clip.frames[1], clip.landmarks[1], landmarks)
        expected = measure_pictures(film, clip.frames, clip.landmarks)
        for figure, value in expected.items():
            wanted = None if np.isnan(value) else pytest.approx(value, abs=1e-4)
            assert row[figure]["median"] == wanted, (name, figure)
    assert "mouth_landmark_distance" not in rows["warped"][0], "its landmarks are those of from_speech"
    own = report["systems"]["oracle"]["with_truth"]
    assert own["gain_over_warp"]["median"] == pytest.approx(
        own["mouth_psnr"]["median"] - rows["warp_with_truth"][0]["mouth_psnr"]["median"], abs=2e-4
    )
    assert own["share_above_warp"] == 1
    said = lip_opening_correlation(rows["loudness"][1], clip.landmarks)
    loud = report["baselines"]["loudness"]
    assert loud["lip_opening_correlation"]["median"] == pytest.approx(said, abs=1e-4)
    assert "warp_with_truth" not in evaluate(system, [clip])["baselines"], "nobody asked for pictures"
    bare = evaluate(system, [clip], pictures=True, warp=False)
    assert set(bare["baselines"]) == {"mean_mouth", "copy_photo", "loudness", "mean_picture"}
    assert list(bare["systems"]["oracle"]) == ["from_speech", "with_truth"]
    assert "gain_over_warp" not in bare["systems"]["oracle"]["with_truth"]


def test_the_clips_own_mean_picture_held_still(clip):
    still = Oracle(lambda clip, pictures: {"from_speech": Shown(None, 0 * clip.frames + mean)})
    mean = np.rint(clip.frames.astype(float).mean(axis=0)).astype(np.uint8)
    report = evaluate(still, [clip], pictures=True)
    found = measure_pictures(np.broadcast_to(mean, clip.frames.shape), clip.frames, clip.landmarks)
    row = report["baselines"]["mean_picture"]
    for figure, value in found.items():
        assert row[figure]["median"] == (None if np.isnan(value) else pytest.approx(value, abs=1e-4))
    assert row["mouth_gain"]["median"] > 0, "it knows more than the photograph"
    assert "mouth_landmark_distance" not in row
    own = report["systems"]["oracle"]["from_speech"]
    assert own["gain_over_mean_picture"]["median"] == 0
    assert "gain_over_mean_picture" not in row
    assert "mean_picture" not in evaluate(still, [clip])["baselines"], "nobody asked for pictures"


def test_a_film_worse_than_the_warp_is_not_above_it(clip):
    far = Oracle(lambda clip, pictures: {"with_truth": Shown(None, 255 - clip.frames)})
    row = evaluate(far, [clip], pictures=True)["systems"]["oracle"]["with_truth"]
    assert row["gain_over_warp"]["median"] < -3
    assert row["share_above_warp"] == 0


def test_landmarks_that_are_no_numbers_move_nothing(clip):
    landmarks = clip.landmarks.copy()
    landmarks[3] = np.nan
    film = warped(clip, 1, landmarks)
    assert np.array_equal(film[3], clip.frames[1])
    assert not np.array_equal(film[4], clip.frames[1])


def test_pictures_of_another_side_are_not_warped():
    clip = Clip(
        frames=np.zeros((3, 256, 256, 3), np.uint8),
        landmarks=lips([0, 1, 2]),
        speech=np.zeros(3 * 640, np.float32),
    )
    assert not can_warp(clip)
    assert not can_warp(spoken([0, 1]))
    report = evaluate(Lamp(), [clip], pictures=True)
    assert "warp_with_truth" not in report["baselines"]
    assert "mouth_gain" not in report["baselines"]["loudness"]
    assert np.abs(mouth_centred(lips([0, 1, 2]))).max() > 1
