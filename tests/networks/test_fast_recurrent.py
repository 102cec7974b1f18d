"""The fast copy of the recurrent generator computes the same."""

import pytest
import torch
from small_networks import SMALL_GENERATOR
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.networks.fast_recurrent import PairedConv2d, ReadyUpConvTranspose, for_inference
from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.networks.recurrent_modules import UpConvTranspose

torch.set_num_threads(1)
SHIPPED = {"batch_norm": True, "normalised": True, "around": True, "warp": True}


def make_generator(**changes):
    torch.manual_seed(0)
    net = RecurrentGenerator(SMALL_GENERATOR.__class__(**(vars(SMALL_GENERATOR) | changes)))
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.3, 2)
                if layer.affine:
                    layer.weight.uniform_(0.5, 2)
                    layer.bias.normal_(0, 0.1)
    return net.eval()


def given():
    return torch.rand(2, 3, 128, 128) * 2 - 1, torch.randn(2, 5, 35, 12)


@pytest.mark.parametrize("photos", [1, 2, 6])
def test_a_transposed_convolution_as_plain_ones(photos):
    torch.manual_seed(0)
    up = UpConvTranspose(3, 2, 4).requires_grad_(False)
    ready = ReadyUpConvTranspose(up).requires_grad_(False)
    x, skip = torch.randn(6, 3, 5, 7), torch.randn(photos, 2, 5, 7)
    wanted = up((x, up.of_photo(skip)))
    made = ready((x, ready.of_photo(skip)))
    assert made.shape == wanted.shape == (6, 4, 10, 14)
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels_last", [True, False])
def test_two_pixels_for_one(channels_last):
    torch.manual_seed(0)
    plain, x = torch.nn.Conv2d(3, 4, 5, padding=2).requires_grad_(False), torch.randn(2, 3, 7, 8)
    if channels_last:
        x = x.to(memory_format=torch.channels_last)
    made = PairedConv2d(plain)(x)
    torch.testing.assert_close(made, plain(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, SHIPPED])
@pytest.mark.parametrize("scheme", ["recurrent", "frame", "sequential", "fed back"])
def test_the_same_film(scheme, changes):
    net, (photo, mfcc) = make_generator(scheme=scheme, **changes), given()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fast = for_inference(net, "32")
    with torch.no_grad():
        slow, quick = (one(photo, mfcc) for one in (net, fast))
        torch.testing.assert_close(quick.made.frames, slow.made.frames, atol=1e-4, rtol=0)
        torch.testing.assert_close(quick.h, slow.h, atol=1e-4, rtol=1e-4)
        half = for_inference(net, "bf16")(photo, mfcc).made.frames
    assert half.dtype == torch.float32
    assert (half - slow.made.frames).abs().max() < 0.1
    assert (half - slow.made.frames).abs().mean() < 0.005
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_refused():
    with pytest.raises(InputError, match="precision: got '8', expected auto or bf16 or 32"):
        for_inference(make_generator(), "8")
