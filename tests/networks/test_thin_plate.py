import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH, lip_opening
from talkface_lite.networks import thin_plate
from talkface_lite.networks.thin_plate import (
    WINDOW,
    below_the_lips,
    control_points,
    displacement,
    inner_mouth,
    region,
    thin_plates,
    unlearned_warp,
    warp,
)

torch.set_num_threads(1)
UPPER_LIP, LOWER_LIP = (49, 50, 51, 52, 53, 61, 62, 63), (55, 56, 57, 58, 59, 65, 66, 67)


@pytest.fixture(scope="module")
def clip():
    """A drawn clip: its landmarks are exact, and its lips touch and part."""
    return draw_clip(clip_seed(3, 1), text="no ma", still_head=True)


@pytest.fixture(scope="module")
def faces(clip):
    """The landmarks with closed lips ``(1, 68, 2)``, and those of all frames."""
    points = torch.from_numpy(clip.landmarks)
    return points[[int(lip_opening(points).argmin())]], points


def noise(seed=0):
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(seed))


def test_equal_landmarks_give_the_photograph_to_the_last_bit(clip, faces):
    photo, (closed, points) = noise(), faces
    crossed = closed.clone()
    crossed[:, 61:64, 1] += 1.5  # as detectors see thin lips: the upper below the lower
    for example in (closed, crossed, points[[int(lip_opening(points).argmax())]]):
        flow = displacement(example, example.expand(3, -1, -1)).flow
        assert not flow.any()
        assert torch.equal(warp(photo, flow), photo[..., *WINDOW].expand(3, -1, -1, -1))
    film = unlearned_warp(clip.frames[0], clip.landmarks[0], clip.landmarks[[0, 0]])
    assert (film == clip.frames[0]).all()


def test_each_plate_is_scipys_thin_plate_through_its_own_points(faces):
    closed, points = faces
    held, moves = control_points(closed.expand(4, -1, -1), points[:4])
    places = torch.tensor([[40.0, 90.0], [64.0, 100.0], [75.5, 110.25], [64.0, 84.0]])
    for plate, other in zip(thin_plates(held, moves, places), (LOWER_LIP, UPPER_LIP)):
        kept = [k for k in range(held.shape[1]) if k + MOUTH.start not in other]
        for n in range(4):
            # their kernel is r² log r, half of ours, and so is what smooths
            reference = RBFInterpolator(
                held[n, kept].double().numpy() / 16,
                moves[n, kept].double().numpy(),
                kernel="thin_plate_spline",
                smoothing=thin_plate.STIFFNESS / 2,
            )
            np.testing.assert_allclose(plate[n].numpy(), reference(places.double().numpy() / 16), atol=1e-3)


def test_the_points_of_the_photograph_come_to_the_points_of_the_frame(faces):
    closed, points = faces
    wide = points[[int(lip_opening(points).argmax())]]
    held, moves = control_points(closed, wide)
    assert moves.abs().max() > 3
    at_points = thin_plates(held, moves, held[0])[:, 0]  # (2, K, 2)
    for plate, other in zip(at_points, (LOWER_LIP, UPPER_LIP)):
        kept = [k for k in range(held.shape[1]) if k + MOUTH.start not in other]
        assert (plate[kept] - moves[0, kept]).abs().max() < 0.1
    # and in the picture: a dot on the lower lip is found where the frame has that point
    photo = torch.zeros(1, 1, 128, 128)
    x, y = closed[0, 57].tolist()
    rows, columns = torch.arange(128.0)[:, None], torch.arange(128.0)
    photo[0, 0] = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    moved = torch.zeros(128, 128)
    moved[*WINDOW] = warp(photo, displacement(closed, wide).flow)[0, 0]
    row, column = divmod(int(moved.argmax()), 128)
    found = torch.tensor([column, row])
    assert (found - wide[0, 57]).abs().max() < 1.0
    assert (closed[0, 57] - wide[0, 57]).abs().max() > 3


