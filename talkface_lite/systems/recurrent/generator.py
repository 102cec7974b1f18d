"""The generator of the conditional recurrent network, and the critics that teach it (Song et al., IJCAI 2019)."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.data.needs import Batch, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import lip_critic_loss, mouth_map, pixel_loss
from talkface_lite.networks.recurrent_critics import (
    CriticsConfig,
    ImageDiscriminator,
    LipReader,
    LipReaderConfig,
    VideoDiscriminator,
    mouths_of,
)
from talkface_lite.networks.recurrent_generator import RecurrentGenerator, RecurrentGeneratorConfig
from talkface_lite.systems.part import Part, adam, plain_module, shipped_weights
from talkface_lite.systems.recurrent.lip_reader import LipReaderPart
from talkface_lite.systems.training_settings import TrainingSettings

LipCritic = Literal["uniform", "released", "paper", "fixed"]


@dataclass(frozen=True, kw_only=True)
class GeneratorPartConfig:
    """Settings of the generator and its critics.

    Parameters
    ----------
    generator:
        Widths and scheme.
    critics:
        Widths of the critics of pictures and films; None: neither.
    lip_reader:
        Widths of the lip-reading discriminator; None: no such.
    image_weight, video_weight, lip_weight:
        λ of Eq. 5. The paper has 1e-3, 1e-2 and 1e-3, the released code 2e-3 for the image.
    critics_from, lips_from:
        Updates of reconstruction alone before the critics join, and the lip reader. The paper trains so many
        epochs of each.
    critic_rate:
        Of all critics; None takes the generator's, as the paper does. The released code has 1e-3.
    lip_critic:
        How the lip reader learns meanwhile, see :func:`talkface_lite.losses.lip_critic_loss`.
    teacher_forcing:
        Where frames are fed back: the share that is seen as it truly is. The released code has a half.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in Eq. 1; 0 is the paper's.
    """

    generator: RecurrentGeneratorConfig = field(default_factory=RecurrentGeneratorConfig)
    critics: CriticsConfig | None = field(default_factory=CriticsConfig)
    lip_reader: LipReaderConfig | None = None
    image_weight: float = 1e-3
    video_weight: float = 1e-2
    lip_weight: float = 1e-3
    critics_from: int = 0
    lips_from: int = 0
    critic_rate: float | None = None
    lip_critic: LipCritic = "uniform"
    teacher_forcing: float = 0.5
    mouth_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("image_weight", "video_weight", "lip_weight", "critics_from", "lips_from", "mouth_weight"):
            if not getattr(self, name) >= 0:
                raise InputError(name, getattr(self, name), "0 or more")
        if self.critic_rate is not None and not self.critic_rate > 0:
            raise InputError("critic_rate", self.critic_rate, "more than 0")
        if self.lip_critic not in get_args(LipCritic):
            raise InputError("lip_critic", repr(self.lip_critic), " or ".join(get_args(LipCritic)))
        if not 0 <= self.teacher_forcing <= 1:
            raise InputError("teacher_forcing", self.teacher_forcing, "0 to 1")


class GeneratorPart(Part):
    """The generator, and while it trains its critics (Eqs. 1 to 5).

    Parameters
    ----------
    config:
        Widths, scheme and losses.
    """

    system: ClassVar[str] = "recurrent"
    name: ClassVar[str] = "generator"
    config_class: ClassVar[type] = GeneratorPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("generator", "image_critic", "video_critic", "lip_reader")
    kept: ClassVar[tuple[str, ...]] = ("generator",)
    needs: Needs = Needs(rows=35, window=11, pictures=True, words=GRID_WORDS)
    figure: ClassVar[str] = "mouth_l1"

    def __init__(self, config: GeneratorPartConfig) -> None:
        super().__init__(config)
        self.generator = RecurrentGenerator(config.generator)
        critics = config.critics
        self.image_critic = ImageDiscriminator(critics.image) if critics and config.image_weight else None
        self.video_critic = VideoDiscriminator(critics.video) if critics and config.video_weight else None
        self.lip_reader = LipReader(config.lip_reader) if config.lip_reader else None
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.to(memory_format=torch.channels_last)

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update of the critics that have joined, then one of the generator."""
        truth, photo = to_network(batch.pictures), to_network(batch.photograph)
        made = self._film(batch, photo, truth)
        real, fake = joined(truth, batch.mask), joined(made, batch.mask)
        told: dict[str, Tensor] = {}
        at = int(self.updates)
        ...
