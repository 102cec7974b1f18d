"""A photograph of a whole head that is moved to other landmarks."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from talkface_lite.corpus.synthesis import draw_clip
from talkface_lite.framing import in_frame
from talkface_lite.landmarks import apply_transform, lip_opening, similarity_transform
from talkface_lite.networks import head_warp
from talkface_lite.networks.head_warp import CROWN, EARS, crown, head_displacement, held_points, moved
from talkface_lite.networks.thin_plate import thin_plates

torch.set_num_threads(1)
LIDS = [37, 38, 40, 41, 43, 44, 46, 47]
TOPS = [0, 1, 2, 14, 15, 16]


@pytest.fixture(scope="module")
def clip():
    """Someone who turns the head, cut once for the whole clip."""
    return in_frame(draw_clip(25, view="camera"), "head", 128)


@pytest.fixture(scope="module")
def points(clip):
    return torch.from_numpy(clip.landmarks)


@pytest.fixture(scope="module")
def far(points):
    """The frame that is farthest from the first, and its neighbours."""
    k = int((points - points[:1]).norm(dim=-1).mean(dim=-1).argmax())
    return points[[k - 2, k - 1, k]]


def picture(clip, k=0):
    return torch.from_numpy(clip.frames[k]).movedim(-1, 0)[None].float()


def test_the_plates_over_the_frame_pixel_by_pixel(points, far):
    """Without a grid, and with the passage between lips and the fade to the border written out."""
    example = points[:1].expand(3, -1, -1)
    got = head_displacement(points[:1], far)
    assert got.shape == (3, 2, 128, 128)
    assert got.dtype == torch.float32
    places = torch.stack(torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="xy"), dim=-1)
    upper, lower = thin_plates(*held_points(example, far), places.view(-1, 2)).mT.view(2, 3, 2, 128, 128)
    border = torch.arange(128.0)
    t = (torch.minimum(border, 127 - border) / 12).clamp(max=1)
    fade = 3 * t**2 - 2 * t**3
    for n in range(3):
        face = far[n]
        above = int(face[49:54, 1].min()) - 6
        below = int(face[55:60, 1].max()) + 6
        for rows, plate in ((slice(0, above), upper), (slice(below, 128), lower)):
            wanted = (plate[n] * fade * fade[:, None])[:, rows, 50:78]
            difference = (got[n][:, rows, 50:78] - wanted).abs()
            assert difference.max() < 0.25
            assert difference.mean() < 0.02
    assert head_warp._cells(far.device)[:2].tolist() == [[1.5, 1.5], [5.5, 1.5]]
    difference = (upper - lower).norm(dim=1)
    assert difference[:, 80:95, 55:73].max() > 1  # the plates are not the same
    assert got.abs().max() > 5


def test_the_passage_from_one_plate_to_the_other_is_between_the_lips(points):
    wide = points[[int(lip_opening(points).argmax())]]
    shut = points[[int(lip_opening(points).argmin())]]
    flow = head_displacement(shut, wide)[0, 1]
    x = round(float(wide[0, 62, 0]))
    top, bottom = float(wide[0, 62, 1]), float(wide[0, 66, 1])
    assert bottom - top > 3
    # the upper lip comes from the upper lip, the lower from the lower
    assert flow[int(top) - 1, x] == pytest.approx(float(shut[0, 62, 1] - wide[0, 62, 1]), abs=0.5)
    assert flow[int(bottom) + 2, x] == pytest.approx(float(shut[0, 66, 1] - wide[0, 66, 1]), abs=0.5)


@pytest.mark.parametrize("side", [128, 256])
def test_a_head_that_moves_as_a_whole_is_taken_from_where_it_was(points, side):
    """In pixels of the pictures: twice as many where these are twice as large."""
    flow = head_displacement(points[:1], points[:1] + torch.tensor([3.0, -2.0]), side)[0] * 128 / side
    inside = flow[:, 40 * side // 128 : 100 * side // 128, 48 * side // 128 : 80 * side // 128]
    expected = torch.tensor([-3.0, 2.0])[:, None, None].expand_as(inside)
    torch.testing.assert_close(inside, expected, atol=0.35, rtol=0)
    torch.testing.assert_close(inside.mean(dim=(1, 2)), expected[:, 0, 0], atol=0.05, rtol=0)


def test_larger_pictures_move_alike(points, far):
    small, large = (head_displacement(points[:1], far, side) for side in (128, 256))
    difference = F.avg_pool2d(large, 2) / 2 - small
    assert difference.abs().mean() < 0.01
    assert difference.abs().max() < 1.0  # between lips one plate leaps to the other
    assert difference[..., :78, :].abs().max() < 0.12


def test_nothing_moves_at_the_border_nor_where_landmarks_are_the_examples(points, far):
    for side in (64, 128, 256):
        flow = head_displacement(points[:1], torch.cat((far[:1], points[:1], far[2:])), side)
        for edge in (flow[..., 0], flow[..., -1], flow[..., 0, :], flow[..., -1, :]):
            assert not edge.any()
        assert not flow[1].any()
        assert flow[0].any()
        assert flow[2, :, 1:-1, 1:-1].ne(0).float().mean() > 0.99
        # and it comes to that smoothly
        step = torch.cat((flow.diff(dim=2)[:, :, :3].flatten(), flow.diff(dim=3)[..., -3:].flatten()))
        assert step.abs().max() < 0.3


def test_what_holds_the_plates(points, far):
    example = points[:1].expand(3, -1, -1)
    held, moves = held_points(example, far)
    assert held.shape == moves.shape == (3, 81, 2)
    kept = [k for k in range(48) if k not in LIDS]
    assert torch.equal(held[:, :20], far[:, 48:])
    assert torch.equal(held[:, 20:60], far[:, kept])
    torch.testing.assert_close(held[:, 60:65], crown(far))
    torch.testing.assert_close((held + moves)[:, :20], example[:, 48:])
    torch.testing.assert_close((held + moves)[:, 20:60], example[:, kept])
    torch.testing.assert_close((held + moves)[:, 60:65], crown(example), atol=1e-4, rtol=0)
    assert not moves[:, 65:].any()
    steps = (0.0, 31.75, 63.5, 95.25, 127.0)
    border = {(x, y) for x in steps for y in steps if x in (0, 127) or y in (0, 127)}
    assert {tuple(place) for place in held[1, 65:].tolist()} == border


def test_the_crown_goes_by_the_similarity_of_the_upper_jaw(points, far):
    for face in (points[0], far[2]):
        matrix = similarity_transform(np.array(EARS), face[TOPS].double().numpy())
        expected = apply_transform(np.array(CROWN), matrix)
        np.testing.assert_allclose(crown(face[None])[0].numpy(), expected, atol=1e-4)
    turned = points[:1].clone()
    turned[:, 3:14] += 9  # brows, nose, eyes, chin run ahead
    turned[:, 17:] += 9
    torch.testing.assert_close(crown(turned), crown(points[:1]))


def test_ears_and_crown_lie_where_people_have_them():
    """Mirrored about the middle, and as the drawn people's, within two pixels."""
    for places in (EARS, CROWN):
        mirrored = [(128 - x, y) for x, y in reversed(places)]
        assert list(places) == mirrored
    clips = [in_frame(draw_clip(seed, view="camera", paint=False), "head") for seed in (3, 25, 57, 101)]
    mean = np.mean([clip.landmarks[:, TOPS].mean(axis=0) for clip in clips], axis=0)
    assert np.abs(mean - EARS).max() < 2
    assert CROWN[0] == (41, 41)
    assert CROWN[1] == (49, 29)
    assert CROWN[2] == (64, 24)


