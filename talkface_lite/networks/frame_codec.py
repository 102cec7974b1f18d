"""Pictures to a code and back, with a photograph's maps beside: the frame module of latent matching.

Yadav, Sardana, Namboodiri, Hegde: Stochastic Talking Face Generation Using Latent Distribution Matching,
Interspeech 2020, Fig. 2. The paper gives no sizes; these are its released code's: the encoder and decoder of
Denton and Fergus (Stochastic Video Generation with a Learned Prior, ICML 2018), with one convolution a stage.
"""

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.layers import each_frame, full_precision, looked_up, upsampled_conv

SLOPE = 0.2
"""Of LeakyReLU below 0."""

COARSEST = 4
"""Side of the smallest map, pixels: five halvings of 128."""

WIDE = 64
"""From so many channels on, adding up weights first is faster than enlarging maps (:class:`UpConv`)."""

FLOW = 4.0
"""Pixels that a photograph moves by where the decoder's output for it is 1."""

GRID = 8
"""Side of the coarse flow, which a code gives by itself."""

LITTLE = 0.1
"""Of its weights the flow begins with: nothing moves far at first."""

MOSTLY_MOVED = -2.0
"""Logit of α at first, 0.12. From 0.5 heads turned as soon in the one trial that changed nothing else."""


class Decoded(NamedTuple):
    """What the decoder makes of N codes; without a warp everything is painted, and α and flow are None.

    Parameters
    ----------
    frames, colour:
        ``(N, 3, 128, 128)`` in [-1, 1]: the finished pictures, and what is painted.
    alpha:
        ``(N, 1, 128, 128)`` in [0, 1]: how far each pixel is painted.
    flow:
        ``(N, 2, 128, 128)``: how far from each pixel, in x and y, lies what it shows of the photograph, px.
    """

    frames: Tensor
    colour: Tensor
    alpha: Tensor | None = None
    flow: Tensor | None = None


def leaky_block(convolution: nn.Module, n_out: int) -> nn.Sequential:
    """A convolution, batch normalisation, LeakyReLU."""
    return nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.LeakyReLU(SLOPE))


class FrameEncoder(nn.Module):
    """``h_f = Enc_f(f_t)`` (Eq. 3): a picture of 128×128 to a vector, in five halvings.

    Parameters
    ----------
    widths:
        Channels at 128, 64, 32, 16 and 8 pixels.
    code:
        Length of the vector.
    """

    def __init__(self, widths: Sequence[int], code: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            leaky_block(nn.Conv2d(n_in, n_out, 3, padding=1), n_out) for n_in, n_out in pairwise((3, *widths))
        )
        last = nn.Conv2d(widths[-1], code, COARSEST)
        self.last = nn.Sequential(last, nn.BatchNorm2d(code), nn.Tanh())

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pictures to codes, and the maps on the way.

        Parameters
        ----------
        frames:
            ``(N, 3, 128, 128)`` in [-1, 1].

        Returns
        -------
        code, maps:
            ``(N, code)`` in [-1, 1]; of each stage ``(N, width, side, side)``, side 128 to 8.
        """
        maps, x = [], frames
        for stage in self.stages:
            maps.append(stage(x))  # (N, width, side, side)
            x = F.max_pool2d(maps[-1], 2)  # → (N, width, side / 2, side / 2)
        return self.last(x).flatten(1), maps  # (N, widths[-1], 4, 4) → (N, code)


class UpConv(nn.Conv2d):
    """``W * (up(x) ⊕ s)``: a 3×3 convolution of a map at twice its size, with a photograph's map beside it.

    ``= W_x * up(x) + W_s * s``: the photograph's part is the same for all its frames, so it is convolved once
    (:meth:`of_photo`).

    Parameters
    ----------
    n_in, n_skip, n_out:
        Channels of the map, of the photograph's, and of what comes out.
    """

    def __init__(self, n_in: int, n_skip: int, n_out: int) -> None:
        super().__init__(n_in + n_skip, n_out, 3, padding=1)
        self.n_map = n_in

    def of_photo(self, skip: Tensor | None) -> Tensor:
        """``W_s * s`` and the bias: ``(B, n_skip, S, S)`` → ``(B, n_out, S, S)``; None: the bias alone."""
        if skip is None:
            return self.bias[None, :, None, None]
        return F.conv2d(skip, self.weight[:, self.n_map :], self.bias, padding=1)

    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        """``x`` ``(B·T, n_in, S/2, S/2)`` and what :meth:`of_photo` gave → ``(B·T, n_out, S, S)``."""
        x, of_photo = given
        return self.of_map(x) + of_each_frame(of_photo, len(x))

    def of_map(self, x: Tensor) -> Tensor:
        """``W_x * up(x)``: ``(N, n_in, S/2, S/2)`` → ``(N, n_out, S, S)``."""
        weight = self.weight[:, : self.n_map]
        if self.n_map >= WIDE:
            return upsampled_conv(x, weight)
        return F.conv2d(F.interpolate(x, scale_factor=2), weight, padding=1)


def of_each_frame(of_photo: Tensor, n_frames: int) -> Tensor:
    """What belongs to B photographs, ``(B, C, S, S)``, for ``n_frames`` frames, as many of each."""
    if len(of_photo) in (1, n_frames):
        return of_photo  # broadcasts
    return each_frame(of_photo, n_frames // len(of_photo))


class FrameDecoder(nn.Module):
    """``p(f_t | z_t)``: codes to pictures, with the photograph's maps at every size.

    Parameters
    ----------
    code:
        Length of a code.
    widths:
        The encoder's.
    skips:
        False leaves the photograph's maps out: everything must pass through the code.
    warp:
        Ours: beside a colour the last layer gives α and a flow, and a frame is
        ``α ⊙ colour + (1 - α) ⊙ photograph moved by the flow``. The flow is a sum: of one that the code gives
        by itself, on a coarse grid, as a head turns; and of one that the maps give for each pixel.
    """

    def __init__(self, code: int, widths: Sequence[int], *, skips: bool = True, warp: bool = False) -> None:
        super().__init__()
        self.skips, self.warp = skips, warp
        first = nn.ConvTranspose2d(code, widths[-1], COARSEST)
        self.first = leaky_block(first, widths[-1])
        self.up, self.on = nn.ModuleList(), nn.ModuleList()
        n_in = widths[-1]
        for level in range(len(widths) - 1, -1, -1):
            wide = widths[level]
            self.up.append(leaky_block(UpConv(n_in, wide if skips else 0, wide), wide))
            n_in = widths[level - 1] if level else wide
            if level:
                self.on.append(leaky_block(nn.Conv2d(wide, n_in, 3, padding=1), n_in))
        self.colour = nn.ConvTranspose2d(n_in, 6 if warp else 3, 3, padding=1)
        if warp:
            self.coarse = nn.Linear(code, 2 * GRID**2)
            begin_moving(self.colour.weight[:, 4:], self.colour.bias[3:], self.coarse)

    def look(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """What the encoder's maps of B photographs give to every frame, from 8 to 128 pixels."""
        stages = zip(self.up, reversed(maps))
        return [stage[0].of_photo(skip if self.skips else None) for stage, skip in stages]

    def forward(self, codes: Tensor, looked: Sequence[Tensor], photo: Tensor) -> Decoded:
        """Codes to pictures.

        Parameters
        ----------
        codes:
            ``(B·T, code)``, those of a photograph in a row.
        looked:
            What :meth:`look` gave of B photographs.
        photo:
            The photographs ``(B, 3, 128, 128)`` in [-1, 1].
        """
        x = self.first(codes[:, :, None, None])  # (B·T, code, 1, 1) → (B·T, widths[4], 4, 4)
        for level, up in enumerate(self.up):
            x = up((x, looked[level]))  # → (B·T, width, S, S), S = 8 … 128
            if level < len(self.on):
                x = self.on[level](x)  # → (B·T, next width, S, S)
        return self.finish(x, photo, codes)

    def finish(self, x: Tensor, photo: Tensor, codes: Tensor) -> Decoded:
        """The last layer: codes and their maps ``(B·T, widths[0], 128, 128)`` to their pictures."""
        x = self.colour(x).float()  # → (B·T, 3 or 6, 128, 128)
        colour = 2 * torch.sigmoid(x[:, :3]) - 1  # (B·T, 3, 128, 128)
        if not self.warp:
            return Decoded(colour, colour)
        return painted_on(photo, colour, x[:, 3:], self.coarse(codes))


