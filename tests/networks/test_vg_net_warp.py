"""VG-net that paints on a photograph moved by thin plates (ours)."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_VG_NET

from talkface_lite.corpus.synthesis import clip_seed, draw_clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import MOUTH, lip_opening, normalise
from talkface_lite.networks import thin_plate
from talkface_lite.networks.fast import for_inference
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.thin_plate import WINDOW, displacement, unlike_gap, unrest, warp
from talkface_lite.networks.vg_net import VGNet, VGNetConfig

torch.set_num_threads(1)


def make(seed=0, **changes):
    """Random weights whose colours have contrast and whose α is neither 0 nor 1."""
    torch.manual_seed(seed)
    network = VGNet(replace(SMALL_VG_NET, warp=True, **changes))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
    torch.nn.init.normal_(network.colour[0].weight, 0, 0.3)
    torch.nn.init.normal_(network.alpha[0].weight, 0, 0.3)
    network.standardise(0.3 * torch.randn(136), torch.linspace(0.5, 2, 136))
    return network.eval()


@pytest.fixture(scope="module")
def clip():
    return draw_clip(clip_seed(3, 1), text="no ma", still_head=True)


@pytest.fixture(scope="module")
def scene(clip):
    """Photograph with closed lips, its landmarks, those of six frames; two films of it."""
    points = torch.from_numpy(clip.landmarks)
    order = lip_opening(points).argsort().tolist()
    shown, frames = order[0], [order[i] for i in (0, len(order) // 4, len(order) // 2, -3, -2, -1)]
    photo = torch.from_numpy(clip.frames[shown]).movedim(-1, 0).float() / 127.5 - 1
    flat = normalise(points).flatten(1)
    return torch.stack((photo, photo.flip(0))), flat[[shown, shown]], torch.stack((flat[frames],) * 2)


@torch.no_grad()
def film(network, *arguments):
    return network(*arguments)[0]


def pixels(flat):
    return (64 * flat + 64).unflatten(-1, (68, 2))


def test_a_frame_is_paint_on_the_moved_photograph(scene):
    photo, example, landmarks = scene
    made = film(make(), *scene)
    assert made.frames.shape == made.colour.shape == (2, 6, 3, 128, 128)
    assert made.alpha.shape == (2, 6, 1, 128, 128)
    assert made.flow.shape == (2, 6, 2, 128, 128)
    flow = displacement(pixels(example).repeat_interleave(6, dim=0), pixels(landmarks).flatten(0, 1)).flow
    torch.testing.assert_close(made.flow.flatten(0, 1)[..., *WINDOW], flow)
    moved = photo[:, None].expand(-1, 6, -1, -1, -1).clone()
    moved[..., *WINDOW] = warp(photo, flow).unflatten(0, (2, 6))
    expected = made.alpha * made.colour + (1 - made.alpha) * moved
    torch.testing.assert_close(made.frames, expected, atol=1e-5, rtol=0)
    assert (made.frames - moved).abs().max() > 0.1
    assert (moved - photo[:, None]).abs().max() > 0.1


def test_without_paint_it_is_the_moved_photograph(scene):
    """Colours are differences to it: of a head that says nothing none is left, whatever α is."""
    photo, example, landmarks = scene
    network = make()
    torch.nn.init.zeros_(network.colour[0].weight)
    torch.nn.init.zeros_(network.colour[0].bias)
    made = film(network, *scene)
    flow = displacement(pixels(example).repeat_interleave(6, dim=0), pixels(landmarks).flatten(0, 1)).flow
    moved = warp(photo, flow).unflatten(0, (2, 6))
    torch.testing.assert_close(made.frames[..., *WINDOW], moved, atol=1e-6, rtol=0)
    assert made.alpha.max() > 0.5
    torch.nn.init.constant_(network.colour[0].bias, 0.2)
    lighter = film(network, *scene).colour[..., *WINDOW]
    torch.testing.assert_close(lighter, (moved + torch.tensor(0.2).tanh()).clamp(max=1), atol=1e-6, rtol=0)


def test_the_photographs_features_move_along(scene):
    """Eq. 7 with i′_p moved by the same flow, and the window of the memory alone."""
    network, seen = make(), []
    network.decode.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    memory = []
    network.decode_middle.register_forward_hook(lambda *step: memory.append(step[2]))
    made, look = film(network, *scene), network.look(*scene[:2])
    rows, columns = (slice(s.start // 4, s.stop // 4) for s in WINDOW)
    att = made.attention.flatten(0, 1)[..., rows, columns]
    middle = warp(look.middle, made.flow.flatten(0, 1)[..., *WINDOW])
    expected = memory[0][..., rows, columns] * att + middle * (1 - att)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=0)
    still = look.middle.repeat_interleave(6, dim=0)[..., rows, columns]
    assert (middle - still).abs().max() > 0.05


def test_where_the_lips_lie_as_in_the_photograph_the_film_is_the_photograph(scene):
    photo, example, landmarks = scene
    made = film(make(), photo, example, example[:, None].expand(-1, 3, -1))
    assert torch.equal(made.frames, photo[:, None].expand_as(made.frames))
    assert not made.alpha.any()
    # a tenth of a pixel of tremor is not seen; the network itself would paint
    tremor = landmarks[:, :1] + 0.1 / 64 / 2**0.5 * torch.randn(
        2, 4, 136, generator=torch.Generator().manual_seed(0)
    )
    near = film(make(), photo, example, tremor)
    assert 0 < near.alpha.max() < 0.2
    assert film(make(), *scene).alpha[:, -1].max() > 0.8


def test_rest_comes_and_goes_without_a_leap(scene):
    _, example, landmarks = scene
    start, end = pixels(example)[:1], pixels(landmarks)[:1, -1]
    way = torch.cat([start + t * (end - start) for t in torch.linspace(0, 1, 401)])
    shown = unrest(start, way)
    distance = (way - start)[:, MOUTH].norm(dim=-1).square().mean(-1).sqrt()
    torch.testing.assert_close(shown, distance**2 / (distance**2 + 0.25**2))
    assert shown[0] == 0
    assert shown[-1] > 0.99
    assert (shown.diff() >= 0).all()
    assert shown.diff().max() < 0.1


def test_nothing_outside_the_window_is_touched(scene):
    photo, _, _ = scene
    made = film(make(), *scene)
    outside = torch.ones(128, 128, dtype=torch.bool)
    outside[*WINDOW] = False
    assert torch.equal(made.frames[..., outside], photo[:, None].expand(-1, 6, -1, -1, -1)[..., outside])
    assert not made.alpha[..., outside].any()
    still = (made.alpha == 0) & (made.flow == 0).all(dim=2, keepdim=True)
    same = made.frames == photo[:, None]
    assert same[still.expand_as(same)].all()
    assert still[..., *WINDOW].float().mean() > 0.2


def test_between_lips_that_part_the_network_paints_alone(scene):
    photo, example, landmarks = scene
    network = make()
    torch.nn.init.constant_(network.alpha[0].bias, -100)
    torch.nn.init.zeros_(network.alpha[0].weight)
    made = film(network, *scene)
    points, own = pixels(landmarks)[0, -1:], pixels(example)[:1]
    x, y = points[0, [62, 66]].mean(0).round().int().tolist()
    assert made.alpha[0, -1, 0, y, x] > 0.9
    assert made.alpha[0, -1, 0, y - 12, x] == 0
    # from a photograph with that mouth there is nothing new between the lips
    open_wide = film(network, photo, landmarks[:, -1], landmarks[:, -1:] + 0.01)
    assert open_wide.alpha.max() < 0.05
    half = own.clone()
    gap = (points[:, [67, 66, 65], 1] - points[:, 61:64, 1]) / 2
    half[:, 60:68] = points[:, 60:68]
    half[:, [67, 66, 65], 1] = points[:, 61:64, 1] + gap
    share = unlike_gap(half, points)[0, 0, y - WINDOW[0].start, x - WINDOW[1].start]
    assert share == pytest.approx(0.5, abs=0.05)


def test_where_an_open_mouth_closes_its_inside_is_painted_over(scene):
    """Teeth that were between the lips are in the line where these meet; drawn over, a pixel around."""
    photo, example, landmarks = scene
    network = make()
    torch.nn.init.constant_(network.alpha[0].bias, -100)
    torch.nn.init.zeros_(network.alpha[0].weight)
    made = film(network, photo, landmarks[:, -1], example[:, None])
    shut = pixels(example)[0]
    x, y = shut[[62, 66]].mean(0).round().int().tolist()
    assert made.alpha[0, 0, 0, y - 1 : y + 2, x].max() > 0.8
    column = made.alpha[0, 0, 0, :, x]
    assert 1 < column.sum() < 4
    assert not made.alpha[0, 0, 0, :, : int(shut[60, 0]) - 4].any()


def test_changing_one_frame_moves_no_earlier_frame_and_no_other_film(scene):
    network = make()
    photo, example, landmarks = scene
    changed = landmarks.clone()
    changed[0, 2, 96:] += 0.05
    before, after = film(network, *scene), film(network, photo, example, changed)
    moved = (before.frames != after.frames).flatten(2).any(-1)
    assert moved.tolist() == [[False, False, True, True, True, True], 6 * [False]]
    # the first frame shows the photograph; what it remembers would show in the third
    assert not moved[0, 0]


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("fast", [False, True])
def test_in_chunks_as_at_once(scene, chunk, fast):
    network = for_inference(make(), "32") if fast else make()
    photo, example, landmarks = scene
    with torch.inference_mode():
        whole, _ = network(*scene)
        seen, state, parts = network.look(photo, example), None, []
        for start in range(0, 6, chunk):
            made, state = network(seen, None, landmarks[:, start : start + chunk], state)
            parts.append(made)
    for name in whole._fields:
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-4, rtol=0, msg=name)


def test_the_copy_for_inference_in_bfloat16_is_close(scene):
    network = make()
    expected, ours = film(network, *scene), film(for_inference(network, "bf16"), *scene)
    assert all(maps.dtype == torch.float32 for maps in ours)
    torch.testing.assert_close(ours.flow, expected.flow, atol=1e-4, rtol=0)
    assert (ours.frames - expected.frames).square().mean() < 1e-4
    still = film(for_inference(network, "bf16"), scene[0], scene[1], scene[1][:, None])
    assert torch.equal(still.frames, scene[0][:, None])


def test_every_parameter_learns_and_points_get_a_gradient(scene):
    network = make().train()
    photo, example, _ = scene
    landmarks = scene[2][:, 3:].clone().requires_grad_()
    made, _ = network(photo, example, landmarks)
    made.frames.square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
    assert landmarks.grad.abs().sum() > 0


def test_what_is_computed_once_for_films_serves_training_too(scene):
    """Tensors that inference mode makes cannot be saved for a gradient."""
    for once in (thin_plate._axes, thin_plate._cells, thin_plate._directions, thin_plate._holds):
        once.cache_clear()
    with torch.inference_mode():
        make()(*scene)
    landmarks = scene[2][:, 3:].clone().requires_grad_()
    make().train()(*scene[:2], landmarks)[0].frames.sum().backward()
    assert landmarks.grad.isfinite().all()


def test_under_autocast_the_photograph_keeps_its_levels(scene):
    network = make()
    expected = film(network, *scene)
    with torch.autocast("cpu", torch.bfloat16):
        made = film(network, *scene)
    assert all(maps.dtype == torch.float32 for maps in made)
    torch.testing.assert_close(made.flow, expected.flow)
    torch.testing.assert_close(made.frames, expected.frames, atol=0.1, rtol=0)


def test_sizes_and_what_cannot_be():
    with torch.device("meta"):
        lite, paper = (VGNet(VGNetConfig.lite(warp=warp)) for warp in (True, False))
        assert count_parameters(lite) < 0.7 * count_parameters(paper)
        full = VGNet(VGNetConfig.full(warp=True))
        assert count_parameters(full) > count_parameters(VGNet(VGNetConfig.full()))
    assert VGNetConfig.lite(warp=True, blocks=5).blocks == 5
    assert not any(name.startswith("refine") for name in paper.state_dict())
    with pytest.raises(InputError, match="pixel_attention: got off, with a warp"):
        VGNetConfig.lite(warp=True, pixel_attention=False)
