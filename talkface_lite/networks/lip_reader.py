"""What do these lips say? A small network that reads words off pictures of a mouth.

The lip-reading discriminator of Song, Zhu, Li, Wang, Qi: Talking Face Generation by Conditional Recurrent
Adversarial Network, IJCAI 2019, which gives no sizes; these are those of its released code.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from talkface_lite.networks.layers import FrameNorm
from talkface_lite.networks.sizes import TwoSizes

MOUTH_SIDE = 40
"""Pixels of the picture of a mouth that the lip reader sees."""

MOUTH_BOX = (38, 70, 52)
"""Where that lies in an aligned crop of 128×128: left, top and side, px. Crops are aligned on nose and eyes,
so that mouths are near one place."""


@dataclass(frozen=True, kw_only=True)
class LipReaderConfig(TwoSizes):
    """Widths of the lip reader; the defaults are the released code's (``full``).

    Parameters
    ----------
    mouth:
        Outputs of the three convolutions, each followed by a halving.
    features:
        What a picture of a mouth becomes after them.
    layers:
        Depth of the LSTM, whose units are as many as the features.
    words:
        How many it knows: GRID's 51, or LRW's 500.
    """

    mouth: tuple[int, int, int] = (16, 32, 64)
    features: int = 512
    layers: int = 2
    words: int = 51

    @classmethod
    def full(cls, **changes: object) -> Self:
        """The released code's widths: 5,304,308 parameters where it knows LRW's 500 words."""
        return cls(**changes)

    @classmethod
    def lite(cls, **changes: object) -> Self:
        """The same structure for a laptop."""
        return cls(**({"mouth": (16, 24, 32), "features": 128, "layers": 1} | changes))


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
            for (a, b), k in zip(pairwise((3, *c.mouth)), (5, 3, 3), strict=True)
        ]
        self.convolutions = nn.Sequential(*blocks)
        n_maps = c.mouth[-1] * (MOUTH_SIDE // 8) ** 2
        self.features = nn.Sequential(nn.Linear(n_maps, c.features), FrameNorm(c.features), nn.ReLU())
        self.lstm = nn.LSTM(c.features, c.features, c.layers, batch_first=True)
        self.words = nn.Linear(c.features, c.words)

    def forward(self, mouths: Tensor, spoken: Tensor | None = None) -> Tensor:
        """Mouths to words.

        Parameters
        ----------
        mouths:
            ``(B, T, 3, 40, 40)`` in [-1, 1], see :func:`mouths_of`.
        spoken:
            bool ``(B, T)``: the frames that say the word, one after the other; at least one in each row.
            None: all.

        Returns
        -------
        ``(B, words)``
        """
        if spoken is None:
            x = self.features(self.convolutions(mouths.flatten(0, 1)).flatten(1))  # (B·T, 3, 40, 40) → …
            h, _ = self.lstm(x.unflatten(0, mouths.shape[:2]))  # (B, T, features) → (B, T, …)
            return self.words(h[:, -1])  # (B, features) → (B, words)
        n_frames = spoken.sum(dim=1)  # (B,)
        x = self.features(self.convolutions(mouths[spoken]).flatten(1))  # (N, 3, 40, 40) → (N, features)
        rows = nn.utils.rnn.pad_sequence(x.split(n_frames.tolist()), batch_first=True)  # (B, longest, …)
        h, _ = self.lstm(rows)  # → (B, longest, features)
        last = h[torch.arange(len(h), device=h.device), n_frames - 1]  # (B, features)
        return self.words(last)  # → (B, words)


def mouths_of(frames: Tensor, moved: Tensor | None = None) -> Tensor:
    """Pictures of mouths, with a gradient to where they were cut from.

    Parameters
    ----------
    frames:
        Aligned crops ``(B, T, 3, 128, 128)``.
    moved:
        int64 ``(B, 2)``: how far from where it belongs each film's box is cut, right and down, px.

    Returns
    -------
    ``(B, T, 3, 40, 40)``
    """
    left, top, side = MOUTH_BOX
    places = [(0, 0)] * len(frames) if moved is None else moved.tolist()
    boxes = torch.stack(
        [
            film[..., top + y : top + y + side, left + x : left + x + side]
            for film, (x, y) in zip(frames, places, strict=True)
        ]
    )
    small = F.interpolate(boxes.flatten(0, 1), size=(MOUTH_SIDE, MOUTH_SIDE), mode="area")
    return small.unflatten(0, frames.shape[:2])