@torch.no_grad()
def begin_moving(fine: Tensor, biases: Tensor, coarse: nn.Linear) -> None:
    """Where a decoder that moves the photograph begins: mostly moved, and nothing far.

    Parameters
    ----------
    fine:
        What the last layer weighs the flow of each pixel by.
    biases:
        ``(3,)``: of α's logit and of that flow.
    coarse:
        The layer that gives the coarse flow.
    """
    for weight in (fine, coarse.weight):
        weight.mul_(LITTLE)
    biases.copy_(torch.tensor([MOSTLY_MOVED, 0.0, 0.0]))
    coarse.bias.zero_()


def painted_on(photo: Tensor, colour: Tensor, how: Tensor, coarse: Tensor) -> Decoded:
    """``α ⊙ colour + (1 - α) ⊙ photograph moved by the flow``.

    Parameters
    ----------
    photo:
        ``(B, 3, 128, 128)`` in [-1, 1].
    colour:
        ``(B·T, 3, 128, 128)`` in [-1, 1]; those of a photograph in a row.
    how:
        ``(B·T, 3, 128, 128)``: α's logit, and the flow of each pixel over :data:`FLOW`.
    coarse:
        ``(B·T, 2·8·8)``: the coarse flow over :data:`FLOW`, x and y.
    """
    coarse = coarse.float().unflatten(1, (2, GRID, GRID))  # (B·T, 2, 8, 8)
    coarse = enlarged(coarse, how.shape[2])  # → (B·T, 2, 128, 128)
    alpha, flow = torch.sigmoid(how[:, :1]), FLOW * (coarse + how[:, 1:])  # (B·T, 1, …), (B·T, 2, …)
    moved = looked_up(photo, flow)  # (B, 3, 128, 128) → (B·T, 3, 128, 128)
    return Decoded(alpha * colour + (1 - alpha) * moved, colour, alpha, flow)


def enlarged(coarse: Tensor, side: int) -> Tensor:
    """``(N, 2, 8, 8)`` → ``(N, 2, side, side)``, bicubic: rows, then columns, each a product of matrices."""
    cubic = _bicubic(side, coarse.device)  # (side, 8)
    with full_precision(coarse.device):
        return cubic @ coarse @ cubic.T


@functools.cache
def _bicubic(side: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        one = torch.eye(GRID, device=device)[None, None]
        return F.interpolate(one, size=(side, GRID), mode="bicubic")[0, 0]