def test_smaller_maps_move_by_the_mean_over_their_pixels(faces):
    """A map that holds the place of each of its cells tells where it was taken from."""
    closed, points = faces
    flow = displacement(closed, points[-3:]).flow
    places = 4 * torch.arange(32.0) + 1.5  # middles of its cells, pixels
    maps = torch.stack((places.expand(32, 32), places[:, None].expand(32, 32)))[None]
    rows, columns = (slice(s.start // 4, s.stop // 4) for s in WINDOW)
    expected = maps[..., rows, columns] + torch.nn.functional.avg_pool2d(flow, 4)
    torch.testing.assert_close(warp(maps, flow), expected.clamp(max=125.5), atol=1e-3, rtol=0)
    assert flow.abs().max() > 2


def test_nothing_moves_outside_the_region(clip, faces):
    closed, points = faces
    moved = displacement(closed, points)
    assert moved.region.min() == 0
    assert moved.region.max() == 1
    outside = (moved.region == 0).expand_as(moved.flow)
    assert not moved.flow[outside].any()
    for edge in (moved.flow[..., 0, :], moved.flow[..., 0], moved.flow[..., -1]):
        assert not edge.any()
    film = unlearned_warp(clip.frames[0], clip.landmarks[0], clip.landmarks)
    changed = (film != clip.frames[0]).any(axis=(0, 3))
    assert not changed[: int(clip.landmarks[0, 31:36, 1].min())].any()
    inside = np.zeros((128, 128), bool)
    inside[*WINDOW] = True
    assert not changed[~inside].any()
    assert changed.sum() > 400


def test_the_region_holds_mouth_and_chin_and_neither_nose_nor_ears(faces):
    closed, points = faces
    wide = points[[int(lip_opening(points).argmax())]]
    shown = torch.nn.functional.interpolate(region(closed, wide), scale_factor=2)[0, 0]
    whole = torch.zeros(128, 128)
    whole[*WINDOW] = shown

    def at(landmark, dx=0, dy=0):
        x, y = (round(float(v)) for v in landmark)
        return float(whole[min(y + dy, 127), x + dx])

    for face in (closed[0], wide[0]):
        assert all(at(face[k]) > 0.99 for k in (*range(54, 60), *range(60, 68), 7, 8, 9))
    assert all(at(closed[0, k], dy=-3) == 0 for k in (31, 33, 35))
    assert at(wide[0, 4], dx=-12) == 0
    assert at(wide[0, 12], dx=12) == 0


@pytest.mark.parametrize("gap", [-1.0, 0.0, 0.4])
def test_a_mouth_that_closes_from_an_open_photograph_does_not_fold(faces, gap):
    """Down the middle of the face the place in the photograph only ever goes down, and leaps at the lips."""
    _, points = faces
    wide = points[[int(lip_opening(points).argmax())]]
    shut = wide.clone()
    middle = (wide[:, 61:64, 1] + wide[:, [67, 66, 65], 1]) / 2
    lift = wide[:, [67, 66, 65], 1] - middle - gap / 2
    shut[:, 61:64, 1] = middle - gap / 2
    shut[:, [67, 66, 65], 1] = middle + gap / 2
    shut[:, 56:59, 1] -= lift
    shut[:, 50:53, 1] += lift
    flow = displacement(wide, shut).flow[0]
    source = flow[1, :, 56] + torch.arange(float(flow.shape[1]))
    steps = source.diff()
    assert steps.min() > -0.05
    opening = float(lip_opening(wide)[0])
    assert opening > 5
    assert steps.max() > 0.6 * opening
    assert (steps > 2).sum() <= 2  # within a pixel


def test_from_one_lip_to_the_other(faces):
    _, points = faces
    wide = points[[int(lip_opening(points).argmax())]]
    share = torch.zeros(128, 128)
    share[*WINDOW] = below_the_lips(wide)[0, 0]
    (x, top), bottom = wide[0, 62].tolist(), float(wide[0, 66, 1])
    column = share[:, round(x)]
    assert column[round(top) - 1] == 0
    assert column[round(bottom) + 1] == 1
    assert column[round((top + bottom) / 2)] == pytest.approx(0.5, abs=0.1)


def test_gradients_reach_photograph_and_points(faces):
    closed, points = faces
    photo, wide = noise().requires_grad_(), points[[5]].clone().requires_grad_()
    smooth = torch.nn.functional.avg_pool2d(photo, 9, stride=1, padding=4)
    loss = (warp(smooth, displacement(closed, wide).flow) * torch.linspace(0, 1, 112)).sum()
    loss.backward()
    assert photo.grad.abs().sum() > 0
    step = torch.zeros_like(wide)
    step[0, 57] = torch.tensor([0.01, 0.02])
    with torch.no_grad():
        ends = [
            (warp(smooth, displacement(closed, wide + sign * step).flow) * torch.linspace(0, 1, 112)).sum()
            for sign in (1, -1)
        ]
    expected = float(ends[0] - ends[1]) / 2
    assert float((wide.grad * step).sum()) == pytest.approx(expected, rel=0.1, abs=2e-3)


def test_each_frame_by_itself_and_each_film_from_its_own_photograph(faces):
    closed, points = faces
    both = torch.cat((noise(1), noise(2)))
    flow = displacement(closed, points[:6]).flow
    together = warp(both, flow)
    torch.testing.assert_close(together[4], warp(both[1:], flow[4:5])[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(together[2], warp(both[:1], flow[2:3])[0], atol=1e-6, rtol=0)
    alone = displacement(closed, points[4:5]).flow
    torch.testing.assert_close(flow[4], alone[0], atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(displacement(closed, points[:6]).flow, flow, atol=1e-4, rtol=0)


def test_the_inside_of_the_mouth_is_its_polygon(faces):
    _, points = faces
    wide = int(lip_opening(points).argmax())
    ring = points[wide, 60:68].double().numpy()
    x, y = ring.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    mask = inner_mouth(points.numpy())
    assert mask.shape == (len(points), 128, 128)
    assert mask[wide].sum() == pytest.approx(area, rel=0.12)
    centre = ring.mean(axis=0).round().astype(int)
    assert mask[wide, centre[1], centre[0]] == 1
    crossed = points.numpy().copy()
    crossed[:, 61:64, 1], crossed[:, [67, 66, 65], 1] = 101.0, 100.0
    crossed[:, [60, 64], 1] = 101.0
    assert inner_mouth(crossed).sum(axis=(1, 2)).max() < 20


def test_what_opens_is_dark_and_what_was_open_stays(clip, faces):
    _, points = faces
    shut, wide = int(lip_opening(points).argmin()), int(lip_opening(points).argmax())
    centre = clip.landmarks[wide, 60:68].mean(axis=0).round().astype(int)[::-1]
    opened = unlearned_warp(clip.frames[shut], clip.landmarks[shut], clip.landmarks[[wide]])[0]
    assert np.abs(opened[*centre] - np.array(thin_plate.DARK)).max() < 8
    assert opened[*centre].sum() < clip.frames[shut][*centre].sum() - 30
    kept = unlearned_warp(clip.frames[wide], clip.landmarks[wide], clip.landmarks[[wide]])[0]
    assert (kept == clip.frames[wide]).all()


def test_wrong_inputs(clip):
    with pytest.raises(InputError, match="photo: got float32"):
        unlearned_warp(clip.frames[0].astype(np.float32), clip.landmarks[0], clip.landmarks)
    with pytest.raises(InputError, match=r"example: got shape \(67, 2\)"):
        unlearned_warp(clip.frames[0], clip.landmarks[0, 1:], clip.landmarks)
    with pytest.raises(InputError, match="landmarks"):
        unlearned_warp(clip.frames[0], clip.landmarks[0], clip.landmarks[0])


def test_a_face_that_is_one_spot_is_one_line(clip):
    spot = np.full_like(clip.landmarks, 64)
    with pytest.raises(InputError, match="landmarks: got points on one spot or line, expected a face"):
        unlearned_warp(clip.frames[0], spot[0], spot)
