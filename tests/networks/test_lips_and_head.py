"""Lips and head taken apart and put together: which points, where the lips lie, and what meets where."""

import numpy as np
import pytest
import torch

from talkface_lite.corpus.face import Motion, face_points
from talkface_lite.corpus.identity import Identity
from talkface_lite.errors import InputError
from talkface_lite.framing import WHOLE_HEAD
from talkface_lite.landmarks import align
from talkface_lite.networks.lips_and_head import (
    FLATTEST,
    HEAD,
    IN_HEAD,
    IN_LIPS,
    LIPS,
    PAPER_PIXELS,
    PAPER_SIDE,
    PLACES,
    SHARED,
    by_photograph,
    fitted,
    moved_by,
    put_together,
    take_apart,
    undone,
)

torch.set_num_threads(1)

CALIBRATIONS = ["affine", "similarity"]


@pytest.fixture(scope="module")
def poses():
    """float32 ``(1000, 68, 2)``: ten people talk, and are turned, scaled and shifted at random."""
    rng = np.random.default_rng(0)
    faces = []
    for person in range(10):
        drawn = face_points(Identity.draw(person), rng.uniform(0, 1, (100, 7)), Motion.draw(person, 100))
        faces.append(drawn.head_landmarks)
    points = np.concatenate(faces).astype(np.float64) - 64
    angles, sizes = rng.uniform(-0.6, 0.6, 1000), rng.uniform(0.6, 1.5, 1000)
    turn = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    moved = sizes[:, None, None] * (points @ turn) + rng.uniform(34, 94, (1000, 1, 2))
    return torch.from_numpy(moved.astype(np.float32))


def distance(points, i, j):
    return (points[..., i, :] - points[..., j, :]).norm(dim=-1)


