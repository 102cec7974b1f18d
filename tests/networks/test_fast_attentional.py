"""The fast copy of LTV net computes the same."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks import fast_attentional
from talkface_lite.networks.fast_attentional import for_inference
from talkface_lite.networks.layers import Dropout
from talkface_lite.networks.ltv_net import LTVNet, LTVNetConfig

torch.set_num_threads(1)

WIDTHS = {128: (4, 5, 6, 7), 256: (3, 4, 5)}
BOTH = list(product((True, False), (False, True)))


def make(attention=True, warp=False, side=128, dropout=0.5):
    torch.manual_seed(0)
    config = LTVNetConfig(side=side, widths=WIDTHS[side], attention=attention, warp=warp, dropout=dropout)
    network = LTVNet(config)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.3, 2)
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.3)
        network.last.weight[:, : 4 if warp else 3].mul_(2)
    return network.eval()


def given(side):
    """Two photographs, and three frames of each."""
    generator = torch.Generator().manual_seed(2)
    photo = F.interpolate(torch.rand(2, 3, 16, 16, generator=generator), size=side, mode="bilinear")
    face = torch.rand(68, 2, generator=generator) * 70 + 30
    moved = face + 2 * torch.randn(8, 1, 2, generator=generator)
    return 2 * photo - 1, moved[:2], moved[2:].unflatten(0, (2, 3))


@torch.no_grad()
def film(network, *arguments):
    return network(*arguments)


@pytest.mark.parametrize("side", [128, 256])
@pytest.mark.parametrize(("attention", "warp"), BOTH)
def test_the_same_film(side, attention, warp):
    network, what = make(attention, warp, side), given(side)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = for_inference(network, "32")
    slow, quick = film(network, *what), film(fast, *what)
    assert slow.frames.std() > 0.05
    for name, ours, theirs in zip(slow._fields, quick, slow):
        if theirs is None:
            assert ours is None, name
        else:
            torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0, msg=name)
    half = film(for_inference(network, "bf16"), *what)
    assert all(maps is None or maps.dtype == torch.float32 for maps in half)
    assert (half.frames - slow.frames).abs().mean() < 0.01
    assert (half.frames - slow.frames).abs().max() < 0.3
    assert not torch.equal(half.frames, quick.frames)
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("attention", [True, False])
def test_what_is_left_of_it(attention, precision):
    network = make(attention, warp=True).train()
    fast = for_inference(network, precision)
    assert not fast.training
    assert network.training
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    kinds = [type(layer) for layer in fast.modules()]
    assert nn.BatchNorm2d not in kinds
    assert Dropout not in kinds
    convolutions = [m for m in fast.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert {layer.weight.dtype for layer in convolutions} == {dtype}
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    for layer in convolutions:
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    twice = for_inference(fast, "32")
    assert twice is fast
    assert {layer.weight.dtype for layer in twice.modules() if isinstance(layer, nn.Conv2d)} == {dtype}


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_looking_once_serves_every_stretch(precision):
    fast, (photo, example, landmarks) = for_inference(make(warp=True), precision), given(128)
    with torch.no_grad():
        seen = fast.look(photo, example)
    parts = [film(fast, seen, None, some).frames for some in landmarks.split(2, dim=1)]
    together = film(fast, photo, example, landmarks).frames
    torch.testing.assert_close(torch.cat(parts, dim=1), together, atol=2e-2 if precision == "bf16" else 1e-5,
                               rtol=0)  # fmt: skip


def test_the_precision_is_asked_of_the_device(monkeypatch):
    asked = []
    monkeypatch.setattr(fast_attentional, "chosen_precision", lambda *what: asked.append(what) or "32")
    for_inference(make())
    assert asked == [("auto", torch.device("cpu"))]


def test_refused():
    with pytest.raises(InputError, match="precision: got '8', expected auto or bf16 or 32"):
        for_inference(make(), "8")
    with pytest.raises(InputError, match="precision: got '8'"):
        for_inference(for_inference(make()), "8")
