"""A critic of the patches of a frame, given the drawing of its landmarks."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig

torch.set_num_threads(1)


def make(widths):
    """With running means and deviations that are not 0 and 1."""
    torch.manual_seed(0)
    network = PatchDiscriminator(PatchDiscriminatorConfig(widths=widths))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
            nn.init.normal_(layer.bias, 0, 0.3)
    return network.eval()


def pair(n=2, side=64):
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.rand(n, 3, side, side, generator=generator) - 1, torch.rand(
        n, 3, side, side, generator=generator
    )


@pytest.mark.parametrize(("widths", "seen", "step"), [((2, 3, 4, 5), 70, 8), ((2, 3, 4), 34, 4)])
def test_how_much_a_logit_sees_and_how_far_on_its_neighbour(widths, seen, step):
    frames, drawing = pair(1, 128)
    for maps in (frames, drawing):
        maps.requires_grad_()
    logits = make(widths)(frames, drawing)
    middle = logits.shape[-1] // 2
    firsts = []
    for column in (middle, middle + 1):
        for grad in torch.autograd.grad(logits[0, 0, middle, column], (frames, drawing), retain_graph=True):
            rows, columns = (grad[0].abs().sum(dim=(0, d)).nonzero()[:, 0] for d in (2, 1))
            assert rows.max() - rows.min() + 1 == seen
            assert columns.max() - columns.min() + 1 == seen
        firsts.append(int(columns.min()))
    assert firsts[1] - firsts[0] == step


@pytest.mark.parametrize(("size", "side", "s"), [("full", 128, 14), ("full", 256, 30), ("lite", 128, 30)])
def test_sizes(size, side, s):
    with torch.device("meta"):
        config = PatchDiscriminatorConfig.of_size(size)
        network = PatchDiscriminator(config)
        maps = torch.zeros(3, 3, side, side)
        assert network(maps, maps).shape == (3, 1, s, s)
    assert config.widths == ((64, 128, 256, 512) if size == "full" else (16, 32, 64))
    assert count_parameters(network) == (2_768_705 if size == "full" else 43_729)
    assert PatchDiscriminatorConfig.lite(widths=(4, 5)).widths == (4, 5)


def test_the_layers_written_out():
    network, (frames, drawing) = make((2, 3, 4)), pair()
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    norms = [None, *(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))]
    x = torch.cat((frames, drawing), dim=1)
    for convolution, norm, stride in zip(convolutions, norms, (2, 2, 1)):
        x = F.conv2d(x, convolution.weight, convolution.bias, stride=stride, padding=1)
        if norm is not None:
            assert convolution.bias is None
            scale = norm.weight / torch.sqrt(norm.running_var + 1e-5)
            x = (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
        x = torch.where(x > 0, x, 0.2 * x)
    expected = F.conv2d(x, convolutions[3].weight, convolutions[3].bias, padding=1)
    torch.testing.assert_close(network(frames, drawing), expected, atol=1e-5, rtol=1e-5)
    assert len(convolutions) == 4
    assert len(norms) == 3


def test_each_frame_by_itself_and_every_parameter_learns():
    network, (frames, drawing) = make((2, 3, 4, 5)), pair(3)
    logits = network(frames, drawing)
    order = [2, 0, 1]
    torch.testing.assert_close(network(frames[order], drawing[order]), logits[order])
    network.train()(frames, drawing).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_drawing_for_each_frame():
    network, (frames, drawing) = make((2, 3, 4)), pair()
    with pytest.raises(InputError, match=r"drawing: got shape \(1, 3, 64, 64\), expected the frames'"):
        network(frames, drawing[:1])
