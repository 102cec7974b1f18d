"""Landmarks: the frame, the transform, crops and drawing."""

import cv2
import numpy as np
import pytest
import torch
from skimage.transform import SimilarityTransform

from talkface_lite import landmarks as lm
from talkface_lite.errors import InputError

cv2.setNumThreads(1)


def face(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """A rough face in the crop: the template among 47 other points."""
    points = rng.uniform(20, 108, (*shape, 68, 2))
    points[..., lm.ANCHORS, :] = lm.TEMPLATE + rng.normal(0, 1, (*shape, 21, 2))
    return points.astype(np.float32)


def blob(size: tuple[int, int], places: np.ndarray, radius: float) -> np.ndarray:
    """A dark grey picture with a soft bright spot at each of ``places`` (x, y), pixel centres at integers."""
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.zeros(size)
    for px, py in places:
        picture += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2))
    return (20 + 200 * np.clip(picture, 0, 1)).astype(np.uint8)


def centroid(picture: np.ndarray, near: np.ndarray, reach: int) -> np.ndarray:
    x0, y0 = np.rint(near).astype(int)
    patch = picture[y0 - reach : y0 + reach + 1, x0 - reach : x0 + reach + 1].astype(float) - 20
    y, x = np.mgrid[y0 - reach : y0 + reach + 1, x0 - reach : x0 + reach + 1]
    return np.array([(patch * x).sum(), (patch * y).sum()]) / patch.sum()


def test_groups_share_out_the_68_points():
    numbers = [i for part in lm.GROUPS.values() for i in range(68)[part]]
    assert numbers == list(range(68))
    assert {i for _, line in lm.LINES for i in line} == set(range(68))
    assert all(set(line) <= set(range(68)[lm.GROUPS[group]]) for group, line in lm.LINES)
    assert set(lm.COLOURS) == set(lm.GROUPS)


def test_what_hangs_on_the_jaw_follows_it():
    """As it did when the package's weights learned: faces with their lips together are made with it."""
    share = np.array([lm.JAW_FOLLOWS.get(i, 0) for i in range(68)])
    np.testing.assert_array_equal(share[lm.MIRRORED], share)
    np.testing.assert_array_equal(share[:9], [0, 0, 0, 0, 0.2, 0.4, 0.6, 0.75, 0.8])
    np.testing.assert_array_equal(share[17:48], 0)
    np.testing.assert_array_equal(
        share[48:68], [0.3, *5 * [0], 0.3, 0.8, 1, 1, 1, 0.8, 0.3, *3 * [0], 0.3, 1, 1, 1]
    )
    moved = np.stack([np.zeros(68), share], -1)
    assert lm.lip_opening(moved) == 1


def test_colours_are_those_of_okabe_and_ito():
    palette = {(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0)}
    palette |= {(204, 121, 167), (0, 0, 0)}
    assert lm.COLOURS["jaw"] == (120, 120, 120)
    assert {colour for group, colour in lm.COLOURS.items() if group != "jaw"} <= palette
    # what belongs together has one colour, what does not has another
    assert lm.COLOURS["right_eye"] == lm.COLOURS["left_eye"]
    assert lm.COLOURS["right_brow"] == lm.COLOURS["left_brow"]
    assert lm.COLOURS["nose_bridge"] == lm.COLOURS["nostrils"]
    assert len(set(lm.COLOURS.values())) == 6


def test_template_is_the_agreed_one_and_symmetric_about_the_middle_of_the_crop():
    assert lm.TEMPLATE.dtype == np.float32
    assert lm.TEMPLATE.shape == (21, 2)
    assert np.allclose(lm.TEMPLATE[45 - 27] - lm.TEMPLATE[36 - 27], (56, 0))
    whole = np.zeros((68, 2), np.float32)
    whole[lm.ANCHORS] = lm.TEMPLATE
    assert np.allclose(lm.mirror(whole, width=129)[lm.ANCHORS], lm.TEMPLATE, atol=1e-5)
    with pytest.raises(ValueError):
        lm.TEMPLATE[0] = 0


@pytest.mark.parametrize("seed", range(5))
def test_similarity_equals_skimage(seed):
    rng = np.random.default_rng(seed)
    source = rng.normal(size=(21, 2)) * 40 + 200
    target = rng.normal(size=(21, 2)) * 3 + source @ np.array([[0.3, -0.4], [0.4, 0.3]]) - 50
    reference = SimilarityTransform.from_estimate(source, target).params
    assert np.abs(lm.similarity_transform(source, target) - reference[:2]).max() < 1e-5


