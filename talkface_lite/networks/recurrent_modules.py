"""What the conditional recurrent generator is made of: encoders of sound and picture, and a convolution that
enlarges.

Song, Zhu, Li, Wang, Qi: Talking Face Generation by Conditional Recurrent Adversarial Network, IJCAI 2019.
Sizes, which the paper does not give, are those of its released code.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.frame_codec import of_each_frame
from talkface_lite.networks.layers import FrameNorm

KERNEL = 5
"""Of the image encoder's and the decoder's convolutions."""

COARSEST = 8
"""Side of the smallest map, pixels: four halvings of 128."""

ROWS, COEFFICIENTS = 35, 12
"""Of a window of MFCC: 350 ms, C1 to C12."""


def convolution(n_in: int, n_out: int, norm: bool, kernel: int = KERNEL, stride: int = 1) -> nn.Sequential:
    """A convolution, ReLU; with ``norm`` batch normalisation between. The convolution has a bias even then,
    which does nothing, as in the released code."""
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2)
    return nn.Sequential(conv, *([nn.BatchNorm2d(n_out)] if norm else []), nn.ReLU())


class AudioEncoder(nn.Module):
    """``z^A_t = E_A(A_t)``: a window of MFCC to a vector.

    Parameters
    ----------
    widths:
        Outputs of five 3×3 convolutions; the second and the fifth halve.
    code:
        Length of the vector.
    rows:
        Of MFCC in a window.
    """

    def __init__(self, widths: Sequence[int], code: int, rows: int = ROWS) -> None:
        super().__init__()
        strides = (1, 2, 1, 1, 2)
        self.convolutions = nn.Sequential(
            *(convolution(*sizes, True, 3, stride) for sizes, stride in zip(pairwise((1, *widths)), strides))
        )
        n_maps = widths[-1] * halved(halved(COEFFICIENTS)) * halved(halved(rows))
        self.last = nn.Sequential(nn.Linear(n_maps, code), FrameNorm(code), nn.ReLU(), nn.Linear(code, code))
        self.register_buffer("mfcc_mean", torch.zeros(COEFFICIENTS))
        self.register_buffer("mfcc_std", torch.ones(COEFFICIENTS))

    def forward(self, mfcc: Tensor) -> Tensor:
        """Windows of MFCC ``(B, T, rows, 12)`` → ``(B, T, code)``."""
        x = (mfcc - self.mfcc_mean) / self.mfcc_std  # (B, T, rows, 12)
        x = x.flatten(0, 1).mT[:, None]  # → (B·T, 1, 12, rows)
        x = self.convolutions(x).flatten(1)  # → (B·T, widths[4], 3, 9) → (B·T, 27·widths[4])
        return self.last(x).unflatten(0, mfcc.shape[:2])  # → (B, T, code)


def halved(side: int) -> int:
    """Of a map after a 3×3 convolution of stride 2."""
    return (side + 1) // 2


class ImageEncoder(nn.Module):
    """``z^I = E_I(I*)``: a picture of 128×128 to a vector, in four halvings.

    Parameters
    ----------
    n_in:
        Channels: 3, or 3 for each of several pictures laid on top of each other.
    widths:
        Channels at 64, 32, 16 and 8 pixels.
    code:
        Length of the vector.
    norm:
        Whether each convolution is batch normalised.
    """

    def __init__(self, n_in: int, widths: Sequence[int], code: int, *, norm: bool) -> None:
        super().__init__()
        self.stages = nn.ModuleList(convolution(a, b, norm, stride=2) for a, b in pairwise((n_in, *widths)))
        self.last = nn.Linear(widths[-1] * COARSEST**2, code)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures to vectors, and the maps on the way.

        Parameters
        ----------
        pictures:
            ``(N, n_in, 128, 128)`` in [-1, 1].

        Returns
        -------
        code, maps:
            ``(N, code)``; of each stage ``(N, width, side, side)``, side 64 to 8.
        """
        maps, x = [], pictures
        for stage in self.stages:
            x = stage(x)  # (N, width, side, side) → (N, next width, side / 2, side / 2)
            maps.append(x)
        return self.last(x.flatten(1)), maps  # (N, widths[3]·64) → (N, code)


class UpConvTranspose(nn.ConvTranspose2d):
    """``W ⋆ (x ⊕ s)``: a 5×5 transposed convolution to twice the size, of a map with a photograph's beside.

    ``= W_x ⋆ x + W_s ⋆ s``: the photograph's part is the same for all its frames, so it is convolved once.

    Parameters
    ----------
    n_in, n_skip, n_out:
        Channels of the map, of the photograph's, and of what comes out.
    """

    def __init__(self, n_in: int, n_skip: int, n_out: int) -> None:
        super().__init__(n_in + n_skip, n_out, KERNEL, 2, KERNEL // 2, output_padding=1)
        self.n_map = n_in

    def of_photo(self, skip: Tensor) -> Tensor:
        """``W_s ⋆ s`` and the bias: ``(B, n_skip, S, S)`` → ``(B, n_out, 2S, 2S)``."""
        return self._up(skip, self.weight[self.n_map :], self.bias)

    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        """``x`` ``(B·T, n_in, S, S)`` and what :meth:`of_photo` gave → ``(B·T, n_out, 2S, 2S)``."""
        x, of_photo = given
        return self.of_map(x) + of_each_frame(of_photo, len(x))

    def of_map(self, x: Tensor) -> Tensor:
        """``W_x ⋆ x``: ``(N, n_in, S, S)`` → ``(N, n_out, 2S, 2S)``."""
        return self._up(x, self.weight[: self.n_map])

    def _up(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, 2, KERNEL // 2, 1)
