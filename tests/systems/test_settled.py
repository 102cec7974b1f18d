"""A mouth that hardly moves is still."""

import numpy as np

from talkface_lite.systems.atvg.at_net import STILL, STILL_FRAMES, settled


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
