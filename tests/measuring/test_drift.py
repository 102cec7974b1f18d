"""Identity drift and zoom, of films that were made to drift and to zoom."""

import numpy as np
import pytest

from talkface_lite.landmarks import ANCHORS, TEMPLATE
from talkface_lite.measuring.drift import departure, drift, pose_spread, upper_face, zoom_spread
from talkface_lite.shape_pca import ShapePCA

FACE = ShapePCA.pretrained().decode(np.zeros(6, np.float32)).astype(np.float64)


def test_the_box_holds_brows_eyes_and_nose_and_no_lip():
    rows, columns = upper_face(np.stack([FACE, FACE + 2]))
    assert rows.start == int(np.floor(FACE[17:48, 1].min())) - 4
    assert rows.stop == int(np.ceil(FACE[17:48, 1].max() + 6)) + 1
    assert columns.start == int(np.floor(FACE[17:48, 0].min())) - 4
    assert columns.stop == int(np.ceil(FACE[17:48, 0].max() + 6)) + 1
    large, _ = upper_face(2 * np.stack([FACE]), 2.0)
    assert large.start == int(np.floor(2 * FACE[17:48, 1].min() - 8))
    far = upper_face(np.stack([FACE - 100]))
    assert all(one.start == 0 for one in far)


def test_a_film_that_departs_by_a_level_a_second():
    photo = np.full((8, 8, 3), 100, np.uint8)
    film = np.full((100, 8, 8, 3), 100, np.uint8)
    film += (np.arange(100) // 25).astype(np.uint8)[:, None, None, None]
    film[:, 6:] = 200  # outside of the box
    box = slice(0, 6), slice(0, 8)
    assert np.array_equal(departure(film, photo, box), np.arange(100) // 25)
    slope = np.polyfit(np.arange(100) / 25, np.arange(100) // 25, 1)[0]
    assert drift(film, photo, box) == pytest.approx(10 * slope)
    assert drift(np.full((60, 8, 8, 3), 100, np.uint8), photo, box) == pytest.approx(0, abs=1e-9)
    assert drift(film[::-1], photo, box) == pytest.approx(-10 * slope)
    assert np.isnan(drift(film[:49], photo, box))
    assert np.isfinite(drift(film[:50], photo, box))


def test_departure_is_the_root_of_the_mean_square():
    photo, film = np.zeros((2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3), np.uint8)
    film[0, 0, 0] = 6
    assert departure(film, photo, (slice(0, 2), slice(0, 2))).tolist() == [3]


def test_a_face_that_grows_and_shrinks():
    turns = np.linspace(0, 1, 7)
    sizes = np.exp(0.05 * np.array([1, -1, 1, -1, 1, -1, 1]))
    film = []
    for size, turn in zip(sizes, turns, strict=True):
        c, s = np.cos(turn), np.sin(turn)
        film.append(size * FACE @ np.array([[c, s], [-s, c]]) + 10 * turn)
    film = np.stack(film)
    mean = film[:, ANCHORS].mean(axis=0)
    assert np.ptp(mean) > 1
    assert zoom_spread(film) == pytest.approx(100 * np.log(sizes).std(), rel=1e-6)
    assert zoom_spread(np.stack([FACE + t for t in turns])) == pytest.approx(0, abs=1e-9)
    lost = film.copy()
    lost[3] = np.nan
    assert zoom_spread(lost) == pytest.approx(100 * np.log(np.delete(sizes, 3)).std(), rel=1e-6)
    assert np.isnan(zoom_spread(film[:1]))
    speaks = film.copy()
    speaks[:, 48:] *= np.linspace(1, 3, 7)[:, None, None]  # lips do not count
    assert zoom_spread(speaks) == pytest.approx(zoom_spread(film))
    assert TEMPLATE.shape == (21, 2)


def test_a_head_that_turns():
    turns = np.array([-3.0, -1, 1, 3])
    film = np.stack([FACE] * 4)
    film[:, 30, 0] += turns
    eyes = FACE[42:48].mean(axis=0) - FACE[36:42].mean(axis=0)
    wanted = 100 * np.sqrt((turns**2).mean()) / np.linalg.norm(eyes)
    assert pose_spread(film) == pytest.approx(wanted, rel=1e-6)
    assert pose_spread(2 * film + 5) == pytest.approx(wanted, rel=1e-6)  # no matter how large and where
    tilted = np.stack([frame @ np.array([[0, 1], [-1, 0]]) * size for frame, size in zip(film, (1, 2, 1, 3))])
    assert pose_spread(tilted) == pytest.approx(wanted, rel=1e-6)
    going = np.stack([frame + 7 * t for t, frame in enumerate(film)])
    assert pose_spread(going) == pytest.approx(wanted, rel=1e-6)
    film[2, 5] = np.nan
    assert pose_spread(film) == pytest.approx(
        100 * np.delete(turns, 2).std() / np.linalg.norm(eyes), rel=1e-6
    )
    assert pose_spread(np.stack([FACE] * 3)) == pytest.approx(0, abs=1e-9)
    assert np.isnan(pose_spread(film[:1]))
