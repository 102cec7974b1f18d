"""A critic of patches: is each piece of a frame real, given the drawing of its landmarks?

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, their
PatchGAN. Wang et al. name a discriminator and binary cross-entropy ({cite}`wang2020attentional`, Eq. 10) and
nothing of its layers.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from talkface_lite.errors import InputError
from talkface_lite.networks.landmark_drawing import CHANNELS
from talkface_lite.networks.sizes import TwoSizes

SLOPE = 0.2
"""Of LeakyReLU below 0."""


@dataclass(frozen=True, kw_only=True)
class PatchDiscriminatorConfig(TwoSizes):
    """Widths of the critic; the defaults are pix2pix's (``full``).

    Parameters
    ----------
    widths:
        Outputs of the convolutions before the logits: all but the last halve.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)

    @classmethod
    def full(cls, **changes: object) -> Self:
        """pix2pix's widths: a logit sees 70×70 pixels; 2,768,705 parameters."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop, one halving less: a logit sees 34×34 pixels; 43,729 parameters."""
        return cls(**({"widths": (16, 32, 64)} | changes))


class PatchDiscriminator(nn.Module):
    """Frames and drawings to logits of their patches, above 0 for real.

    4×4 convolutions, batch normalisation but in the first and in the logits, LeakyReLU. The last two go one
    pixel at a time, so patches overlap: with the full widths each logit sees 70×70 pixels, and its neighbour
    70×70 that begin 8 further on.

    Parameters
    ----------
    config:
        The widths; :meth:`PatchDiscriminatorConfig.full` and :meth:`PatchDiscriminatorConfig.lite`.
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        widths = config.widths
        layers: list[nn.Module] = []
        for level, (a, b) in enumerate(pairwise((3 + CHANNELS, *widths))):
            stride = 2 if level < len(widths) - 1 else 1
            norm = [nn.BatchNorm2d(b)] if level else []
            layers += [nn.Conv2d(a, b, 4, stride, 1, bias=not level), *norm, nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, frames: Tensor, drawing: Tensor) -> Tensor:
        """Whether each patch is real.

        Parameters
        ----------
        frames:
            ``(N, 3, S, S)`` in [-1, 1].
        drawing:
            ``(N, 3, S, S)`` in [0, 1], see :func:`~talkface_lite.networks.landmark_drawing.drawn`.

        Returns
        -------
        Tensor
            ``(N, 1, s, s)``; with the full widths ``s = S/8 - 2``, with the lite ones ``S/4 - 2``.

        Raises
        ------
        InputError
            When there is not one drawing of its size for each frame.
        """
        if frames.shape != drawing.shape:
            raise InputError("drawing", f"shape {tuple(drawing.shape)}", f"the frames' {tuple(frames.shape)}")
        both = torch.cat((frames, drawing), dim=1)  # (N, 3, S, S) ⊕ (N, 3, S, S) → (N, 6, S, S)
        return self.layers(both)  # (N, 6, S, S) → (N, widths[-1], s + 1, s + 1) → (N, 1, s, s)
