import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.metrics import psnr
from talkface_lite.networks import fast, winograd
from talkface_lite.networks.fast import PackedConv2d, WideBlocks, for_inference
from talkface_lite.networks.vg_net import VGNet, VGNetConfig

torch.set_num_threads(1)

SMALL = VGNetConfig(
    image=(8, 8, 16, 16, 16),
    landmark=(8, 16),
    attention=(8, 8),
    fused=16,
    memory=16,
    blocks=3,
    decoder=(16, 16, 16, 8),
)


def make(config=SMALL, contrast=0.1):
    """Random weights; every normalisation does something, and the pictures have contrast."""
    torch.manual_seed(0)
    network = VGNet(config)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.05, 0.5)
            nn.init.normal_(layer.weight, 1, 0.2)
            nn.init.normal_(layer.bias, 0, 0.2)
    nn.init.normal_(network.colour[0].weight, 0, contrast)
    network.standardise(0.3 * torch.randn(136), torch.linspace(0.05, 0.5, 136))
    return network.eval()


@pytest.fixture(params=["narrow", "wide"])
def network(request, monkeypatch):
    """The same for both ways through the residual blocks, whatever this processor would choose."""
    monkeypatch.setattr(fast, "worth_it", lambda width, device: request.param == "wide")
    return make()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    photo = torch.rand(2, 3, 128, 128, generator=generator) * 2 - 1
    points = torch.randn(2, 6, 136, generator=generator)
    return photo, points[:, 0], points[:, 1:]


@torch.inference_mode()
def film(network, *arguments):
    return network(*arguments)


def test_in_float32_the_same_output(network, inputs):
    expected, state = film(network, *inputs)
    assert expected.colour.std() > 0.3  # or agreement would say little
    ours, our_state = film(for_inference(network, "32"), *inputs)
    for name, a, b in zip(expected._fields, expected, ours):
        torch.testing.assert_close(b, a, atol=1e-4, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(our_state, state, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"landmark_attention": False},
        {"pixel_attention": False},
        {"blocks": 0},
        {"recurrence": "off"},
        {"recurrence": "batch"},
        {"warp": True},
        {"warp": True, "landmark_attention": False},
    ],
)
def test_every_kind_of_network(inputs, changes):
    network = make(replace(SMALL, **changes))
    expected, _ = film(network, *inputs)
    for a, b in zip(expected, film(for_inference(network, "32"), *inputs)[0]):
        torch.testing.assert_close(b, a, atol=1e-4, rtol=0)


@pytest.mark.parametrize("warp", [False, True])
@pytest.mark.parametrize("size", ["lite", "full"])
def test_both_sizes(size, warp, inputs):
    network = make(VGNetConfig.of_size(size, warp=warp), contrast=0.01)
    photo, example, landmarks = (part[:1] for part in inputs)
    expected, _ = film(network, photo, example, landmarks)
    assert expected.colour.std() > 0.1
    ours, _ = film(for_inference(network, "32"), photo, example, landmarks)
    torch.testing.assert_close(ours.frames, expected.frames, atol=1e-4, rtol=0)


def test_the_original_is_untouched(network, inputs):
    network.train()
    before = copy.deepcopy(network.state_dict())
    kinds = [type(module) for module in network.modules()]
    film(for_inference(network, "bf16"), *inputs)
    assert network.training
    assert kinds == [type(module) for module in network.modules()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert before.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name]), name


def test_a_copy_of_a_network_in_training_evaluates(inputs):
    network = make()
    expected, _ = film(for_inference(network, "32"), *inputs)
    ours, _ = film(for_inference(network.train(), "32"), *inputs)
    assert torch.equal(ours.frames, expected.frames)


def test_nothing_is_left_to_normalise_or_to_drop(network):
    kinds = {type(module) for module in for_inference(network).modules()}
    assert not any(issubclass(kind, nn.BatchNorm2d | nn.Dropout) for kind in kinds)
    assert not any(parameter.requires_grad for parameter in for_inference(network).parameters())


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_in_chunks_with_the_state_handed_on_as_at_once(network, inputs, chunk, precision):
    copied = for_inference(network, precision)
    photo, example, landmarks = inputs
    expected, last = film(copied, *inputs)
    with torch.inference_mode():
        seen, state, frames = copied.look(photo, example), None, []
        for start in range(0, landmarks.shape[1], chunk):
            made, state = copied(seen, None, landmarks[:, start : start + chunk], state)
            frames.append(made.frames)
    tolerance = 1e-5 if precision == "32" else 0.05
    torch.testing.assert_close(torch.cat(frames, 1), expected.frames, atol=tolerance, rtol=0)
    torch.testing.assert_close(state, last, atol=tolerance, rtol=0)