def test_the_points_of_each_branch():
    assert (*range(48, 68), 30) == LIPS
    assert (*range(48), 48, 54) == HEAD
    assert (2 * len(LIPS), 2 * len(HEAD)) == (42, 100)
    assert set(LIPS) & set(HEAD) == set(SHARED) == {30, 48, 54}
    assert (IN_LIPS, IN_HEAD) == ([20, 0, 6], [30, 48, 49])
    # nose tip, right corner and left corner of the template, in the head's frame
    expected = [[64, 224 / 3], [52, 88], [76, 88]]
    torch.testing.assert_close(PLACES, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    assert (PAPER_SIDE, PAPER_PIXELS) == (300, 2.34375)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_what_is_taken_apart_is_put_together_again(poses, calibration):
    lips, head = take_apart(poses, calibration)
    assert (lips.shape, head.shape) == ((1000, 21, 2), (1000, 50, 2))
    assert lips.dtype == head.dtype == torch.float32
    assert torch.equal(head, poses[:, [*range(48), 48, 54]])
    again = put_together(lips, head, calibration)
    assert again.dtype == torch.float32
    assert (again - poses).abs().max() < 1e-4
    assert torch.equal(again[:, :48], poses[:, :48])
    other = CALIBRATIONS[1 - CALIBRATIONS.index(calibration)]
    assert (take_apart(poses, other).lips - lips).abs().max() > 1


def test_affine_lips_have_no_width_of_their_own(poses):
    lips, head = take_apart(poses)
    torch.testing.assert_close(lips[:, IN_LIPS], PLACES.float().expand(1000, 3, 2), atol=2e-5, rtol=0)
    assert distance(lips, 0, 6).sub(24).abs().max() < 2e-5
    assert distance(poses, 48, 54).std() > 3
    assert torch.equal(put_together(lips, head)[:, [48, 54]], poses[:, [48, 54]])
    fine = put_together(lips.double(), head.double())
    assert torch.equal(fine[:, [48, 54]], poses[:, [48, 54]].double()), "taken as they are, to the last bit"
    torch.testing.assert_close(take_apart(poses, "affine").lips, lips, rtol=0, atol=0)


def test_similar_lips_keep_their_width(poses):
    lips, _ = take_apart(poses, "similarity")
    widths = distance(lips, 0, 6)
    assert widths.std() > 0.5
    shape = distance(poses, 48, 54) / distance(poses, 48, 30)
    torch.testing.assert_close(widths / distance(lips, 0, 20), shape, rtol=1e-4, atol=0)
    torch.testing.assert_close(  # the three points lie where their mean does, and no better
        lips[:, IN_LIPS].mean(1), PLACES.mean(0).float().expand(1000, 2), atol=1e-4, rtol=0
    )
    # seen from elsewhere, the same lips
    turned = moved_by(poses, torch.tensor([[0.8, -0.6, 9.0], [0.6, 0.8, -7.0]]).double())
    torch.testing.assert_close(take_apart(turned, "similarity").lips, lips, atol=1e-3, rtol=0)


def test_a_similarity_is_that_of_least_squares(poses):
    from talkface_lite.landmarks import similarity_transform

    three = poses[:, SHARED]
    expected = similarity_transform(three.numpy(), PLACES.numpy())
    np.testing.assert_allclose(fitted(three, PLACES, "similarity"), expected, atol=1e-9)


def test_an_affine_map_takes_three_points_to_three_others():
    source = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    target = torch.tensor([[1.0, 1.0], [1.0, 3.0], [9.0, 1.0]])
    matrix = fitted(source, target)
    assert matrix.dtype == torch.float64
    # (x, y) → (1 + 2y, 1 + x)
    torch.testing.assert_close(matrix, torch.tensor([[0, 2, 1], [1, 0, 1]], dtype=torch.float64))
    points = torch.tensor([[3.0, 5.0]])
    torch.testing.assert_close(moved_by(points, matrix), torch.tensor([[11.0, 4.0]]))
    assert moved_by(points.double(), matrix).dtype == torch.float64
    both = fitted(source.expand(2, 1, 3, 2), target.expand(3, 3, 2))
    assert both.shape == (2, 3, 2, 3)
    torch.testing.assert_close(both[1, 2], matrix)


def test_lips_of_one_face_in_the_head_of_another(poses):
    """The map between is affine: it takes corners and tip of the one face to those of the other."""
    lips, head = take_apart(poses[:500])[0], take_apart(poses[500:])[1]
    both = put_together(lips, head)
    for point in (*range(48), 48, 54):
        assert torch.equal(both[:, point], poses[500:, point])
    for i in range(5):
        source, target = (poses[i + at, SHARED].double().numpy() for at in (0, 500))
        # by hand: lips as shares of the three corners of the one triangle, laid in the other
        shares = np.linalg.solve(np.vstack([source.T, np.ones(3)]), np.vstack([poses[i].T, np.ones(68)]))
        np.testing.assert_allclose(both[i, 48:], (shares.T @ target)[48:], atol=1e-4)
    opening, before = (points[:, 66] - points[:, 62] for points in (both, poses[:500]))
    linear = fitted(poses[:500, SHARED], poses[500:, SHARED])[:, :, :2].float()
    torch.testing.assert_close(opening, (linear @ before[..., None])[..., 0], atol=1e-4, rtol=0)


def test_a_head_twice_as_wide_gives_lips_as_wide_and_no_higher(poses):
    lips, head = take_apart(poses[:1])
    tall = PLACES[None].float().clone()
    head[:, IN_HEAD] = tall
    plain = put_together(lips, head)
    torch.testing.assert_close(plain[:, 48:], lips[:, :20])
    head[:, IN_HEAD, 0] = 64 + 2 * (tall[..., 0] - 64)
    wide = put_together(lips, head)
    torch.testing.assert_close(wide[:, 48:, 0] - 64, 2 * (plain[:, 48:, 0] - 64), atol=1e-4, rtol=0)
    torch.testing.assert_close(wide[:, 48:, 1], plain[:, 48:, 1], atol=1e-4, rtol=0)


def test_similar_lips_in_another_head_keep_their_own_corners(poses):
    lips, head = take_apart(poses[:500], "similarity")[0], take_apart(poses[500:], "similarity")[1]
    both = put_together(lips, head, "similarity")
    assert torch.equal(both[:, 30], poses[500:, 30])
    assert (both[:, [48, 54]] - head[:, -2:]).norm(dim=-1).max() > 1
    ratio = distance(lips, 14, 18) / distance(lips, 0, 6)
    torch.testing.assert_close(distance(both, 62, 66) / distance(both, 48, 54), ratio, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("leading", [(), (4,), (2, 5)])
def test_any_number_of_faces(poses, calibration, leading):
    faces = poses[: int(np.prod(leading))].reshape(*leading, 68, 2)
    lips, head = take_apart(faces, calibration)
    assert (lips.shape, head.shape) == ((*leading, 21, 2), (*leading, 50, 2))
    again = put_together(lips, head, calibration)
    assert again.shape == faces.shape
    torch.testing.assert_close(again, faces, atol=1e-4, rtol=0)


def collinear(three):
    return three * torch.tensor([1.0, 0.0]) + torch.tensor([0.0, 88.0])


def test_three_points_on_a_line_are_refused(poses):
    faces = poses[:3].clone()
    lips, head = take_apart(faces)
    line = "landmarks: got nose tip and corners of the mouth on one line, expected a face"
    faces[1, SHARED] = collinear(faces[1, SHARED])
    lips[2, IN_LIPS] = collinear(lips[2, IN_LIPS])
    for flat in (lambda: take_apart(faces), lambda: put_together(lips, head)):
        with pytest.raises(InputError) as caught:
            flat()
        assert str(caught.value) == line
    take_apart(faces, "similarity")
    faces[1, SHARED] = 5.0
    with pytest.raises(InputError) as caught:
        take_apart(faces, "similarity")
    assert str(caught.value) == line.replace("on one line", "in one place")


@pytest.mark.parametrize("sign", [1, -1])
def test_how_flat_is_too_flat(sign):
    def three(area):
        return torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, sign * area]], dtype=torch.float64)

    assert FLATTEST == 1e-3
    assert fitted(three(1.01e-3), PLACES).isfinite().all()
    for area in (0.99e-3, 0.0):
        with pytest.raises(InputError, match="on one line"):
            fitted(three(area), PLACES)
    close = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    spread = 2 / 3  # of the three, about their mean
    assert fitted(close * (1.01e-3 / spread) ** 0.5, PLACES, "similarity").isfinite().all()
    with pytest.raises(InputError, match="in one place"):
        fitted(close * (0.99e-3 / spread) ** 0.5, PLACES, "similarity")


