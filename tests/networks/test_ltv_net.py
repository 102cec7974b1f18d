"""LTV net: layer by layer the plain way, with and without attention and warp."""

from itertools import pairwise, product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks.head_warp import head_displacement, moved
from talkface_lite.networks.landmark_drawing import drawn
from talkface_lite.networks.layers import Dropout, count_parameters, looked_up
from talkface_lite.networks.ltv_net import LevelEncoder, LTVNet, LTVNetConfig, UpOfStack, times_each

torch.set_num_threads(1)

WIDTHS = (3, 4, 5, 6, 7)  # at 128 pixels: 64, 32, 16, 8, 4
BOTH = list(product((True, False), (False, True)))


def settled(network):
    """With running means and deviations that are not 0 and 1."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return network.eval()


def make(attention=True, warp=False, **changes):
    torch.manual_seed(0)
    fields = {"widths": WIDTHS, "attention": attention, "warp": warp, "dropout": 0.0}
    return settled(LTVNet(LTVNetConfig(**(fields | changes))))


def head(n, seed=0):
    """Landmarks that a head could have: a ring for the jaw, clusters for the rest."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.linspace(0, torch.pi, 17)
    face = torch.zeros(68, 2)
    face[:17] = torch.stack((64 - 28 * angle.cos(), 58 + 46 * angle.sin()), dim=-1)
    face[17:27] = torch.stack((torch.linspace(42, 86, 10), torch.full((10,), 50.0)), dim=-1)
    face[27:36] = torch.stack((torch.linspace(60, 68, 9), torch.linspace(58, 78, 9)), dim=-1)
    face[36:48] = torch.stack((torch.linspace(45, 83, 12), 59 + torch.arange(12) % 3), dim=-1)
    turn = torch.linspace(-torch.pi, torch.pi, 13)[:-1]
    face[48:60] = torch.stack((64 + 11 * turn.cos(), 88 + 5 * turn.sin()), dim=-1)
    face[60:65] = torch.stack((torch.linspace(55, 73, 5), torch.full((5,), 87.0)), dim=-1)
    face[65:68] = torch.stack((torch.linspace(69, 59, 3), torch.full((3,), 89.0)), dim=-1)
    sway = 4 * torch.randn(n, 1, 2, generator=generator)
    return face + sway + 0.5 * torch.randn(n, 68, 2, generator=generator)


@pytest.fixture(scope="module")
def scene():
    """Two photographs, their landmarks, those of three frames each."""
    generator = torch.Generator().manual_seed(2)
    photo = F.interpolate(torch.rand(2, 3, 16, 16, generator=generator), scale_factor=8, mode="bilinear")
    return 2 * photo - 1, head(2), head(6, seed=1).unflatten(0, (2, 3))


@torch.no_grad()
def film(network, *arguments):
    return network(*arguments)


def same(made, expected, tolerance=1e-5):
    for name, ours, theirs in zip(made._fields, made, expected):
        if theirs is None:
            assert ours is None, name
        else:
            torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0, msg=name)


def normed(x, norm):
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def down_by_hand(encoder, x):
    maps = []
    for k, level in enumerate(encoder.levels):
        x = F.conv2d(x, level[0].weight, level[0].bias, stride=2, padding=1)
        if k:
            x = normed(x, level[1])
        x = torch.where(x > 0, x, 0.2 * x)
        maps.append(x)
    return maps


def each(per_photo):
    """Of two photographs for three frames each."""
    return per_photo.repeat_interleave(3, dim=0)