def test_similarity_finds_back_a_known_turn_and_never_mirrors():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(21, 2)) * 10
    angle, scale, shift = 0.3, 1.7, np.array([5.0, -9.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = lm.similarity_transform(source, source @ turn.T + shift)
    assert np.allclose(found, np.column_stack([turn, shift]))
    mirrored = lm.similarity_transform(source, source * (-1, 1))
    assert np.linalg.det(mirrored[:, :2]) >= 0


def test_batch_equals_one_by_one():
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(2, 3, 4, 21, 2))
    together = lm.similarity_transform(source, target)
    assert together.shape == (3, 4, 2, 3)
    for i in np.ndindex(3, 4):
        assert np.allclose(together[i], lm.similarity_transform(source[i], target[i]))
    assert np.allclose(
        lm.apply_transform(source, together)[1, 2], lm.apply_transform(source[1, 2], together[1, 2])
    )


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.float32, np.float64])
def test_points_given_as_integers_are_not_cut_to_whole_pixels(kind):
    given = np.rint(face(np.random.default_rng(10), 2)).astype(kind)
    exact = given.astype(np.float64)
    turn = np.array([[0.3, -0.1, 0.25], [0.1, 0.3, 0.5]])
    moved = lm.apply_transform(given, turn)
    assert moved.dtype == (kind if kind == np.float32 else np.float64)
    assert np.allclose(moved, exact @ turn[:, :2].T + turn[:, 2], atol=1e-4)
    for ours, wanted in zip(lm.align(given), lm.align(exact)):
        assert np.allclose(ours, wanted)
    assert np.allclose(
        lm.similarity_transform(given[:, :21], exact[:, 9:30]),
        lm.similarity_transform(exact[:, :21], exact[:, 9:30]),
    )
    assert np.allclose(lm.normalise(given), exact / 64 - 1)
    assert np.allclose(lm.denormalise(lm.normalise(given)), exact, atol=1e-4)
    assert np.allclose(
        lm.mouth_centred(given), exact[:, 48:] - exact[:, 48:].mean(1, keepdims=True), atol=1e-4
    )
    assert np.array_equal(lm.draw_landmarks(given, 64), lm.draw_landmarks(exact, 64))
    assert np.allclose(lm.smooth_curve(given[0]), lm.smooth_curve(exact[0]))


def test_align_undoes_place_size_and_roll():
    rng = np.random.default_rng(2)
    faces = face(rng, 6)
    aligned, _ = lm.align(faces)
    turn = np.array([[0.8, -0.6, 300], [0.6, 0.8, -40]]) * 2.5
    again, matrix = lm.align(lm.apply_transform(faces, turn))
    assert aligned.dtype == again.dtype == np.float32
    assert matrix.shape == (6, 2, 3)
    assert np.abs(aligned - again).max() < 1e-3
    assert np.abs(aligned[:, lm.ANCHORS].mean(1) - lm.TEMPLATE.mean(0)).max() < 1e-3
    inverse = lm.invert_transform(matrix)
    assert np.abs(lm.apply_transform(again, inverse) - lm.apply_transform(faces, turn)).max() < 1e-2


@pytest.mark.parametrize("scale", [0.6, 1.0, 2.5, 4.2])
@pytest.mark.parametrize("size", [128, 256])
def test_warp_crop_lays_known_points_where_the_matrix_says(scale, size):
    crop_points = np.array([(30.3, 40.7), (90.0, 35.5), (64.2, 99.1)])
    angle = 0.2
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_picture = np.column_stack([turn, (60 * scale, 12 * scale)])
    places = lm.apply_transform(crop_points, to_picture)
    picture = blob((int(230 * scale), int(220 * scale)), places, radius=3 * scale)
    crop = lm.warp_crop(np.repeat(picture[..., None], 3, -1), lm.invert_transform(to_picture), size)
    assert crop.shape == (size, size, 3)
    expected = lm.apply_transform(crop_points, lm.magnify(size / 128))
    for point in expected:
        assert np.abs(centroid(crop[..., 0], point, 12 * size // 128) - point).max() < 0.06


def test_warp_crop_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[0.27, 0, 0.1], [0, 0.27, 0.2]])
    assert np.ptp(lm.warp_crop(stripes, matrix)[2:-2, 2:-2].astype(int)) < 60


