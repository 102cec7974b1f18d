"""Smoothing over time: what passes, what goes, and that nothing comes late."""

import numpy as np
import pytest

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE, align, apply_transform, lip_opening
from talkface_lite.recordings.smoothing import HEAD_REACH, POINTS_REACH, crop_matrices, smooth


def lag(late: np.ndarray, early: np.ndarray) -> int:
    """By how many frames ``late`` follows ``early``: where their rates of change agree best."""
    late, early = np.diff(late), np.diff(early)
    shifts = range(-4, 5)
    agree = [np.corrcoef(late[4 + k : len(late) - 4 + k], early[4:-4])[0, 1] for k in shifts]
    return shifts[int(np.argmax(agree))]


@pytest.mark.parametrize("reach", [1, 2, 3, 6])
def test_a_parabola_in_time_passes_unchanged_to_its_ends(reach):
    time = np.arange(20.0)
    values = np.stack([3 - 2 * time + 0.1 * time**2, 5 + time], -1)
    assert np.allclose(smooth(values, reach), values, atol=1e-9)


@pytest.mark.parametrize("reach", [2, 6])
def test_a_single_spike_spreads_evenly_both_ways_and_shrinks(reach):
    values = np.zeros(31)
    values[15] = 1
    smoothed = smooth(values, reach)
    assert np.allclose(smoothed, smoothed[::-1], atol=1e-12)
    assert smoothed[15] == smoothed.max() < 0.7
    assert np.allclose(smoothed[: 15 - reach], 0)
    assert np.isclose(smoothed.sum(), 1)


def test_five_frames_agree_with_scipy_where_all_weigh_the_same(monkeypatch):
    from scipy.signal import savgol_filter

    from talkface_lite.recordings import smoothing

    monkeypatch.setattr(smoothing, "_bell", np.ones_like)
    values = np.random.default_rng(0).normal(size=(40, 3))
    theirs = savgol_filter(values, 5, 2, axis=0)
    assert np.allclose(smooth(values, 2)[2:-2], theirs[2:-2])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
def test_short_films_keep_their_shape_and_are_finite(n):
    values = np.random.default_rng(n).normal(size=(n, 68, 2))
    for reach in (0, POINTS_REACH, HEAD_REACH):
        smoothed = smooth(values, reach)
        assert smoothed.shape == values.shape
        assert np.isfinite(smoothed).all()
        assert n > 2 or np.array_equal(smoothed, values)


def test_input_is_not_changed_and_errors_are_named():
    values = np.arange(9.0) ** 3
    before = values.copy()
    smooth(values, 2)
    assert np.array_equal(values, before)
    with pytest.raises(InputError, match=r"^reach: got -1, expected 0 frames or more$"):
        smooth(values, -1)
    with pytest.raises(InputError, match="NaN"):
        smooth([0, np.nan, 1], 1)
    for shape in ((0, 68, 2), (3, 67, 2), (68, 2)):
        with pytest.raises(InputError, match="landmarks"):
            crop_matrices(np.zeros(shape))


@pytest.mark.parametrize("seed", [1, 3])
def test_lips_and_eyelids_keep_their_speed_while_noise_falls(seed):
    truth = draw_clip(seed, view="camera", paint=False).landmarks.astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, 0.3, truth.shape)
    clean, noisy = smooth(truth, POINTS_REACH), smooth(truth + noise, POINTS_REACH)
    for measure in (
        lambda points: lip_opening(align(points)[0]),
        lambda points: (points[:, [40, 41]] - points[:, [38, 37]])[..., 1].mean(-1),
    ):
        before, after = measure(truth), measure(clean)
        assert abs(1 - np.ptp(after) / np.ptp(before)) < 0.05
        assert abs(1 - after.std() / before.std()) < 0.05
        assert lag(after, before) == 0
    assert np.std(noisy - truth) < 0.75 * np.std(noise)


def test_crops_follow_the_head_and_not_the_noise_of_its_points():
    time = np.arange(60)
    truth = draw_clip(2, view="camera", paint=False, still_head=True).landmarks[:1].astype(np.float64)
    truth = truth + np.stack([8 * np.sin(2 * np.pi * time / 40), time / 5], -1)[:, None]
    noisy = truth + np.random.default_rng(0).normal(0, 0.4, truth.shape)
    matrices = crop_matrices(noisy)
    assert matrices.shape == (60, 2, 3)
    assert matrices.dtype == np.float64
    assert np.allclose(matrices[:, 0, 0], matrices[:, 1, 1])
    assert np.allclose(matrices[:, 0, 1], -matrices[:, 1, 0])
    error = apply_transform(truth, matrices) - align(truth)[0]
    alone = apply_transform(truth, align(noisy)[1]) - align(truth)[0]
    assert abs(error).max() < 0.6
    assert abs(apply_transform(truth, crop_matrices(truth)) - align(truth)[0]).max() < 0.1
    assert np.diff(error, axis=0).std() < 0.3 * np.diff(alone, axis=0).std()
    laid = apply_transform(truth, matrices)[:, ANCHORS].mean((0, 1))
    assert np.allclose(laid, TEMPLATE.mean(0), atol=0.1)