@torch.no_grad()
def by_hand(network, photo, example, landmarks):
    """The last layer's output and the sigmoid of the first level, with nothing shared between frames."""
    config, points = network.config, landmarks.flatten(0, 1)
    face = down_by_hand(network.f_img, torch.cat((each(photo), drawn(each(example))), dim=1))
    shape = down_by_hand(network.f_landmarks, drawn(points))
    flow = head_displacement(each(example), points) if config.warp else None
    if config.warp:
        face = [moved(maps, flow) if maps.shape[-1] >= 8 else maps for maps in face]
    gates = None
    beside = shape
    if config.attention:
        ground = down_by_hand(network.f_background, each(photo))
        gates = [
            (torch.einsum("oi,nihw->nohw", conv.weight[..., 0, 0], maps) + conv.bias[:, None, None]).sigmoid()
            for conv, maps in zip(network.attention, shape)
        ]
        face = [maps * gate for maps, gate in zip(face, gates)]
        beside = [maps * (1 - gate) for maps, gate in zip(ground, gates)]
    x = torch.cat((face[-1], beside[-1]), dim=1)
    for k, up in enumerate(network.up):
        x = F.conv_transpose2d(x, up[0].weight, stride=2, padding=1)
        x = normed(x, up[1]).clamp(min=0)
        x = torch.cat((x, face[-2 - k], beside[-2 - k]), dim=1)
    x = F.conv_transpose2d(x, network.last.weight, network.last.bias, stride=2, padding=1)
    return x, gates, flow


@pytest.mark.parametrize("attention", [True, False])
def test_the_paper_by_hand(scene, attention):
    """Eq. 9 at every level, the ground by 1 - A, and a U-Net around them."""
    network = make(attention)
    made = film(network, *scene)
    x, gates, _ = by_hand(network, *scene)
    expected = x.tanh().unflatten(0, (2, 3))
    assert made.frames.shape == (2, 3, 3, 128, 128)
    assert made.alpha is None
    assert made.flow is None
    torch.testing.assert_close(made.frames, expected, atol=1e-5, rtol=0)
    assert made.colour is made.frames or torch.equal(made.colour, made.frames)
    assert expected.std() > 0.02
    if attention:
        mean = gates[0].mean(dim=1, keepdim=True).unflatten(0, (2, 3))
        torch.testing.assert_close(made.attention, mean, atol=1e-6, rtol=0)
        assert made.attention.shape == (2, 3, 1, 64, 64)
        assert 0 < made.attention.min() < made.attention.max() < 1
    else:
        assert made.attention is None


@pytest.mark.parametrize("attention", [True, False])
def test_ours_by_hand(scene, attention):
    """Maps of the face moved down to 8×8, and a frame that is paint on the moved photograph."""
    network = make(attention, warp=True)
    nn.init.normal_(network.last.weight, 0, 0.4)
    made = film(network, *scene)
    x, _, head_flow = by_hand(network, *scene)
    colour, alpha, flow = x[:, :3].tanh(), x[:, 3:4].sigmoid(), head_flow + 4 * x[:, 4:]
    frames = alpha * colour + (1 - alpha) * looked_up(scene[0], flow)
    for ours, theirs in zip(made, (frames, colour, alpha, flow)):
        torch.testing.assert_close(ours, theirs.unflatten(0, (2, 3)), atol=2e-4, rtol=0)
    assert made.alpha.shape == (2, 3, 1, 128, 128)
    assert made.flow.shape == (2, 3, 2, 128, 128)
    assert made.alpha.std() > 0.02
    assert (made.attention is None) != attention


def test_it_begins_with_the_moved_photograph(scene):
    network = make(warp=True)
    plain = make()
    assert network.last.bias[3:].tolist() == [-2, 0, 0]
    assert network.last.bias[:3].abs().min() > 0
    largest = network.last.weight.detach().abs().amax(dim=(0, 2, 3))
    torch.testing.assert_close(largest[4:] / largest[:4].mean(), torch.tensor([0.1, 0.1]), atol=0.02, rtol=0)
    assert largest[:4].min() > 0.8 * largest[:4].max()
    assert plain.last.weight.shape[1] == 3
    made = film(network, *scene)
    assert made.alpha.mean() == pytest.approx(0.12, abs=0.04)
    fine = made.flow.flatten(0, 1) - head_displacement(each(scene[1]), scene[2].flatten(0, 1))
    assert fine.abs().max() < 1


