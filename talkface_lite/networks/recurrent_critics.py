"""Three critics: is each frame real, is the film, and what do the lips say? (Eqs. 2 to 4)

Song, Zhu, Li, Wang, Qi: Talking Face Generation by Conditional Recurrent Adversarial Network, IJCAI 2019.
Sizes, which the paper does not give, are those of its released code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.sizes import TwoSizes

SLOPE = 0.2
"""Of LeakyReLU below 0."""

MOUTH_SIDE = 40
"""Pixels of the picture of a mouth that the lip reader sees."""

MOUTH_BOX = (38, 70, 52)
"""Where that lies in an aligned crop of 128×128: left, top and side, px. Crops are aligned on nose and eyes, so
that mouths are near one place."""


@dataclass(frozen=True, kw_only=True)
class CriticsConfig(TwoSizes):
    """Widths of the critics of pictures and films; the defaults are the released code's (``full``).

    Parameters
    ----------
    image:
        Outputs of the image discriminator's four convolutions.
    video:
        Outputs of the video discriminator's three convolutions, before its last.
    """

    image: tuple[int, int, int, int] = (16, 32, 64, 128)
    video: tuple[int, int, int] = (64, 128, 256)

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 97,569 and 1,119,361 parameters."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        return cls(**({"image": (8, 16, 32, 64), "video": (16, 32, 64)} | changes))


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


@dataclass(frozen=True, kw_only=True)
class LipReaderConfig(TwoSizes):
    """Widths of the lip reader; the defaults are the released code's (``full``).

    Parameters
    ----------
    image:
        Outputs of the three convolutions, each followed by a halving.
    features:
        What a picture of a mouth becomes after them.
    layers:
        Depth of the LSTM, whose units are as many as the features.
    words:
        How many it knows.
    """

    image: tuple[int, int, int] = (16, 32, 64)
    features: int = 512
    layers: int = 2
    words: int = 500

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 5,304,308 parameters for LRW's 500 words."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        return cls(**({"image": (16, 24, 32), "features": 128, "layers": 1} | changes))


class LipReader(nn.Module):
    """``D_l``: pictures of a mouth that says a word to logits of the words.

    Parameters
    ----------
    config:
        Widths.
    """

    def __init__(self, config: LipReaderConfig) -> None:
        super().__init__()
        self.config = c = config
        blocks = [
            nn.Sequential(nn.Conv2d(a, b, k, 1, k // 2), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
            for (a, b), k in zip(pairwise((3, *c.image)), (5, 3, 3), strict=True)
        ]
        self.convolutions = nn.Sequential(*blocks)
        n_maps = c.image[-1] * (MOUTH_SIDE // 8) ** 2
        self.features = nn.Sequential(nn.Linear(n_maps, c.features), nn.BatchNorm1d(c.features), nn.ReLU())
        self.lstm = nn.LSTM(c.features, c.features, c.layers, batch_first=True)
        self.words = nn.Linear(c.features, c.words)

    def forward(self, mouths: Tensor, spoken: Tensor) -> Tensor:
        """Mouths to words.

        Parameters
        ----------
        mouths:
            ``(B, T, 3, 40, 40)`` in [-1, 1], see :func:`mouths_of`.
        spoken:
            bool ``(B, T)``: the frames that say the word, one after the other; at least one in each row.

        Returns
        -------
        ``(B, words)``
        """
        n_frames = spoken.sum(dim=1)  # (B,)
        x = self.features(self.convolutions(mouths[spoken]).flatten(1))  # (N, 3, 40, 40) → (N, features)
        rows = nn.utils.rnn.pad_sequence(x.split(n_frames.tolist()), batch_first=True)  # (B, longest, …)
        h, _ = self.lstm(rows)  # → (B, longest, features)
        last = h[torch.arange(len(h), device=h.device), n_frames - 1]  # (B, features)
        return self.words(last)  # → (B, words)


def mouths_of(frames: Tensor) -> Tensor:
    """Aligned crops ``(B, T, 3, 128, 128)`` → their mouths ``(B, T, 3, 40, 40)``, with a gradient."""
    left, top, side = MOUTH_BOX
    box = frames[..., top : top + side, left : left + side]
    small = F.interpolate(box.flatten(0, 1), size=(MOUTH_SIDE, MOUTH_SIDE), mode="area")
    return small.unflatten(0, frames.shape[:2])