def test_warp_crop_by_the_identity_gives_the_picture_back():
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    assert np.array_equal(lm.warp_crop(picture, np.eye(2, 3)), picture)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_units_and_measures_on_numpy_and_torch(kind):
    faces = face(np.random.default_rng(3), 4)
    faces[:, 61:64, 1], faces[:, 65:68, 1] = 90, (97, 96, 95)
    given = torch.from_numpy(faces) if kind == "torch" else faces
    assert float(lm.normalise(given).max()) < 1
    assert np.allclose(lm.denormalise(lm.normalise(given)), faces, atol=1e-4)
    assert np.allclose(lm.normalise(np.array([0.0, 64, 128])), (-1, 0, 1))
    assert np.allclose(lm.lip_opening(given), 6)
    mouth = lm.mouth_centred(given)
    assert tuple(mouth.shape) == (4, 20, 2)
    assert np.allclose(mouth.mean(1), 0, atol=1e-4)
    assert np.allclose(mouth[:, 5] - mouth[:, 0], faces[:, 53] - faces[:, 48], atol=1e-4)
    once = lm.mirror(given)
    assert np.allclose(lm.mirror(once), faces, atol=1e-4)
    assert np.allclose(lm.lip_opening(once), 6)
    assert type(once) is type(given)


PAIRS = (
    (0, 16),
    (8, 8),
    (17, 26),
    (31, 35),
    (36, 45),
    (37, 44),
    (40, 47),
    (48, 54),
    (55, 59),
    (60, 64),
    (57, 57),
)


def test_mirror_names_left_points_right():
    faces = face(np.random.default_rng(4))
    mirrored = lm.mirror(faces, width=100)
    for left, right in PAIRS:
        assert np.allclose(mirrored[left], (99 - faces[right, 0], faces[right, 1]), atol=1e-4)


def test_mirror_follows_the_mirrored_picture():
    places = np.full((68, 2), 60, np.float32)
    places[36] = 20, 40
    picture = blob((128, 128), places[36:37], 2)
    there = lm.mirror(places)[45]
    assert np.abs(centroid(picture[:, ::-1], there, 6) - there).max() < 0.02


def test_drawing_puts_each_group_in_its_colour_where_it_is():
    faces = face(np.random.default_rng(5))
    far = np.full((68, 2), -500, np.float32)
    for group, part in lm.GROUPS.items():
        only = far.copy()
        # a level line through the middle of the crop at y = 40
        only[part] = np.column_stack(
            [np.linspace(30, 90, part.stop - part.start), np.full(part.stop - part.start, 40)]
        )
        picture = lm.draw_landmarks(only, 256, thickness=2)
        y, x = np.nonzero((picture != 255).any(-1))
        assert abs(y.mean() - (40 * 2 + 0.5)) < 0.3, group
        assert abs(x.min() - 60) < 4, group
        assert np.abs(picture[80, 120].astype(int) - lm.COLOURS[group]).max() < 12, group
    film = lm.draw_landmarks(np.stack([faces, far]), 64, background=(1, 2, 3))
    assert film.shape == (2, 64, 64, 3)
    assert film[0].max() > 100
    assert (film[1] == (1, 2, 3)).all()
    canvas = np.full((128, 128, 3), 7, np.uint8)
    drawn = lm.draw_landmarks(faces, image=canvas)
    assert (canvas == 7).all()
    assert (drawn == 7).mean() > 0.3


def test_smooth_curve_goes_through_its_points_and_keeps_lines_straight():
    points = np.random.default_rng(6).normal(size=(7, 2))
    curve = lm.smooth_curve(points, 6)
    assert curve.shape == (37, 2)
    assert np.allclose(curve[::6], points)
    line = np.column_stack([np.arange(5.0), 2 * np.arange(5.0)])
    assert np.allclose(lm.smooth_curve(line)[:, 1], 2 * lm.smooth_curve(line)[:, 0])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: lm.align(np.zeros((67, 2))), "landmarks"),
        (lambda: lm.align(np.full((68, 2), np.nan)), "landmarks"),
        (lambda: lm.align(np.ones((68, 2))), "source"),
        (lambda: lm.similarity_transform(np.zeros((3, 2)), np.zeros((4, 2))), "source and target"),
        (lambda: lm.apply_transform(np.zeros((3, 2)), np.eye(3)), "matrix"),
        (lambda: lm.apply_transform(np.zeros(2), np.eye(2, 3)), "points"),
        (lambda: lm.warp_crop(np.zeros((9, 9, 3)), np.eye(2, 3)), "image"),
        (lambda: lm.warp_crop(np.zeros((9, 9, 3), np.uint8), np.zeros((2, 3))), "matrix"),
        (lambda: lm.draw_landmarks(np.zeros((68, 3))), "landmarks"),
        (lambda: lm.draw_landmarks(np.zeros((68, 2)), image=np.zeros((64, 64, 3), np.uint8)), "image"),
    ],
)
def test_bad_input_is_named_on_one_line(call, name):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).startswith(f"{name}: got ")
    assert "\n" not in str(error.value)
