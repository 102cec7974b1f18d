"""Pieces that several networks share."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.winograd import WideConv2d


def conv_block(
    n_in: int, n_out: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 1, batch_norm: bool = True
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: ATVGnet's ``conv2d``; 3×3 keeps the size unless told otherwise.

    Without batch normalisation the convolution has a bias of its own.
    """
    convolution = nn.Conv2d(n_in, n_out, kernel_size, stride, padding, bias=not batch_norm)
    norm = [nn.BatchNorm2d(n_out)] if batch_norm else []
    return nn.Sequential(convolution, *norm, nn.ReLU())


def up_block(n_in: int, n_out: int, *, bias: bool = False) -> nn.Sequential:
    """3×3 transposed convolution to twice the size, batch normalisation, ReLU."""
    up = nn.ConvTranspose2d(n_in, n_out, kernel_size=3, stride=2, padding=1, output_padding=1, bias=bias)
    return nn.Sequential(up, nn.BatchNorm2d(n_out), nn.ReLU())


class ConvOfStack(nn.Conv2d):
    """``W * (a ⊕ b) = W_a * a + W_b * b``: the convolution of maps laid on top of each other, part by part.

    So maps that many others share, as the frames of a film share a photograph, pass once and not for each of
    them.
    """

    def forward(self, stack: Tensor | Sequence[Tensor]) -> Tensor:
        """``(N, n_in, H, W)`` → ``(N, n_out, H, W)``.

        Or the parts of which that is the stack, each ``(n, C, H, W)`` with an ``n`` that divides ``N``: every
        one of them then counts ``N / n`` times in a row, as in :func:`each_frame`.
        """
        if isinstance(stack, Tensor):
            return super().forward(stack)
        n_maps = max(map(len, stack))
        weights = self.weight.split([maps.shape[1] for maps in stack], dim=1)
        parts = (self._conv_forward(maps, weight, None) for maps, weight in zip(stack, weights))
        total = sum(each_frame(part, n_maps // len(part)) for part in parts)
        return total if self.bias is None else total + self.bias[:, None, None]


def upsampled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """A 3×3 convolution of a map at twice its size: ``conv(nearest ×2 (x))``, with 4 products for 9.

    Each pixel stands four times in the enlarged map, so a 3×3 window of that sees 2×2 different ones, and
    weights that meet the same pixel add up beforehand. Four such sums, one for each place in a 2×2 block, are
    four maps of one 2×2 convolution of the small map.

    Parameters
    ----------
    x:
        ``(N, n_in, H, W)``.
    weight:
        ``(n_out, n_in, 3, 3)``.

    Returns
    -------
    ``(N, n_out, 2H, 2W)``
    """
    return interleaved(F.conv2d(x, summed_weight(weight), padding=1), x.shape[2:])


def looked_up(maps: Tensor, flow: Tensor, first: tuple[int, int] = (0, 0)) -> Tensor:
    """What each pixel finds in a map that lies so far from it, bilinear; beyond the edge the edge goes on.

    Parameters
    ----------
    maps:
        ``(B, C, H, W)``.
    flow:
        ``(N, 2, h, w)``, x and y, pixels of the maps; N is a multiple of B, those of one map in a row.
    first:
        Row and column of the maps that the first pixel of the flow stands for.

    Returns
    -------
    float32 ``(N, C, h, w)``
    """
    (height, width), (h, w) = maps.shape[2:], flow.shape[2:]
    y = torch.arange(first[0], first[0] + h, device=flow.device)[:, None]
    x = torch.arange(first[1], first[1] + w, device=flow.device)
    across, down = 2 * (flow[:, 0] + x) / (width - 1) - 1, 2 * (flow[:, 1] + y) / (height - 1) - 1
    each = maps.float()[:, None].expand(-1, len(flow) // len(maps), -1, -1, -1).flatten(0, 1)
    grid = torch.stack((across, down), dim=-1)
    return F.grid_sample(each, grid, padding_mode="border", align_corners=True)


def summed_weight(weight: Tensor) -> Tensor:
    """``(n_out, n_in, 3, 3)`` → ``(4·n_out, n_in, 2, 2)``: what meets one pixel, added up, for the pixel of a
    2×2 block that is left above, left below, right above, right below."""
    columns = [_pair(weight, dim=3, first=first) for first in (True, False)]
    return torch.cat([_pair(two, dim=2, first=first) for two in columns for first in (True, False)])


def interleaved(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Four maps of blocks' pixels as one: ``(N, 4·n_out, H + 1, W + 1)`` → ``(N, n_out, 2H, 2W)``."""
    height, width = size
    la, lb, ra, rb = maps.chunk(4, dim=1)
    left = torch.stack((la[:, :, :height, :width], lb[:, :, 1:, :width]), dim=3)  # (N, n_out, H, 2, W)
    right = torch.stack((ra[:, :, :height, 1:], rb[:, :, 1:, 1:]), dim=3)
    return torch.stack((left, right), dim=5).flatten(4, 5).flatten(2, 3)  # (N, n_out, 2H, 2W)


def _pair(weight: Tensor, *, dim: int, first: bool) -> Tensor:
    """Three weights in a row as two, for the first or the second of two equal pixels."""
    a, b, c = weight.split(1, dim=dim)
    return torch.cat((a, b + c) if first else (a + b, c), dim=dim)


def at_once(x: Tensor, *heads: nn.Module) -> list[Tensor]:
    """``[head(x) for head in heads]``, with the convolutions that the heads begin with done as one.

    A head is a convolution to a few maps and what squashes them. All by :func:`few_maps`, so it is float32 at
    least that comes out. At VG-net's end that saves a quarter of the time of a step of training.

    Parameters
    ----------
    x:
        As for :func:`few_maps`.
    heads:
        ``nn.Sequential`` of a convolution that keeps the size and something that works value by value. Any
        other module is called as it is.
    """
    joint = [head for head in heads if isinstance(head, nn.Sequential)]
    weight, bias = (torch.cat([getattr(head[0], part) for head in joint]) for part in ("weight", "bias"))
    maps = iter(few_maps(x, weight, bias).split([len(head[0].weight) for head in joint], dim=1))
    return [head[1](next(maps)) if head in joint else head(x) for head in heads]


def few_maps(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution with few output maps and the size kept, ``(N, n_in, H, W)`` → ``(N, n_out, H, W)``.

    A processor with registers of 16 numbers computes 16 maps in the time of 4. So the four pixels of a 2×2
    block are taken for maps of their own here, and the convolution goes from block to block. The weights are
    the same, one pixel further for each of the four. What comes out is float32 at least.

    Parameters
    ----------
    x:
        With even height and width.
    weight, bias:
        ``(n_out, n_in, k, k)`` with an odd ``k``, and ``(n_out,)``.
    """
    n_out, _, side, _ = weight.shape
    if x.is_cuda:
        maps = F.conv2d(x, weight, bias, padding=side // 2)
        return maps.to(torch.promote_types(maps.dtype, torch.float32))
    shifted = [F.pad(weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
    blocks = F.conv2d(
        x, torch.cat(shifted), bias.repeat(4), stride=2, padding=side // 2
    )  # (N, 4·n_out, H/2, W/2)
    blocks = blocks.to(torch.promote_types(blocks.dtype, torch.float32)).unflatten(1, (2, 2, n_out))
    return blocks.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)  # (N, n_out, H/2, 2, W/2, 2)


class Dropout(nn.Dropout):
    """``nn.Dropout``; on a CPU from uniform numbers, four times as fast to draw as torch's zeros and ones."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        if x.is_cuda or not self.training or self.p == 0:
            return super().forward(x)
        kept = torch.rand_like(x, dtype=torch.float32) >= self.p
        return x * kept / (1 - self.p)


class ResidualBlock(nn.Module):
    """``x + BN(conv(dropout(ReLU(BN(conv(x))))))``, 3×3, without a nonlinearity after the sum."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            WideConv2d(width, width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            Dropout(dropout),
            WideConv2d(width, width, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` → the same."""
        return x + self.layers(x)


class Everywhere(nn.Module):
    """In the place of an attention that is left out: a share of 1 at each place, none of the photograph's."""

    def __init__(self, scale: int = 1) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` → ones, ``(N, 1, scale·H, scale·W)``."""
        return x.new_ones(len(x), 1, self.scale * x.shape[2], self.scale * x.shape[3])


def linear_relu(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers through the given widths, each followed by ReLU."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in a module (buffers such as running means are not counted)."""
    return sum(parameter.numel() for parameter in module.parameters())


def each_frame(per_photo: Tensor, n_frames: int) -> Tensor:
    """Repeat what belongs to a photograph for each of its frames: ``(B, C, ...)`` → ``(B·T, C, ...)``."""
    last = per_photo.movedim(1, -1).unsqueeze(1)  # (B, 1, ..., C): should it be copied, then channels last
    return last.expand(-1, n_frames, *last.shape[2:]).flatten(0, 1).movedim(-1, 1)


def full_precision(device: torch.device) -> AbstractContextManager:
    """Inside it nothing is rounded to bfloat16, whatever is around; on a device without mixed precision, such
    as torch's ``meta``, nothing would be."""
    mixed = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if mixed else nullcontext()


class FrameNorm(nn.BatchNorm1d):
    """Batch normalisation of vectors, one a frame. A single frame has no spread: it is normalised by what is
    known of others, while it learns, too."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, n)`` → ``(N, n)``."""
        return self.by_known(x) if len(x) == 1 else super().forward(x)

    def by_known(self, x: Tensor) -> Tensor:
        """The same by mean and deviation that were gathered before."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def normed(x: Tensor, norm: FrameNorm | None, *, known: bool = False) -> Tensor:
    """``(B, T, n)``, over people and time at mean 0 and deviation 1 where there is a norm; while it learns,
    too, by mean and deviation that are ``known``."""
    if norm is None:
        return x
    return (norm.by_known if known else norm)(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def plus(y: Tensor, around: nn.Linear | None, x: Tensor) -> Tensor:
    """``y`` of a recurrent layer, and what a path round it makes of what came in, where there is one."""
    return y if around is None else y + around(x)


def picked(values: Tensor, chosen: Tensor | None) -> Tensor:
    """Some frames of each window: ``(B, T, ...)`` and int64 ``(B, P)`` → ``(B, P, ...)``; None: all."""
    if chosen is None:
        return values
    return values[torch.arange(len(values), device=values.device)[:, None], chosen]
