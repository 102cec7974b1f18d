import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.networks.layers import (
    ConvOfStack,
    Dropout,
    FrameNorm,
    at_once,
    conv_block,
    count_parameters,
    each_frame,
    few_maps,
    linear_relu,
    normed,
    up_block,
)

torch.set_num_threads(1)


@pytest.mark.parametrize("side", [1, 3, 7])
@pytest.mark.parametrize("n_out", [1, 3, 4])
def test_few_maps_is_the_convolution(side, n_out):
    torch.manual_seed(0)
    layer = nn.Conv2d(5, n_out, side, padding=side // 2).double()
    x = torch.randn(2, 5, 12, 10, dtype=torch.float64, requires_grad=True)
    results = []
    for y in (layer(x), few_maps(x, layer.weight, layer.bias)):
        loss = (y * torch.arange(y.numel()).view_as(y)).sum()
        results.append((y, *torch.autograd.grad(loss, (x, layer.weight, layer.bias))))
    for expected, ours in zip(*results):
        torch.testing.assert_close(ours, expected)


def test_few_maps_are_float32_at_least():
    x, weight, bias = torch.rand(1, 2, 4, 4), torch.rand(1, 2, 3, 3), torch.rand(1)
    assert few_maps(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        y = few_maps(x, weight, bias)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, F.conv2d(x, weight, bias, padding=1), atol=0.05, rtol=0.01)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(2, 6), (6, 2), (1, 6, 3)])
def test_convolution_of_a_stack_is_that_of_the_concatenation(sizes, bias):
    """Parts of some films beside parts of all their frames; the frames of a film follow each other."""
    torch.manual_seed(0)
    channels = (3, 5, 2)[: len(sizes)]
    layer = ConvOfStack(sum(channels), 4, 3, padding=1, bias=bias).double()
    parts = [
        torch.randn(n, c, 8, 6, dtype=torch.float64, requires_grad=True) for n, c in zip(sizes, channels)
    ]
    stacked = torch.cat([part.repeat_interleave(6 // len(part), dim=0) for part in parts], dim=1)
    plain = F.conv2d(stacked, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(stacked), plain)
    results = []
    for y in (layer(parts), plain):
        loss = (y * torch.arange(y.numel()).view_as(y)).sum()
        results.append((y, *torch.autograd.grad(loss, (*parts, *layer.parameters()), retain_graph=True)))
    for ours, expected in zip(*results):
        torch.testing.assert_close(ours, expected)


def test_what_a_stack_shares_is_convolved_once(monkeypatch):
    seen = []
    layer = ConvOfStack(5, 4, 3, padding=1)
    forward = layer._conv_forward
    monkeypatch.setattr(layer, "_conv_forward", lambda x, *rest: seen.append(len(x)) or forward(x, *rest))
    layer((torch.rand(1, 3, 4, 4), torch.rand(7, 2, 4, 4)))
    assert seen == [1, 7]


def test_heads_at_once_are_the_heads():
    torch.manual_seed(0)
    colour, alpha = (
        nn.Sequential(nn.Conv2d(5, n, 7, padding=3), squash).double()
        for n, squash in ((3, nn.Tanh()), (1, nn.Sigmoid()))
    )
    x = torch.randn(2, 5, 12, 10, dtype=torch.float64)
    for heads in ((colour, alpha), (alpha, colour), (colour,), (colour, nn.ReLU())):
        made = at_once(x, *heads)
        assert len(made) == len(heads)
        for ours, head in zip(made, heads):
            torch.testing.assert_close(ours, head(x))


def test_each_frame_repeats_within_a_film():
    repeated = each_frame(torch.tensor([[1, 2], [3, 4]]), 3)
    assert repeated.tolist() == [[1, 2]] * 3 + [[3, 4]] * 3


@pytest.mark.parametrize("p", [0.25, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_its_share_and_the_mean(p, dtype):
    torch.manual_seed(0)
    x = torch.ones(200, 500, dtype=dtype)
    y = Dropout(p).train()(x)
    assert y.dtype == dtype
    assert sorted(y.unique().tolist()) == [0, pytest.approx(1 / (1 - p), rel=4e-3)]
    assert (y == 0).double().mean() == pytest.approx(p, abs=0.01)


def test_dropout_is_another_each_time_and_none_in_evaluation():
    layer, x = Dropout(0.5), torch.rand(100)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)


def test_conv_block_is_convolution_norm_and_relu():
    block = conv_block(3, 5)
    assert [type(layer) for layer in block] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert block[0].bias is None
    assert block(torch.rand(2, 3, 8, 6)).shape == (2, 5, 8, 6)
    bare = conv_block(3, 5, kernel_size=7, stride=2, padding=3, batch_norm=False)
    assert [type(layer) for layer in bare] == [nn.Conv2d, nn.ReLU]
    assert (bare[0].kernel_size, bare[0].stride, bare[0].padding) == ((7, 7), (2, 2), (3, 3))
    assert count_parameters(bare) == 3 * 5 * 49 + 5
    x = torch.rand(2, 3, 8, 6)
    torch.testing.assert_close(bare(x), bare[0](x).clamp(0))


@pytest.mark.parametrize("bias", [False, True])
def test_up_block_doubles_the_sides(bias):
    block = up_block(4, 2, bias=bias)
    y = block(torch.rand(3, 4, 5, 6))
    assert y.shape == (3, 2, 10, 12)
    assert y.min() == 0
    assert count_parameters(block) == 4 * 2 * 9 + 2 * bias + 2 * 2
    assert count_parameters(up_block(4, 2)) == 4 * 2 * 9 + 2 * 2


def test_linear_relu_through_all_widths():
    layers = linear_relu([3, 5, 2])
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]
    assert [tuple(layer.weight.shape) for layer in layers[::2]] == [(5, 3), (2, 5)]
    assert count_parameters(layers) == 20 + 12


def test_a_single_frame_is_normalised_by_what_is_known():
    torch.manual_seed(0)
    norm, rows = FrameNorm(3), torch.randn(20, 3) * 4 + 2
    norm.train()(rows)
    before = norm.running_mean.clone()
    alone = norm(rows[:1])
    torch.testing.assert_close(alone, norm.eval()(rows[:1]))
    assert torch.equal(norm.running_mean, before)
    plain = nn.BatchNorm1d(3)
    torch.testing.assert_close(FrameNorm(3)(rows), plain(rows))
    x = rows[None]
    torch.testing.assert_close(normed(x, norm.train(), known=True)[0], norm.eval()(rows))
    assert not torch.allclose(normed(x, norm.train())[0], norm.eval()(rows), atol=0.1)
