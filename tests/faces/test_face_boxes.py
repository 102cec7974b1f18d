import numpy as np
import pytest

from talkface_lite.faces.boxes import around, lay_box, overlap, shrunk, width
from talkface_lite.landmarks import apply_transform, compose


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


@pytest.mark.parametrize("kind", [float, np.float32, int])
def test_around_a_box_lies_nine_tenths_of_its_width_on_each_side(kind):
    image = np.arange(200 * 150).reshape(200, 150)
    piece, (left, top) = around(image, np.array([60, 80, 80, 110], kind))
    # the mean of 20 and 30 is 25, and nine tenths of that 22.5
    assert (left, top) == (37, 57)
    assert np.array_equal(piece, image[57:133, 37:103])
    piece, where = around(image, np.array([-5, 10, 15, 40], kind))
    assert where == (0, 0)
    assert np.array_equal(piece, image[:63, :38])
    # a box beside the picture shows nothing of it
    assert around(image, np.array([-60, 10, -40, 40], kind))[0].size == 0


def test_a_laid_box_is_an_upright_square_where_the_matrix_leads():
    turn = np.array([[0.0, -2.0, 100.0], [2.0, 0.0, 7.0]])
    box = lay_box(turn, (30, 40), 10)
    # (30, 40) goes to (100 - 80, 60 + 7), and ten pixels of the crop are twenty of the picture
    np.testing.assert_allclose(box, [20 - 10, 67 - 10, 20 + 10, 67 + 10])


def test_composed_is_one_after_the_other():
    rng = np.random.default_rng(0)
    after, before, points = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(
        apply_transform(points, compose(after, before)),
        apply_transform(apply_transform(points, before), after),
    )


@pytest.mark.parametrize(
    ("size", "longest", "made", "factor"),
    [
        ((60, 100), 100, (60, 100), 1.0),
        ((60, 100), 200, (60, 100), 1.0),
        ((60, 100), 50, (30, 50), 2.0),
        ((100, 60), 40, (40, 24), 2.5),
        ((1, 100), 10, (1, 10), 10.0),
        ((3, 100), 10, (1, 10), 10.0),
    ],
)
def test_shrunk_keeps_proportions_and_never_magnifies(size, longest, made, factor):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    smaller, by = shrunk(image, longest)
    assert smaller.shape == (*made, 3)
    assert by == factor
    if factor == 1:
        assert smaller is image
    if factor == 2:
        blocks = image.reshape(30, 2, 50, 2, 3).mean((1, 3))
        assert np.abs(smaller - blocks).max() <= 1