def test_where_landmarks_are_the_photographs_nothing_is_moved(scene):
    photo, example, _ = scene
    network = make(warp=True)
    with torch.no_grad():
        network.last.weight[:, 3:] = 0
        network.last.bias[3] = -100.0
    made = film(network, photo, example, example[:, None].expand(-1, 2, -1, -1))
    assert not made.flow.any()
    torch.testing.assert_close(made.frames, photo[:, None].expand(-1, 2, -1, -1, -1), atol=1e-5, rtol=0)
    moving = film(network, *scene).frames
    torch.testing.assert_close(
        moving, moved(photo, head_displacement(each(example), scene[2].flatten(0, 1))).unflatten(0, (2, 3))
    )
    assert (moving - photo[:, None]).abs().max() > 0.1


@pytest.mark.parametrize(("attention", "warp"), BOTH)
def test_a_frame_is_a_function_of_its_own_landmarks(scene, attention, warp):
    network = make(attention, warp)
    photo, example, landmarks = scene
    before = film(network, *scene)
    changed = landmarks.clone()
    changed[0, 1, 48:] += 2
    differs = (film(network, photo, example, changed).frames - before.frames).abs().flatten(2).amax(
        dim=-1
    ) > 1e-4
    assert differs.tolist() == [[False, True, False], [False, False, False]]
    alone = film(network, photo[1:], example[1:], landmarks[1:, 2:])
    same(alone, [m if m is None else m[1:, 2:] for m in before])
    backwards = film(network, photo.flip(0), example.flip(0), landmarks.flip(0))
    same(backwards, [m if m is None else m.flip(0) for m in before])


@pytest.mark.parametrize(("attention", "warp"), BOTH)
def test_looking_once_serves_every_film(scene, attention, warp):
    network = make(attention, warp)
    photo, example, landmarks = scene
    with torch.no_grad():
        seen = network.look(photo, example)
    assert [maps.shape for maps in seen.face] == [(2, w, 64 >> k, 64 >> k) for k, w in enumerate(WIDTHS)]
    assert len(seen.ground) == (len(WIDTHS) if attention else 0)
    assert seen.image is photo
    assert seen.points is example
    same(film(network, seen, None, landmarks), film(network, *scene))


@pytest.mark.parametrize(("attention", "warp"), BOTH)
def test_every_parameter_learns(scene, attention, warp):
    network = make(attention, warp, dropout=0.5).train()
    made = network(*scene)
    made.frames.square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_of_256_pixels_and_under_autocast():
    network = make(warp=True, side=256, widths=(2, 3, 4))
    photo = F.interpolate(torch.rand(1, 3, 16, 16), size=256, mode="bilinear")
    example, landmarks = head(1), head(2, seed=1)[None]
    made = film(network, photo, example, landmarks)
    assert made.frames.shape == made.colour.shape == (1, 2, 3, 256, 256)
    assert made.attention.shape == (1, 2, 1, 128, 128)
    with torch.no_grad():
        network.last.weight[:, 4:] = 0
        network.last.bias[4:] = torch.tensor([0.5, -1.0])
    flow = film(network, photo, example, landmarks).flow[0]
    expected = head_displacement(example, landmarks[0], 256) + torch.tensor([4.0, -8.0])[:, None, None]
    torch.testing.assert_close(flow, expected)  # 4 pixels of 128 are 8 of 256
    with torch.autocast("cpu", torch.bfloat16):
        rounded = film(network, photo, example, landmarks)
    assert all(maps.dtype == torch.float32 for maps in rounded)
    torch.testing.assert_close(rounded.flow[0], expected, atol=0.1, rtol=0)
    torch.testing.assert_close(
        rounded.frames, film(network, photo, example, landmarks).frames, atol=0.05, rtol=0
    )


