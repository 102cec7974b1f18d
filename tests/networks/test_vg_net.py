from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_VG_NET
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks.conv_gru import ConvGRU
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.vg_net import VGNet, VGNetConfig

torch.set_num_threads(1)


def make(seed=0, **changes):
    """Random weights; normalisation of layers and landmarks that does something."""
    torch.manual_seed(seed)
    network = VGNet(replace(SMALL_VG_NET, **changes))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
            torch.nn.init.normal_(layer.weight, 1, 0.2)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
    network.standardise(0.3 * torch.randn(136), torch.linspace(0.5, 2, 136))
    return network.eval()


def inputs(n_batch=2, n_frames=4, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    photo = torch.rand(n_batch, 3, 128, 128, generator=generator, dtype=dtype) * 2 - 1
    example = torch.randn(n_batch, 136, generator=generator, dtype=dtype)
    return photo, example, torch.randn(n_batch, n_frames, 136, generator=generator, dtype=dtype)


@torch.no_grad()
def film(network, *arguments):
    return network(*arguments)[0]


def moved(before, after):
    """bool ``(B, T)``: frames in which any pixel changed."""
    return (before.frames != after.frames).flatten(2).any(-1)


@pytest.mark.parametrize(("size", "most"), [("full", 58_355_781), ("lite", 3_100_000)])
def test_parameter_counts(size, most):
    with torch.device("meta"):
        count = count_parameters(VGNet(VGNetConfig.of_size(size)))
    assert count == most if size == "full" else count < most


def test_full_has_the_released_shapes():
    """Shapes of the released checkpoint's convolutions, part by part; transposed ones have (in, out, ...)."""
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in VGNet(VGNetConfig.full()).named_parameters()}

    def of(part):
        return [s for name, s in shapes.items() if name.startswith(part + ".") and len(s) == 4]

    assert of("f_img_middle") == [(64, 3, 7, 7), (64, 64, 3, 3), (128, 64, 3, 3)]
    assert of("f_img") == [(256, 128, 3, 3), (512, 256, 3, 3)]
    assert shapes["f_lmark_map.0.weight"] == (64, 136)
    assert of("f_lmark_shape") + of("f_lmark") == [(256, 1, 3, 3), (512, 256, 3, 3)]
    assert of("attention") == [(512, 256, 3, 3), (256, 128, 3, 3), (1, 128, 3, 3)]
    assert of("fuse") == [(128, 1024, 3, 3)]
    assert of("conv_gru") == [(3 * 512, 128, 3, 3), (3 * 512, 512, 3, 3)]
    assert of("decode_middle") == 18 * [(512, 512, 3, 3)] + [(512, 256, 3, 3), (256, 128, 3, 3)]
    assert of("decode") == [(128, 64, 3, 3), (64, 32, 3, 3)]
    assert of("colour") + of("alpha") == [(3, 32, 7, 7), (1, 32, 7, 7)]


def test_shapes_ranges_and_state():
    network = make()
    photo, example, landmarks = inputs(n_batch=3, n_frames=2)
    with torch.no_grad():
        made, state = network(photo, example, landmarks)
    assert made.frames.shape == made.colour.shape == (3, 2, 3, 128, 128)
    assert made.alpha.shape == (3, 2, 1, 128, 128)
    assert made.attention.shape == (3, 2, 1, 32, 32)
    assert state.shape == (3, 8, 8, 8)
    assert made.frames.abs().max() <= 1
    assert made.colour.abs().max() <= 1
    for share in (made.alpha, made.attention):
        assert share.min() >= 0
        assert share.max() <= 1
        assert share.std() > 1e-4


