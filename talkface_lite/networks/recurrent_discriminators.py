"""Two critics of the conditional recurrent network: is each frame real, and is the film? (Eqs. 3 and 4)

Song, Zhu, Li, Wang, Qi: Talking Face Generation by Conditional Recurrent Adversarial Network, IJCAI 2019.
Sizes, which the paper does not give, are those of its released code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from torch import Tensor, nn

from talkface_lite.networks.sizes import TwoSizes

SLOPE = 0.2
"""Of LeakyReLU below 0."""

FEWEST = 9
"""Frames of a film: four convolutions take two off each."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorsConfig(TwoSizes):
    """Widths of the critics of pictures and films; the defaults are the released code's (``full``).

    Parameters
    ----------
    frame:
        Outputs of the image discriminator's four convolutions.
    film:
        Outputs of the video discriminator's three convolutions, before its last.
    """

    frame: tuple[int, int, int, int] = (16, 32, 64, 128)
    film: tuple[int, int, int] = (64, 128, 256)

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 97,569 and 1,119,361 parameters."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        return cls(**({"frame": (8, 16, 32, 64), "film": (16, 32, 64)} | changes))


class ImageDiscriminator(nn.Module):
    """``D_I``: a frame to logits of its patches, above 0 for real.

    Parameters
    ----------
    widths:
        Outputs of convolutions that halve.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.InstanceNorm2d(b), nn.LeakyReLU(SLOPE))
            for a, b in pairwise((3, *widths))
        ]
        self.layers = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """``(N, 3, 128, 128)`` in [-1, 1] → ``(N, 8, 8)``."""
        return self.layers(frames)[:, 0]  # → (N, widths[3], 8, 8) → (N, 1, 8, 8)


class VideoDiscriminator(nn.Module):
    """``D_V``: a film to logits of its stretches of nine frames and their patches, above 0 for real.

    Parameters
    ----------
    widths:
        Outputs of 3-D convolutions that halve a picture and take two frames off a film.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        how = {"kernel_size": 3, "stride": (1, 2, 2), "padding": (0, 1, 1)}
        blocks = [
            nn.Sequential(nn.Conv3d(a, b, **how), nn.BatchNorm3d(b), nn.LeakyReLU(SLOPE))
            for a, b in pairwise((3, *widths))
        ]
        self.layers = nn.Sequential(*blocks, nn.Conv3d(widths[-1], 1, **how))

    def forward(self, film: Tensor) -> Tensor:
        """``(B, T, 3, 128, 128)`` in [-1, 1], T at least 9, → ``(B, T - 8, 8, 8)``."""
        x = film.transpose(1, 2)  # → (B, 3, T, 128, 128)
        return self.layers(x)[:, 0]  # → (B, widths[2], T - 6, 16, 16) → (B, 1, T - 8, 8, 8)
