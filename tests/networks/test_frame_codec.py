"""Pictures to codes and back: layer by layer equal to the plain way of the released code."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from talkface_lite.networks.frame_codec import (
    FLOW,
    FrameDecoder,
    FrameEncoder,
    UpConv,
    enlarged,
    of_each_frame,
)
from talkface_lite.networks.layers import upsampled_conv

torch.set_num_threads(1)

WIDTHS, CODE = (3, 4, 5, 6, 7), 8


def settled(network):
    """With running means and deviations that are not 0 and 1."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.3, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return network.eval()


def normed(x, norm):
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (1, 1)])
def test_a_convolution_of_an_enlarged_map_from_the_small_one(size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    wanted = F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)
    got = upsampled_conv(x, weight)
    torch.testing.assert_close(got, wanted)
    outside = torch.randn_like(wanted)
    gradients = [torch.autograd.grad((maps * outside).sum(), (x, weight)) for maps in (got, wanted)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("n_map", [2, 64])
def test_the_photographs_part_apart_is_the_convolution_of_both(n_map):
    torch.manual_seed(0)
    up = UpConv(n_map, 3, 5).double()
    x = torch.randn(6, n_map, 4, 4, dtype=torch.float64)
    skips = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    both = torch.cat((F.interpolate(x, scale_factor=2), skips.repeat_interleave(3, 0)), 1)
    wanted = F.conv2d(both, up.weight, up.bias, padding=1)
    torch.testing.assert_close(up((x, up.of_photo(skips))), wanted)


def test_what_belongs_to_photographs_goes_to_their_frames():
    of_photo = torch.arange(2.0)[:, None, None, None]
    assert of_each_frame(of_photo, 6).flatten().tolist() == [0, 0, 0, 1, 1, 1]
    assert of_each_frame(of_photo, 2) is of_photo
    assert of_each_frame(of_photo[:1], 6).shape == (1, 1, 1, 1)


def test_the_encoder_written_out():
    encoder = settled(FrameEncoder(WIDTHS, CODE))
    x = frames = torch.rand(2, 3, 128, 128) * 2 - 1
    code, maps = encoder(frames)
    for stage, got, side in zip(encoder.stages, maps, (128, 64, 32, 16, 8), strict=True):
        wanted = leaky(normed(F.conv2d(x, stage[0].weight, stage[0].bias, padding=1), stage[1]))
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
        assert got.shape[2:] == (side, side)
        x = F.max_pool2d(wanted, 2, 2)
    last = F.conv2d(x, encoder.last[0].weight, encoder.last[0].bias)
    torch.testing.assert_close(code, torch.tanh(normed(last, encoder.last[1])).flatten(1))


@pytest.mark.parametrize("skips", [True, False])
def test_the_decoder_written_out(skips):
    encoder = settled(FrameEncoder(WIDTHS, CODE))
    decoder = settled(FrameDecoder(CODE, WIDTHS, skips=skips))
    _, maps = encoder(torch.rand(2, 3, 128, 128) * 2 - 1)
    codes = torch.rand(6, CODE) * 2 - 1
    first = decoder.first
    x = F.conv_transpose2d(codes[:, :, None, None], first[0].weight, first[0].bias)
    x = leaky(normed(x, first[1]))
    for level, skip in enumerate(reversed(maps)):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        if skips:
            x = torch.cat((x, skip.repeat_interleave(3, 0)), dim=1)
        convolution, norm, _ = decoder.up[level]
        x = leaky(normed(F.conv2d(x, convolution.weight, convolution.bias, padding=1), norm))
        if level < 4:
            convolution, norm, _ = decoder.on[level]
            x = leaky(normed(F.conv2d(x, convolution.weight, convolution.bias, padding=1), norm))
    x = F.conv_transpose2d(x, decoder.colour.weight, decoder.colour.bias, padding=1)
    wanted = 2 * torch.sigmoid(x) - 1
    made = decoder(codes, decoder.look(maps), torch.zeros(2, 3, 128, 128))
    torch.testing.assert_close(made.frames, wanted, atol=1e-5, rtol=1e-4)
    assert made.frames is made.colour
    assert made.alpha is made.flow is None
    assert wanted.shape == (6, 3, 128, 128)


def test_a_frame_is_painted_on_the_moved_photograph():
    """``α ⊙ colour + (1 - α) ⊙ photograph(y + flow(y))``, pixel by pixel as OpenCV moves it."""
    encoder = settled(FrameEncoder(WIDTHS, CODE))
    decoder = settled(FrameDecoder(CODE, WIDTHS, warp=True))
    with torch.no_grad():
        decoder.colour.weight[:, 4:].mul_(20)
        photo = (torch.rand(2, 3, 16, 16) * 2 - 1).repeat_interleave(8, 2).repeat_interleave(8, 3)
        codes = torch.rand(4, CODE) * 2 - 1
        made = decoder(codes, decoder.look(encoder(photo)[1]), photo)
    assert made.alpha.shape == (4, 1, 128, 128)
    assert ((made.alpha > 0) & (made.alpha < 1)).all()
    assert made.flow.abs().max() > 2
    y, x = np.mgrid[:128, :128].astype(np.float32)
    for number in range(4):
        picture = photo[number // 2].permute(1, 2, 0).numpy()
        across, down = made.flow[number].numpy()
        moved = cv2.remap(picture, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = made.alpha[number, 0, :, :, None].numpy()
        wanted = alpha * made.colour[number].permute(1, 2, 0).numpy() + (1 - alpha) * moved
        # OpenCV's places are rounded to 1/32 pixel, and beside a tile's edge that is much
        found = made.frames[number].permute(1, 2, 0).numpy()
        assert np.abs(found - wanted).mean() < 0.005
        assert np.abs(found - wanted).max() < 0.1


def test_a_fresh_decoder_moves_next_to_nothing():
    torch.manual_seed(0)
    encoder, decoder = FrameEncoder(WIDTHS, CODE), FrameDecoder(CODE, WIDTHS, warp=True)
    photo = torch.rand(2, 3, 128, 128) * 2 - 1
    made = decoder(torch.rand(2, CODE), decoder.look(encoder(photo)[1]), photo)
    assert made.flow.abs().mean() < 0.5
    assert 0.08 < made.alpha.mean() < 0.2  # mostly the moved photograph


def test_the_flow_is_the_codes_own_on_a_grid_and_the_maps():
    encoder = settled(FrameEncoder(WIDTHS, CODE))
    decoder = settled(FrameDecoder(CODE, WIDTHS, warp=True))
    photo, codes = torch.rand(1, 3, 128, 128), torch.rand(3, CODE)
    with torch.no_grad():
        decoder.coarse.weight.mul_(20)
        looked = decoder.look(encoder(photo)[1])
        both = decoder(codes, looked, photo).flow
        wanted = FLOW * _enlarged(decoder.coarse(codes))
        decoder.coarse.weight.zero_()
        decoder.coarse.bias.zero_()
        of_maps = decoder(codes, looked, photo).flow
    torch.testing.assert_close(both - of_maps, wanted, atol=1e-4, rtol=1e-4)
    assert (both - of_maps).abs().max() > 1


def _enlarged(numbers):
    grid = numbers.reshape(-1, 2, 8, 8)
    return F.interpolate(grid, size=(128, 128), mode="bicubic")


def test_without_skips_the_photograph_is_not_seen():
    encoder = settled(FrameEncoder(WIDTHS, CODE))
    codes = torch.rand(2, CODE)
    for skips in (True, False):
        decoder = settled(FrameDecoder(CODE, WIDTHS, skips=skips))
        photos = [torch.rand(1, 3, 128, 128) for _ in range(2)]
        films = [decoder(codes, decoder.look(encoder(photo)[1]), photo).frames for photo in photos]
        assert torch.equal(*films) == (not skips)


def test_released_sizes():
    """Counted in the released code."""
    encoder = FrameEncoder((64, 128, 256, 512, 512), 128)
    decoder = FrameDecoder(128, (64, 128, 256, 512, 512))
    assert sum(p.numel() for p in encoder.parameters()) == 4_962_688
    assert sum(p.numel() for p in decoder.parameters()) == 15_952_195


def test_the_coarse_flow_is_enlarged_bicubically():
    torch.manual_seed(0)
    coarse = torch.randn(3, 2, 8, 8)
    wanted = F.interpolate(coarse, size=(128, 128), mode="bicubic")
    torch.testing.assert_close(enlarged(coarse, 128), wanted, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        enlarged(coarse, 64)
    again = coarse.clone().requires_grad_()
    enlarged(again, 64).sum().backward()
    assert again.grad.abs().sum() > 0