def test_lids_hold_nothing(points, far):
    """A plate that shuts an eye would drag the brow over it."""
    shut = far.clone()
    shut[:, LIDS, 1] += 3
    assert torch.equal(head_displacement(points[:1], shut), head_displacement(points[:1], far))


def test_the_moved_photograph_is_nearer_to_the_frame_and_does_not_fold(clip, points):
    frames = list(range(5, len(points), 9))
    flow = head_displacement(points[:1], points[frames])
    true = torch.cat([picture(clip, k) for k in frames])
    before = (picture(clip) - true).square().mean()
    after = (moved(picture(clip), flow) - true).square().mean()
    assert 10 * (before / after).log10() > 4
    source = flow + torch.stack(torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="xy"))
    dx, dy = source.diff(dim=3)[:, :, :-1], source.diff(dim=2)[..., :-1]
    area = dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
    mouth = points[frames][:, 48:68]
    area[:, int(mouth[..., 1].min()) : int(mouth[..., 1].max()) + 1] = 1
    assert area.min() > 0.2


def test_each_frame_by_itself_in_full_precision(points, far):
    example = torch.cat((points[:1], points[40:41], points[20:21]))
    flow = head_displacement(example, far)
    order = [2, 0, 1]
    torch.testing.assert_close(head_displacement(example[order], far[order]), flow[order], atol=1e-4, rtol=0)
    one = head_displacement(points[:1], far)
    torch.testing.assert_close(one, head_displacement(points[:1].expand(3, -1, -1), far), atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(head_displacement(points[:1], far), one, atol=1e-4, rtol=0)
    rounded = head_displacement(points[:1].double(), far.double())
    assert rounded.dtype == torch.float32


def test_points_get_a_gradient_also_after_films_were_made(points, far):
    for once in ("_similarity", "_axis", "_cells", "_border", "_enlarging", "_shown"):
        getattr(head_warp, once).cache_clear()
    with torch.inference_mode():
        head_displacement(points[:1], far)
    wanted = far[:1].clone().requires_grad_()
    weights = torch.linspace(0, 1, 128)
    (head_displacement(points[:1], wanted) * weights).sum().backward()
    step = torch.zeros_like(wanted)
    step[0, 8] = torch.tensor([0.05, 0.02])
    with torch.no_grad():
        ends = [(head_displacement(points[:1], far[:1] + s * step) * weights).sum() for s in (1, -1)]
    assert float((wanted.grad * step).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2, rel=0.05)


def test_moved_maps_are_looked_up_at_the_flow():
    maps = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(6, 2, 8, 8)
    flow[1, 0], flow[4, 1] = 1.0, -2.0
    got = moved(maps, flow)
    assert got.shape == (6, 3, 8, 8)
    for still, photo in ((0, 0), (2, 0), (3, 1), (5, 1)):
        assert torch.equal(got[still], maps[photo])
    torch.testing.assert_close(got[1, :, :, :-1], maps[0, :, :, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(got[4, :, 2:], maps[1, :, :-2], atol=1e-5, rtol=0)
    flow[0, 1, 2, 3] = 0.5  # one place alone
    once = moved(maps, flow)[0]
    torch.testing.assert_close(once[:, 2, 3], (maps[0, :, 2, 3] + maps[0, :, 3, 3]) / 2, atol=1e-5, rtol=0)
    once[:, 2, 3] = maps[0, :, 2, 3]
    assert torch.equal(once, maps[0])


def test_smaller_maps_move_by_the_mean_over_their_pixels():
    places = torch.arange(16.0)
    maps = torch.stack((places.expand(16, 16), places[:, None].expand(16, 16)))[None]
    flow = 4 * torch.rand(2, 2, 64, 64, generator=torch.Generator().manual_seed(0)) + 2
    expected = (maps + F.avg_pool2d(flow, 4) / 4).clamp(max=15)
    got = moved(maps.bfloat16(), flow)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_points_that_lie_on_each_other_do_no_harm(points):
    """The border of the frame holds the plates even where a face is one spot."""
    flow = head_displacement(points[:1], torch.full_like(points[:1], 64.0))
    assert flow.isfinite().all()
    assert not flow[..., 0].any()


def test_it_is_computed_where_the_points_are(points):
    on_meta = head_displacement(points[:1].to("meta"), points[:3].to("meta"), 256)
    assert on_meta.device.type == "meta"
    assert on_meta.shape == (3, 2, 256, 256)