def test_bfloat16_is_close_and_float32_comes_out(network, inputs):
    expected, _ = film(network, *inputs)
    copied = for_inference(network, "bf16")
    assert copied.fuse[0].weight.dtype == torch.bfloat16
    ours, _ = film(copied, *inputs)
    for name, a, b in zip(expected._fields, expected, ours):
        assert b.dtype == torch.float32
        assert psnr(a.numpy(), b.numpy(), data_range=2) > 35, name


def test_what_is_copied_from_the_photograph_keeps_its_levels(inputs):
    """Were the photograph rounded to bfloat16 as well, its light pixels would be off by half a level."""
    network = make()
    nn.init.constant_(network.alpha[0].bias, -100)  # α = 0
    ours, _ = film(for_inference(network, "bf16"), *inputs)
    assert torch.equal(ours.frames, inputs[0][:, None].expand_as(ours.frames))


def test_landmarks_are_read_in_float32():
    """A thousandth of the crop is less than bfloat16 tells apart, and more than a mouth may move."""
    copied = for_inference(make(), "bf16")
    photo = torch.zeros(1, 3, 128, 128)
    points = torch.full((1, 2, 136), 0.9)
    points[0, 1] += 0.001
    with torch.inference_mode():
        standard = copied.f_lmark_map((points - copied.landmark_mean) / copied.landmark_std)
        seen = copied.look(photo, points[:, 0])
        copied(seen, None, points)
    assert (standard[0, 0] - standard[0, 1]).abs().max() > 1e-4


def test_auto_asks_the_processor(monkeypatch):
    def precision():
        return for_inference(make(), "auto").fuse[0].weight.dtype

    for avx512, amx, expected in (
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda a=avx512: a, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda a=amx: a, raising=False)
        assert precision() == expected
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert precision() == torch.float32
    assert fast.fast_precision("cuda") == "bf16"


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match="precision: got '16', expected auto or bf16 or 32"):
        for_inference(make(), "16")


def test_a_copy_can_be_copied(network, inputs):
    copied = for_inference(network, "32")
    expected, _ = film(copied, *inputs)  # its weights are packed now
    again, _ = film(copy.deepcopy(copied), *inputs)
    assert torch.equal(again.frames, expected.frames)


@pytest.mark.parametrize("packs", [True, False])
def test_packed_convolution(monkeypatch, packs):
    monkeypatch.setattr(fast, "PACKS", packs and fast.PACKS)
    torch.manual_seed(0)
    convolution = nn.Conv2d(16, 24, 3, padding=2, dilation=2)
    packed = PackedConv2d(convolution)
    with torch.inference_mode():
        for n in (1, 3, 1):
            x = torch.randn(n, 16, 8, 8)
            torch.testing.assert_close(packed(x), convolution(x))
        packed.double()
        torch.testing.assert_close(packed(x.double()).float(), convolution(x))
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    convolution(x).sum().backward()
    gradient, x.grad = x.grad, None
    packed.float()(x).sum().backward()
    torch.testing.assert_close(x.grad, gradient)


def test_packing_happened_here():
    """On this kind of machine the fast way is really taken, and the weights are packed once a shape."""
    if not fast.PACKS:
        pytest.skip("this build of torch does not pack weights")
    packed = PackedConv2d(nn.Conv2d(16, 24, 3, padding=1))
    with torch.inference_mode():
        packed(torch.rand(1, 16, 8, 8))
        first = packed._packed
        packed(torch.rand(1, 16, 8, 8))
        assert packed._packed is first
        packed(torch.rand(2, 16, 8, 8))
        assert packed._packed is not first


def test_weights_that_change_are_packed_anew():
    packed, x = PackedConv2d(nn.Conv2d(16, 24, 3, padding=1)), torch.rand(1, 16, 8, 8)
    with torch.inference_mode():
        before = packed(x)
        packed._apply(lambda tensor: 2 * tensor)  # what .to() and the like go through
        torch.testing.assert_close(packed(x), 2 * before)


def test_wide_blocks_are_residual_blocks():
    network = make()
    expected = network.decode_middle[:3]
    folded = fast.folded(copy.deepcopy(expected))
    x = torch.randn(4, 16, 8, 8)
    with torch.inference_mode():
        for tile in winograd.TILES:
            torch.testing.assert_close(WideBlocks(folded, tile)(x), expected(x), atol=1e-4, rtol=1e-4)
