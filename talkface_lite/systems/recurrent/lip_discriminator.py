"""The lip reader of the conditional recurrent network, as it learns from true lips."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.data.needs import Batch, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.networks.lip_reader import LipReader, LipReaderConfig, mouths_of
from talkface_lite.systems.part import Part

WINDOW_FRAMES = 20
"""Frames of a window: 0.8 s hold the longest of the words."""


@dataclass(frozen=True, kw_only=True)
class LipDiscriminatorPartConfig:
    """Settings of the lip reader.

    Parameters
    ----------
    lip_discriminator:
        Widths.
    smoothing:
        Ours: share of every word's target that all words share alike.
    moved:
        Ours: how far from its place a mouth is cut, px of the crop, at most 6, at random, each window by
        itself: no detector puts a mouth where another one does.
    """

    lip_discriminator: LipReaderConfig = field(default_factory=LipReaderConfig)
    smoothing: float = 0.0
    moved: int = 0

    def __post_init__(self) -> None:
        if self.lip_discriminator.words != len(GRID_WORDS):
            raise InputError(
                "lip_discriminator.words", self.lip_discriminator.words, f"{len(GRID_WORDS)}, GRID's"
            )
        if not 0 <= self.smoothing < 1:
            raise InputError("smoothing", self.smoothing, "0 to below 1")
        if not 0 <= self.moved <= 6:
            raise InputError("moved", self.moved, "0 to 6 px")


class LipDiscriminatorPart(Part):
    """``D_l`` before it criticises: which of GRID's 51 words do these lips say?

    Parameters
    ----------
    config:
        Widths.
    """

    system: ClassVar[str] = "recurrent"
    name: ClassVar[str] = "lip-discriminator"
    config_class: ClassVar[type] = LipDiscriminatorPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("lip_discriminator",)
    needs: Needs = Needs(rows=4, window=WINDOW_FRAMES, pictures=True, words=GRID_WORDS)
    figure: ClassVar[str] = "misread"
    adapting: ClassVar[None] = None

    def __init__(self, config: LipDiscriminatorPartConfig) -> None:
        super().__init__(config)
        self.lip_discriminator = LipReader(config.lip_discriminator)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the words that are said, nats, and the share that is ``misread``."""
        known = batch.word >= 0
        pictures, moved = to_network(batch.pictures[known]), None
        if self.training and self.config.moved:
            moved = torch.randint(-self.config.moved, self.config.moved + 1, (len(pictures), 2))
        logits = self.lip_discriminator(mouths_of(pictures, moved), batch.spoken[known])
        word = batch.word[known]
        loss = F.cross_entropy(logits, word, label_smoothing=self.config.smoothing if self.training else 0.0)
        return {"loss": loss, "misread": (logits.argmax(dim=-1) != word).float().mean()}