@pytest.mark.parametrize("shared", [0, 1])
def test_the_shared_part_of_a_stack_apart(shared):
    torch.manual_seed(0)
    up = UpOfStack(5, 4, bias=True).double()
    parts = [torch.randn(6, n, 3, 3, dtype=torch.float64) for n in (2, 3)]
    torch.testing.assert_close(up(parts), nn.ConvTranspose2d.forward(up, torch.cat(parts, dim=1)))
    parts[shared] = parts[shared][[0, 3]]
    whole = [maps.repeat_interleave(6 // len(maps), dim=0) for maps in parts]
    expected = F.conv_transpose2d(torch.cat(whole, dim=1), up.weight, up.bias, stride=2, padding=1)
    torch.testing.assert_close(up(parts), expected)
    assert expected.shape == (6, 4, 6, 6)
    assert UpOfStack(5, 4).bias is None


def test_a_photographs_maps_times_those_of_its_frames():
    maps, shares = torch.randn(2, 3, 4, 4), torch.randn(6, 3, 4, 4)
    assert torch.equal(times_each(maps, shares), each(maps) * shares)
    assert torch.equal(times_each(shares, shares), shares * shares)


def test_the_encoders_layers():
    encoder = settled(LevelEncoder(3, WIDTHS))
    x = torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(encoder(x), down_by_hand(encoder, x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    kinds = [[type(layer) for layer in level] for level in encoder.levels]
    assert kinds[0] == [nn.Conv2d, nn.LeakyReLU]
    assert all(kind == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] for kind in kinds[1:])
    assert [level[0].bias is None for level in encoder.levels] == [False, True, True, True, True]


@pytest.mark.parametrize(("size", "side", "attention", "millions"), [
    ("full", 128, True, 63.563), ("full", 128, False, 51.540), ("full", 256, True, 88.996),
    ("lite", 128, True, 1.858), ("lite", 128, False, 1.489), ("lite", 256, True, 3.383),
])  # fmt: skip
def test_sizes(size, side, attention, millions):
    config = LTVNetConfig.of_size(size, side=side, attention=attention)
    with torch.device("meta"):
        network = LTVNet(config)
    assert count_parameters(network) / 1e6 == pytest.approx(millions, abs=1e-3)
    dropouts = [layer for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in dropouts] == (3 * [0.5] if size == "full" else [])
    assert [any(isinstance(x, Dropout) for x in up) for up in network.up][:4] == 3 * [size == "full"] + [
        False
    ]
    for up, (n_in, n_out) in zip(network.up, pairwise(reversed(config.widths)), strict=True):
        assert up[0].weight.shape[1:] == (n_out, 4, 4)
        assert up[0].weight.shape[0] == (2 if up is network.up[0] else 3) * n_in


def test_what_a_configuration_may_be():
    assert LTVNetConfig() == LTVNetConfig.full()
    assert LTVNetConfig.full(side=256).widths == (64, 128, 256, 512, 512, 512, 512)
    assert LTVNetConfig.lite().widths == (16, 32, 64, 96, 128)
    assert LTVNetConfig.lite(side=256).widths == (16, 32, 64, 96, 128, 128)
    assert LTVNetConfig.lite(side=256, widths=(2, 3), dropout=0.1).widths == (2, 3)
    assert LTVNetConfig(widths=6 * (2,)).widths == 6 * (2,)
    assert LTVNetConfig(side=256, widths=7 * (2,)).attention
    with pytest.raises(InputError, match="side: got 64, expected 128 or 256"):
        LTVNetConfig.lite(side=64)
    with pytest.raises(InputError, match="widths: got 7 levels, expected 2 to 6 at 128 pixels"):
        LTVNetConfig(widths=7 * (2,))
    with pytest.raises(InputError, match="widths: got 8 levels, expected 2 to 7 at 256 pixels"):
        LTVNetConfig(side=256, widths=8 * (2,))
    with pytest.raises(InputError, match="widths: got 1 levels"):
        LTVNetConfig(widths=(2,))


def test_wrong_inputs(scene):
    photo, example, landmarks = scene
    network = make()
    with pytest.raises(
        InputError, match=r"photo: got shape \(2, 3, 64, 64\), expected shape \(B, 3, 128, 128\)"
    ):
        network(photo[..., ::2, ::2], example, landmarks)
    with pytest.raises(InputError, match=r"photo: got shape \(3, 128, 128\)"):
        network(photo[0], example, landmarks)
    with pytest.raises(InputError, match=r"example: got shape \(1, 68, 2\), expected shape \(2, 68, 2\)"):
        network(photo, example[:1], landmarks)
    for wrong in (landmarks[:1], landmarks[:, 0], landmarks[..., 1:, :]):
        with pytest.raises(InputError, match=r"landmarks: got shape .*, expected shape \(2, T, 68, 2\)"):
            network(photo, example, wrong)
