import numpy as np
import pytest

from talkface_lite.faces.boxes import overlap, width


@pytest.mark.parametrize(
    ("other", "share"),
    [
        ((10, 20, 30, 60), 1.0),
        ((20, 20, 40, 60), 1 / 3),
        ((15, 30, 25, 50), 0.25),
        ((30, 20, 50, 60), 0.0),
        ((40, 70, 50, 80), 0.0),
    ],
)
def test_overlap_is_the_shared_over_the_joint_area(other, share):
    box = np.array([10.0, 20, 30, 60])
    others = np.array([other, box], float)
    np.testing.assert_allclose(overlap(others, box), [share, 1])
    np.testing.assert_allclose(overlap(box[None], np.array(other, float)), [share])


def test_width_is_the_mean_of_both_sides():
    np.testing.assert_allclose(width(np.array([[10.0, 20, 30, 60], [0, 0, 1, 1]])), [30, 1])
