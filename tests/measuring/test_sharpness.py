"""How sharp a mouth is and how much a film trembles, beside the truth, written out on small pictures."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from talkface_lite.landmarks import MOUTH
from talkface_lite.measuring.pictures import jitter, measure_pictures, mouth_box, sharpness

POINTS = np.full((1, 68, 2), 60.0)
POINTS[:, MOUTH] = np.array([(x, y) for x in (40, 50, 60, 70, 80) for y in (70, 75, 80, 85)])


def test_sharpness_written_out():
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[:, 1], picture[1, 2] = 30, (30, 60, 90)
    grey = np.array([[0, 30, 0], [0, 30, 60]])
    across = np.mean([30**2, 30**2, 30**2, 30**2])
    assert sharpness(picture) == pytest.approx(across + np.mean([0, 0, 60**2]))
    assert np.array_equal(picture.mean(-1), grey)
    assert sharpness(np.full((4, 4, 3), 7, np.uint8)) == 0
    assert sharpness(np.full((1, 1, 3), 7, np.uint8)) == 0


def test_what_moves_evenly_does_not_tremble():
    even = np.arange(0, 250, 50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    assert jitter(even) == 0
    shaken = np.array([0, 255, 0, 255], np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    assert jitter(shaken) == 510
    assert jitter(shaken[:2]) == 0
    bent = np.array([10, 10, 40], np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    assert jitter(bent) == 30


def test_beside_the_truth():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (5, 128, 128, 3)).astype(np.uint8)
    points = POINTS.repeat(5, axis=0)
    same = measure_pictures(truth, truth, points)
    assert same["mouth_sharpness_over_real"] == same["jitter_over_real"] == 1
    blurred = truth.copy()
    box = mouth_box(points[0])
    for frame in blurred:
        frame[box] = gaussian_filter(frame[box].astype(float), (1, 1, 0))
    found = measure_pictures(blurred, truth, points)
    wanted = np.mean([sharpness(f[box]) for f in blurred]) / np.mean([sharpness(f[box]) for f in truth])
    assert found["mouth_sharpness_over_real"] == pytest.approx(wanted)
    assert wanted < 0.3
    assert found["jitter_over_real"] == pytest.approx(jitter(blurred) / jitter(truth))
    still = truth[:1].repeat(5, axis=0)
    assert measure_pictures(still, truth, points)["jitter_over_real"] == 0
    assert np.isnan(measure_pictures(truth, still, points)["jitter_over_real"])
    flat = np.full_like(truth, 9)
    assert np.isnan(measure_pictures(truth, flat, points)["mouth_sharpness_over_real"])
