"""The generator of the conditional recurrent network, and the critics that teach it (Song et al., IJCAI 2019)."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

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
from talkface_lite.systems.part import Part, adam, plain_module
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
        for name in (
            "image_weight",
            "video_weight",
            "lip_weight",
            "critics_from",
            "lips_from",
            "mouth_weight",
        ):
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
        for network in (self.generator, self.image_critic, self.lip_reader):
            if network is not None:
                network.to(memory_format=torch.channels_last)

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update of the critics that have joined, then one of the generator."""
        truth, photo = to_network(batch.pictures), to_network(batch.photograph)
        made = self._film(batch, photo, truth)
        losses = self._reconstruction(made, truth, batch)
        losses["loss"] = losses["loss"] + self._criticised(truth, made, batch, optimizers, backward, losses)
        optimizers["generator"].zero_grad(set_to_none=True)
        backward(losses["loss"])
        optimizers["generator"].step()
        self.updates += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise MFCC by the training set's ``mfcc_mean`` and ``mfcc_std``, each ``(12,)``."""
        encoder = plain_module(self.generator).audio_encoder
        encoder.mfcc_mean.copy_(torch.as_tensor(statistics["mfcc_mean"]))
        encoder.mfcc_std.copy_(torch.as_tensor(statistics["mfcc_std"]))

    def optimizers(self, settings: TrainingSettings) -> dict[str, Optimizer]:
        """One Adam for each network; the critics' rate is their own."""
        rate = self.config.critic_rate or settings.learning_rate
        return {
            name: adam(network, settings.learning_rate if name == "generator" else rate, settings.betas)
            for name, network in self.networks().items()
        }

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 1 alone."""
        truth = to_network(batch.pictures)
        return self._reconstruction(self._film(batch, to_network(batch.photograph), truth), truth, batch)

    def _film(self, batch: Batch, photo: Tensor, truth: Tensor) -> Tensor:
        """``(B, T, 3, 128, 128)``; where frames are fed back, a share of them are the true ones."""
        taught = None
        if self.training:
            taught = torch.rand(batch.mask.shape, device=photo.device) < self.config.teacher_forcing
        return self.generator(photo, batch.mfcc, true=truth, taught=taught)[0].frames

    def _reconstruction(self, made: Tensor, truth: Tensor, batch: Batch) -> dict[str, Tensor]:
        plain, counts = pixel_loss(made, truth, batch.mask), None
        if self.config.mouth_weight:
            counts = 1 + self.config.mouth_weight * mouth_map(batch.landmarks)
        return {"loss": pixel_loss(made, truth, batch.mask, counts=counts), "pixel": plain.detach()}

    def _criticised(
        self,
        truth: Tensor,
        made: Tensor,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None],
        told: dict[str, Tensor],
    ) -> Tensor:
        """One update of each critic that has joined, and what they make the generator pay: the last three
        terms of Eq. 5."""
        config, at, pays = self.config, int(self.updates), torch.zeros((), device=made.device)
        mask, whole = batch.mask, batch.mask.all(dim=1)
        if at >= config.critics_from:
            if self.image_critic is not None:
                pays = pays + config.image_weight * self._judged(
                    "image_critic", truth[mask], made[mask], optimizers, backward, told
                )
            if self.video_critic is not None and whole.any():
                pays = pays + config.video_weight * self._judged(
                    "video_critic", truth[whole], made[whole], optimizers, backward, told
                )
        said = (batch.word >= 0) & batch.spoken.any(dim=1)
        if self.lip_reader is not None and at >= config.lips_from and said.any():
            pays = pays + config.lip_weight * self._read(
                mouths_of(truth[said]), mouths_of(made[said]), batch.spoken[said], batch.word[said],
                optimizers, backward, told,
            )  # fmt: skip
        return pays

    def _judged(self, name: str, truth: Tensor, made: Tensor, optimizers, backward, told) -> Tensor:
        """Eqs. 3 and 4: real → 1, made → 0; and what it costs the generator not to be taken for real."""
        critic = getattr(self, name)
        real, fake = critic(truth), critic(made.detach())
        loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        loss = loss + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        optimizers[name].zero_grad(set_to_none=True)
        backward(loss)
        optimizers[name].step()
        with asked(critic) as critic:
            score = critic(made)
        cost = F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
        told |= {f"{name}_d": loss.detach(), f"{name}_g": cost.detach()}
        return cost

    def _read(self, truth, made, spoken, word, optimizers, backward, told) -> Tensor:
        """Eq. 2, and the cross-entropy of the word that is read off the generated lips."""
        if self.config.lip_critic != "fixed":
            loss = lip_critic_loss(
                self.lip_reader(truth, spoken),
                self.lip_reader(made.detach(), spoken),
                word,
                self.config.lip_critic,
            )
            optimizers["lip_reader"].zero_grad(set_to_none=True)
            backward(loss)
            optimizers["lip_reader"].step()
            told["lip_reader_d"] = loss.detach()
        with asked(self.lip_reader) as reader:
            cost = F.cross_entropy(reader(made, spoken), word)
        told["lip_reader_g"] = cost.detach()
        return cost

    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """L1 of the film over all pixels (``pixel``) and over those of the true mouth (``mouth_l1``)."""
        truth, mouth = to_network(batch.pictures), mouth_map(batch.landmarks)
        made = self._film(batch, to_network(batch.photograph), truth)
        one, none = torch.ones_like(truth), torch.zeros_like(truth)
        return {
            "pixel": pixel_loss(made, truth, batch.mask),
            "mouth_l1": pixel_loss(made, truth, batch.mask, counts=mouth)
            / pixel_loss(one, none, batch.mask, counts=mouth),
        }


@contextmanager
def asked(network: nn.Module):
    """The network inside its wrappers, asked and not taught: nothing of it learns from what is asked."""
    plain = plain_module(network)
    trainable = [parameter for parameter in plain.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield plain
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