def test_numbers_that_are_none_are_refused(poses):
    faces = poses[:2].clone()
    faces[0, 48] = torch.nan
    for calibration in CALIBRATIONS:
        with pytest.raises(InputError, match=r"^landmarks"):
            take_apart(faces, calibration)


def test_no_other_calibration(poses):
    with pytest.raises(InputError) as caught:
        take_apart(poses[:1], "projective")
    assert str(caught.value) == "calibration: got 'projective', expected affine or similarity"


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_the_join_can_be_learned_through(poses, calibration):
    lips, head = (part[:2].double().requires_grad_() for part in take_apart(poses, calibration))
    put_together(lips, head, calibration).square().sum().backward()
    assert lips.grad.isfinite().all()
    assert head.grad.isfinite().all()
    assert (lips.grad[:, 1:6].abs().sum((1, 2)) > 0).all()
    assert (head.grad[:, 48:].abs().sum((1, 2)) > 0).all()
    assert torch.autograd.gradcheck(
        lambda a, b: put_together(a, b, calibration)[:, 48:52],
        (lips[:1].detach().requires_grad_(), head[:1].detach().requires_grad_()),
        atol=1e-4,
    )


def test_a_photograph_is_cut_by_its_own_nose_and_eyes():
    face = torch.from_numpy(moved_points(3))
    matrix = by_photograph(face)
    assert matrix.dtype == torch.float64
    for one, its in zip(face.numpy(), matrix):
        wanted = align(one, WHOLE_HEAD)[1]
        np.testing.assert_allclose(its, wanted, atol=1e-9)
    back = moved_by(moved_by(face, matrix), undone(matrix))
    torch.testing.assert_close(back, face, rtol=0, atol=1e-6)
    linear = matrix[..., :2] @ undone(matrix)[..., :2]
    torch.testing.assert_close(linear, torch.eye(2, dtype=torch.float64).expand(3, 2, 2))


def moved_points(n):
    return np.random.default_rng(1).uniform(20, 110, (n, 68, 2))
