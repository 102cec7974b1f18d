"""A film that moves by a known step has a known motion map."""

import numpy as np
import pytest

from talkface_lite.errors import InputError
from talkface_lite.measuring.flow import motion_map, optical_flow


def moving(step, n=6):
    """A smooth pattern that goes to the right."""
    y, x = np.mgrid[:64, :64]
    frames = [127 + 60 * np.sin((x - t * step) / 4) + 60 * np.sin(y / 5) for t in range(n)]
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_moves_by_a_step_has_its_square(step):
    film = moving(step)
    inner = slice(12, -12), slice(12, -12)
    flow = optical_flow(film)
    assert flow.shape == (5, 64, 64, 2)
    assert np.median(flow[:, *inner, 0]) == pytest.approx(step, abs=0.1)
    assert np.median(flow[:, *inner, 1]) == pytest.approx(0, abs=0.1)
    assert np.median(motion_map(film)[inner]) == pytest.approx(step**2, abs=0.25)
    assert np.median(optical_flow(film[::-1])[:, *inner, 0]) == pytest.approx(-step, abs=0.1)


def test_the_mean_over_the_film():
    film = moving(2)
    half = np.concatenate([film, np.repeat(film[-1:], 5, axis=0)])
    inner = slice(12, -12), slice(12, -12)
    assert np.median(motion_map(half)[inner]) == pytest.approx(2, abs=0.2)


def test_one_frame_does_not_move():
    with pytest.raises(InputError, match="film: got 1 frames, expected at least 2"):
        motion_map(np.zeros((1, 8, 8, 3), np.uint8))
