import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.errors import InputError
from talkface_lite.networks import winograd
from talkface_lite.networks.winograd import (
    WideConv2d,
    WinogradConv2d,
    convolve,
    from_tiles,
    one_axis,
    tiling,
    to_tiles,
    transform_weight,
)

torch.set_num_threads(1)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("tile", [2, 4])
def test_one_axis_is_three_weights_slid_over_the_inputs(tile):
    back, outward, inward = (torch.from_numpy(matrix) for matrix in one_axis(tile))
    assert len(outward) == {2: 4, 4: 7}[tile]
    weights, inputs = random(3), random(tile + 2, seed=1)
    expected = F.conv1d(inputs[None, None], weights[None, None])[0, 0]
    torch.testing.assert_close(back @ ((outward @ weights) * (inward @ inputs)), expected)


@pytest.mark.parametrize("tile", [2, 4])
def test_matrices_are_exact_in_bfloat16(tile):
    for matrix in map(torch.from_numpy, tiling(8, tile)):
        assert torch.equal(matrix.bfloat16().double(), matrix)


@pytest.mark.parametrize(("size", "tile"), [(8, 2), (8, 4), (4, 4), (12, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_convolve_is_the_convolution(size, tile, bias):
    x, weight, b = random(3, 5, size, size), random(7, 5, 3, 3, seed=1), random(7, seed=2) if bias else None
    ours = from_tiles(convolve(to_tiles(x, tile), transform_weight(weight, tile), b))
    torch.testing.assert_close(ours, F.conv2d(x, weight, b, padding=1))
    assert ours.stride(1) == 1  # channels last


def test_tiles_and_back():
    x = random(3, 5, 8, 8)
    assert torch.equal(from_tiles(to_tiles(x, 4)), x)
    y, x_at = divmod(6, 4), divmod(3, 4)  # row 6 is place 2 of tile 1, column 3 is place 3 of tile 0
    assert torch.equal(to_tiles(x, 4)[4 * y[1] + x_at[1], 2 * y[0] + x_at[0]], x[:, :, 6, 3])


def test_twice_the_rounding_error_of_the_plain_convolution_in_bfloat16():
    """The price that the module names; with the points ±2 it would be twelve times."""
    x, weight = random(4, 64, 8, 8).relu().bfloat16(), random(64, 64, 3, 3, seed=1)
    exact = F.conv2d(x.double(), weight, padding=1)
    plain = F.conv2d(x, weight.bfloat16(), padding=1) - exact
    ours = from_tiles(convolve(to_tiles(x, 4), transform_weight(weight, 4).bfloat16())) - exact
    assert ours.norm() / plain.norm() < 3


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(winograd, "worth_it", lambda width, device: True)


@pytest.mark.parametrize("shape", [(16, 6, 8, 8), (15, 6, 8, 8), (16, 6, 10, 10), (16, 6, 8, 4)])
def test_wide_convolution_and_its_gradients(always, shape):
    """Whichever way it takes: few maps, sizes that are no whole tiles."""
    torch.manual_seed(0)
    layer = WideConv2d(6, 5).double()
    x, loss_weight = random(*shape).requires_grad_(), random(shape[0], 5, *shape[2:], seed=1)
    results = []
    for forward in (layer, lambda x: F.conv2d(x, layer.weight, layer.bias, padding=1)):
        y = forward(x)
        results.append((y, *torch.autograd.grad((y * loss_weight).sum(), (x, layer.weight, layer.bias))))
    for ours, expected in zip(*results):
        torch.testing.assert_close(ours, expected)


def test_wide_convolution_takes_the_short_way_where_it_is_worth_it(monkeypatch):
    called = []
    monkeypatch.setattr(winograd, "convolve", lambda *a: called.append(1) or convolve(*a))
    narrow, wide = WideConv2d(8, 8), WideConv2d(256, 256)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    with torch.no_grad():
        narrow(torch.rand(16, 8, 8, 8))
        wide(torch.rand(15, 256, 8, 8))
        assert not called
        wide(torch.rand(16, 256, 8, 8))
        assert called
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
        wide(torch.rand(16, 256, 8, 8))
    assert len(called) == 1


def test_wide_convolution_under_autocast(always):
    layer, x = WideConv2d(8, 8), torch.rand(16, 8, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(
        y.float(), F.conv2d(x, layer.weight, layer.bias, padding=1), atol=0.02, rtol=0.02
    )


def test_after_inference_mode_gradients_still_flow(always):
    """What is remembered from one call to the next must not be tied to the mode of the first."""
    winograd.tiling.cache_clear()
    layer, x = WideConv2d(4, 4), torch.rand(16, 4, 8, 8, requires_grad=True)
    with torch.inference_mode():
        layer(torch.rand(16, 4, 8, 8))
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_a_trained_convolution():
    convolution = nn.Conv2d(5, 3, 3, padding=1).double()
    x = random(2, 5, 8, 8)
    for tile in (2, 4):
        ours = from_tiles(WinogradConv2d(convolution, tile)(to_tiles(x, tile)))
        torch.testing.assert_close(ours, convolution(x))


def test_other_tiles_are_refused():
    with pytest.raises(InputError, match="tile: got 3, expected 2 or 4"):
        transform_weight(torch.rand(1, 1, 3, 3), 3)