def test_a_frame_is_paint_and_photograph_mixed_by_alpha():
    photo, example, landmarks = inputs(dtype=torch.float64)
    made = film(make().double(), photo, example, landmarks)
    expected = made.alpha * made.colour + (1 - made.alpha) * photo[:, None]
    torch.testing.assert_close(made.frames.double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("t", [0, 2, 3])
def test_changing_one_frame_moves_no_earlier_frame_and_no_other_film(t):
    network = make()
    photo, example, landmarks = inputs(n_frames=4)
    changed = landmarks.clone()
    changed[0, t] += 1
    frames = moved(film(network, photo, example, landmarks), film(network, photo, example, changed))
    assert frames.tolist() == [[s >= t for s in range(4)], 4 * [False]]


def test_the_released_recurrence_goes_from_film_to_film():
    """The released code gives ``(B, T, ...)`` to a layer that walks along its first axis."""
    network = make(recurrence="batch")
    photo, example, landmarks = inputs(n_batch=3, n_frames=4)
    changed = landmarks.clone()
    changed[0, 0] += 1
    frames = moved(film(network, photo, example, landmarks), film(network, photo, example, changed))
    assert frames.tolist() == 3 * [[True, False, False, False]]
    changed = landmarks.clone()
    changed[1, 2] += 1
    frames = moved(film(network, photo, example, landmarks), film(network, photo, example, changed))
    assert frames.nonzero().tolist() == [[1, 2], [2, 2]]


def test_with_one_film_the_released_recurrence_remembers_nothing():
    photo, example, landmarks = inputs(n_batch=1)
    released = film(make(recurrence="batch"), photo, example, landmarks)
    without = film(make(recurrence="off"), photo, example, landmarks)
    torch.testing.assert_close(released.frames, without.frames, atol=1e-6, rtol=0)
    assert (film(make(), photo, example, landmarks).frames - without.frames)[:, 1:].abs().max() > 1e-4


def test_without_recurrence_a_frame_stands_alone():
    network = make(recurrence="off")
    photo, example, landmarks = inputs(n_frames=4)
    changed = landmarks.clone()
    changed[0, 1] += 1
    frames = moved(film(network, photo, example, landmarks), film(network, photo, example, changed))
    assert frames.tolist() == [[False, True, False, False], 4 * [False]]


def test_photograph_and_example_move_their_own_film_alone():
    network = make()
    photo, example, landmarks = inputs()
    before = film(network, photo, example, landmarks)
    other = photo.clone()
    other[1] *= -1
    assert moved(before, film(network, other, example, landmarks)).tolist() == [4 * [False], 4 * [True]]
    other = example.clone()
    other[1] += 1
    assert moved(before, film(network, photo, other, landmarks)).tolist() == [4 * [False], 4 * [True]]


@pytest.mark.parametrize("chunk", [1, 2, 3])
@pytest.mark.parametrize("recurrence", ["time", "off"])
def test_in_chunks_with_the_state_handed_on_as_at_once(chunk, recurrence):
    network = make(recurrence=recurrence)
    photo, example, landmarks = inputs(n_frames=5)
    with torch.no_grad():
        whole, last = network(photo, example, landmarks)
        seen, state, parts = network.look(photo, example), None, []
        for start in range(0, 5, chunk):
            made, state = network(seen, None, landmarks[:, start : start + chunk], state)
            parts.append(made)
    for name in whole._fields:
        joined = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(joined, getattr(whole, name), atol=1e-6, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-6, rtol=0)
    # a state that is lost shows in the second chunk
    lost = film(network, seen, None, landmarks[:, chunk:])
    same = torch.allclose(lost.frames, whole.frames[:, chunk:], atol=1e-6)
    assert same == (recurrence == "off")


def test_looking_first_changes_nothing():
    network = make()
    photo, example, landmarks = inputs()
    with torch.no_grad():
        seen = network.look(photo, example)
    apart, at_once = film(network, seen, None, landmarks), film(network, photo, example, landmarks)
    assert all(torch.equal(a, b) for a, b in zip(apart, at_once))


def normalised(block, x, **options):
    """Convolution, and batch normalisation with fixed statistics, from the weights of a block."""
    convolution, norm, *_ = block
    up = isinstance(convolution, torch.nn.ConvTranspose2d)
    x = (F.conv_transpose2d if up else F.conv2d)(x, convolution.weight, convolution.bias, **options)
    mean, variance, weight, bias = (
        value[:, None, None] for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / torch.sqrt(variance + norm.eps) * weight + bias


def conv(block, x, **options):
    return normalised(block, x, **options).clamp(min=0)


UP = {"stride": 2, "padding": 1, "output_padding": 1}


def gru_step(gru, x, h):
    """One step of the conv-GRU with the six convolutions of its formula."""
    options = {"padding": 2, "dilation": 2}
    w_r, w_z, w_n = (
        F.conv2d(x, w, b, **options)
        for w, b in zip(gru.from_input.weight.chunk(3), gru.from_input.bias.chunk(3))
    )
    u_r, u_z, u_n = (
        F.conv2d(h, w, b, **options)
        for w, b in zip(gru.from_memory.weight.chunk(3), gru.from_memory.bias.chunk(3))
    )
    r, z = 1 / (1 + torch.exp(-w_r - u_r)), 1 / (1 + torch.exp(-w_z - u_z))
    return (1 - z) * torch.tanh(w_n + r * u_n) + z * h


def released_forward(network, photo, example, landmarks):
    """Frame by frame with concatenations, as the paper's equations and the released code have it."""

    def look_at(points):
        points = (points - network.landmark_mean) / network.landmark_std
        first = torch.relu(network.f_lmark_map[0](points)).view(-1, 1, 8, 8)
        shape = conv(network.f_lmark_shape, first, padding=1)
        return shape, conv(network.f_lmark, shape, padding=1)

    x = conv(network.f_img_middle[1], F.pad(photo, (3, 3, 3, 3), mode="reflect"))
    for block in network.f_img_middle[2:]:
        x = conv(block, x, stride=2, padding=1)
    middle = x
    for block in network.f_img:
        x = conv(block, x, stride=2, padding=1)
    image = x
    example_shape, example_deep = look_at(example)
    h = photo.new_zeros(len(photo), network.config.memory, 8, 8)
    frames = []
    for p_t in landmarks.unbind(1):
        shape, deep = look_at(p_t)
        a = torch.cat((shape, example_shape), dim=1)
        for block in network.attention[:2]:
            a = conv(block, a, **UP)
        last = network.attention[2]
        attention = torch.sigmoid(F.conv2d(a, last.weight, last.bias, padding=1))
        fused = conv(network.fuse, torch.cat((image, deep - example_deep), dim=1), padding=1)
        h = gru_step(network.conv_gru, fused, h)
        v = h
        for block in network.decode_middle[: network.config.blocks]:
            first, norm, _, _, *second = block.layers
            v = v + normalised(second, conv((first, norm), v, padding=1), padding=1)
        for block in network.decode_middle[network.config.blocks :]:
            v = conv(block, v, **UP)
        v = v * attention + middle * (1 - attention)
        for block in network.decode:
            v = conv(block, v, **UP)
        colour = torch.tanh(F.conv2d(v, network.colour[0].weight, network.colour[0].bias, padding=3))
        alpha = torch.sigmoid(F.conv2d(v, network.alpha[0].weight, network.alpha[0].bias, padding=3))
        frames.append((alpha * colour + (1 - alpha) * photo, alpha, colour, attention))
    return [torch.stack(maps, dim=1) for maps in zip(*frames)]


@pytest.mark.parametrize("blocks", [1, 2])
def test_split_convolutions_equal_concatenations_frame_by_frame(blocks):
    network = make(blocks=blocks).double()
    arguments = inputs(n_frames=3, dtype=torch.float64)
    made = film(network, *arguments)
    with torch.no_grad():
        expected = released_forward(network, *arguments)
    for name, value, reference in zip(made._fields, made, expected):
        tolerance = 5e-7 if name == "attention" else 1e-9  # that one is handed out in float32
        torch.testing.assert_close(value.double(), reference, atol=tolerance, rtol=0, msg=name)
        assert reference.std() > 1e-3, name


def test_standardising_equals_standardised_landmarks():
    network = make()
    mean, std = network.landmark_mean.clone(), network.landmark_std.clone()
    photo, example, landmarks = inputs()
    expected = film(network, photo, example, landmarks)
    network.standardise(torch.zeros(136), torch.ones(136))
    made = film(network, photo, (example - mean) / std, (landmarks - mean) / std)
    torch.testing.assert_close(made.frames, expected.frames, atol=1e-6, rtol=0)
    fresh = VGNet(SMALL_VG_NET)
    assert not fresh.landmark_mean.any()
    assert (fresh.landmark_std == 1).all()
    assert {"landmark_mean", "landmark_std"} <= network.state_dict().keys()


def test_conv_gru_is_its_formula():
    torch.manual_seed(0)
    gru = ConvGRU(3, 5).double()
    x, h = torch.randn(2, 4, 3, 8, 8).double(), torch.randn(2, 5, 8, 8).double()
    with torch.no_grad():
        memory, last = gru(x, h)
        for t in range(4):
            h = gru_step(gru, x[:, t], h)
            torch.testing.assert_close(memory[:, t], h, atol=1e-13, rtol=0)
    assert torch.equal(last, memory[:, -1])


def test_conv_gru_with_a_kernel_that_sees_one_place_is_torchs_gru():
    torch.manual_seed(0)
    gru = ConvGRU(3, 5).double()
    reference = torch.nn.GRU(3, 5, batch_first=True).double()
    with torch.no_grad():
        for ours, theirs in ((gru.from_input, "ih"), (gru.from_memory, "hh")):
            ours.weight.zero_()
            ours.weight[:, :, 1, 1] = getattr(reference, f"weight_{theirs}_l0")
            ours.bias.copy_(getattr(reference, f"bias_{theirs}_l0"))
        x = torch.randn(2, 6, 3, 4, 4).double()
        memory, _ = gru(x)
        places = x.permute(0, 3, 4, 1, 2).reshape(-1, 6, 3)
        expected = reference(places)[0].unflatten(0, (2, 4, 4)).permute(0, 3, 4, 1, 2)
    torch.testing.assert_close(memory, expected, atol=1e-12, rtol=0)


def test_without_landmark_attention_the_memory_alone_speaks():
    network = make(landmark_attention=False)
    assert not any(name.startswith("attention") for name, _ in network.named_parameters())
    photo, example, landmarks = inputs()
    made = film(network, photo, example, landmarks)
    assert (made.attention == 1).all()
    # as with a network whose attention is open wide everywhere
    open_wide = make()
    open_wide.load_state_dict(network.state_dict(), strict=False)
    torch.nn.init.zeros_(open_wide.attention[2].weight)
    torch.nn.init.constant_(open_wide.attention[2].bias, 40)
    torch.testing.assert_close(film(open_wide, photo, example, landmarks).frames, made.frames)
    torch.nn.init.zeros_(open_wide.attention[2].bias)
    assert (film(open_wide, photo, example, landmarks).frames - made.frames).abs().max() > 1e-3


def test_without_pixel_attention_every_pixel_is_painted():
    network = make(pixel_attention=False)
    assert not any(name.startswith("alpha") for name, _ in network.named_parameters())
    made = film(network, *inputs())
    assert (made.alpha == 1).all()
    assert made.alpha.shape == (2, 4, 1, 128, 128)
    assert torch.equal(made.frames, made.colour)
    both = make()
    both.load_state_dict(network.state_dict(), strict=False)
    torch.testing.assert_close(film(both, *inputs()).colour, made.colour)


def test_under_autocast_all_that_comes_out_is_float32():
    """Colour, α and the frame from float32 maps: half a level of a light pixel is less than bfloat16 has."""
    network = make()
    expected = film(network, *inputs(n_frames=2))
    with torch.autocast("cpu", torch.bfloat16):
        made = film(network, *inputs(n_frames=2))
    for name, value, reference in zip(made._fields, made, expected):
        assert value.dtype == torch.float32, name
        torch.testing.assert_close(value, reference, atol=0.05, rtol=0, msg=name)
    mixed = made.alpha * made.colour + (1 - made.alpha) * inputs()[0][:, None]
    torch.testing.assert_close(made.frames, mixed, atol=1e-6, rtol=0)
    assert not torch.equal(made.colour, made.colour.bfloat16().float())


def test_every_parameter_learns():
    network = make().train()
    made, _ = network(*inputs(n_frames=2))
    made.frames.square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_dropout_only_while_training():
    network = make(dropout=0.5)
    arguments = inputs(n_frames=2)
    assert torch.equal(film(network, *arguments).frames, film(network, *arguments).frames)
    network.train()
    torch.manual_seed(0)
    assert not torch.equal(film(network, *arguments).frames, film(network, *arguments).frames)


def test_wrong_configurations():
    with pytest.raises(InputError, match="recurrence: got 'space', expected time or batch or off"):
        VGNetConfig.lite(recurrence="space")
    with pytest.raises(InputError, match=r"decoder: got 64 channels at 32×32, expected 128"):
        VGNetConfig(decoder=(256, 64, 64, 32))
    with pytest.raises(InputError, match="lite or full"):
        VGNetConfig.of_size("huge")
