"""The fast copy of latent matching computes the same."""

from dataclasses import replace

import pytest
import torch
from small_networks import SMALL_LATENT_MATCHING
from torch import nn

from talkface_lite.errors import InputError
from talkface_lite.networks.fast_matching import ReadyUpConv, for_inference
from talkface_lite.networks.frame_codec import UpConv
from talkface_lite.networks.latent_matching import LatentMatching, generated

torch.set_num_threads(1)


def make(**changes):
    torch.manual_seed(0)
    network = LatentMatching(replace(SMALL_LATENT_MATCHING, **changes))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.1, 1)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.2)
    return network.train()


def film(network):
    generator = torch.Generator().manual_seed(1)
    photo = torch.rand(1, 3, 128, 128, generator=generator) * 2 - 1
    mfcc, noise = torch.randn(1, 5, 28, 12, generator=generator), torch.randn(2, 5, 4, generator=generator)
    with torch.inference_mode():
        seen = network.look(photo)
        q, _ = network.listen(mfcc, seen)
        watched, _ = network.watch(network.encode(photo[:, None]), seen)
        frames, _, _ = generated(network, q.sample(noise), seen, None, None)
    return q, watched, [part for part in frames if part is not None]


@pytest.mark.parametrize("sees", ["previous", "first"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_same_film(sees, skips, precision):
    ours = dict.fromkeys(("warp", "normalised", "around"), skips)
    network = make(sees=sees, skips=skips, photo_prior=True, **ours)
    fast = for_inference(network, precision)
    assert network.training, "the network itself stays as it is"
    assert not fast.training
    assert not any(p.requires_grad for p in fast.parameters())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in fast.modules())
    rough = precision == "bf16"
    assert (fast.frame_decoder.colour.weight.dtype == torch.bfloat16) == rough
    assert fast.audio_posterior.mean.weight.dtype == torch.float32
    for one, other in zip(film(network.eval()), film(fast), strict=True):
        parts = [(one, other)] if isinstance(one, torch.Tensor) else zip(one, other, strict=True)
        for a, b in parts:
            assert b.dtype == torch.float32
            torch.testing.assert_close(b, a, atol=0.03 if rough else 5e-5, rtol=0)


@pytest.mark.parametrize("n_map", [3, 64])
def test_weights_in_order_give_the_same_map(n_map):
    torch.manual_seed(0)
    up = UpConv(n_map, 2, 5)
    x, skip = torch.randn(3, n_map, 4, 6), torch.randn(1, 2, 8, 12)
    with torch.no_grad():
        ready = ReadyUpConv(up)
        torch.testing.assert_close(ready((x, ready.of_photo(skip))), up((x, up.of_photo(skip))))


def test_another_precision_is_refused():
    with pytest.raises(InputError, match="precision: got '8', expected auto or bf16 or 32"):
        for_inference(make(), "8")
