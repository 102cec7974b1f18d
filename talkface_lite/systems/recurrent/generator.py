"""The generator of the conditional recurrent network as it learns (Song et al., IJCAI 2019)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from talkface_lite.corpus.voice import GRID_WORDS
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import mean_at, mean_of_frames, mouth_map, pixel_loss
from talkface_lite.networks.landmark_reader import LandmarkReader
from talkface_lite.networks.layers import picked
from talkface_lite.networks.lip_reader import LipReader, mouths_of
from talkface_lite.networks.recurrent_discriminators import FEWEST, ImageDiscriminator, VideoDiscriminator
from talkface_lite.networks.recurrent_generator import RecurrentGenerator
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.adversaries import Criticism
from talkface_lite.systems.part import Part, Workload, adam, plain_module, shipped_weights
from talkface_lite.systems.recurrent.config import GeneratorPartConfig
from talkface_lite.systems.recurrent.lip_discriminator import LipDiscriminatorPart
from talkface_lite.systems.training_settings import TrainingSettings


class Film(NamedTuple):
    """Frames of windows beside the true ones, ``(B, P, 3, 128, 128)`` each; ``chosen`` int64 ``(B, P)``,
    where they are in their windows, None: all; and what the memory held of every frame,
    ``(B, T, memory)``."""

    made: Tensor
    truth: Tensor
    chosen: Tensor | None
    h: Tensor

    def of(self, values: Tensor) -> Tensor:
        """Of something of every frame, ``(B, T, …)``, that of these: ``(B, P, …)``."""
        return picked(values, self.chosen)


class GeneratorPart(Part):
    """The generator, and while it trains its critics (Eqs. 1 to 5).

    Parameters
    ----------
    config:
        Widths, scheme and losses.
    """

    system: ClassVar[str] = "recurrent"
    name: ClassVar[str] = "recurrent-generator"
    config_class: ClassVar[type] = GeneratorPartConfig
    network_names: ClassVar[tuple[str, ...]] = (
        "generator",
        "reader",
        "image_discriminator",
        "video_discriminator",
        "lip_discriminator",
    )
    kept: ClassVar[tuple[str, ...]] = ("generator", "reader")
    needs: Needs = Needs(rows=35, window=11, pictures=True)
    figure: ClassVar[str] = "mouth"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(steps=300, batch_size=4, learning_rate=5e-4, schedule="cosine"),
        data=DataSettings(window=16, rest_examples=0.5),
        config=MappingProxyType({"discriminators": None, "lip_discriminator": None, "painted": 6}),
    )

    def __init__(self, config: GeneratorPartConfig) -> None:
        super().__init__(config)
        self.generator = RecurrentGenerator(config.generator)
        width, both = config.generator.memory, config.discriminators
        self.reader = LandmarkReader(width, config.landmark_ridge) if config.landmark_weight else None
        self.image_discriminator = ImageDiscriminator(both.frame) if both and config.image_weight else None
        self.video_discriminator = VideoDiscriminator(both.film) if both and config.video_weight else None
        reads = config.lip_discriminator is not None and config.lip_weight > 0
        self.lip_discriminator = LipReader(config.lip_discriminator) if reads else None
        self.needs = replace(type(self).needs, rows=config.generator.rows)
        if reads:
            without = ", or no lip reader among the critics (--no-lip-discriminator)"
            self.needs = replace(self.needs, words=GRID_WORDS, otherwise=without)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        for network in (self.generator, self.image_discriminator, self.lip_discriminator):
            if network is not None:
                network.to(memory_format=torch.channels_last)

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise MFCC by the training set's ``mfcc_mean`` and ``mfcc_std``, each ``(12,)``; and take the
        package's lip reader for a critic, where it has the widths that are asked for."""
        encoder = plain_module(self.generator).audio_encoder
        encoder.mfcc_mean.copy_(torch.as_tensor(statistics["mfcc_mean"]))
        encoder.mfcc_std.copy_(torch.as_tensor(statistics["mfcc_std"]))
        path = shipped_weights(self.system, LipDiscriminatorPart.name)
        if self.lip_discriminator is not None and path.is_file():
            known = LipDiscriminatorPart.load(path)
            if known.config.lip_discriminator == self.config.lip_discriminator:
                plain_module(self.lip_discriminator).load_state_dict(known.lip_discriminator.state_dict())

    def optimizers(self, settings: TrainingSettings) -> dict[str, Optimizer]:
        """One Adam for each network; the critics' rate is their own."""
        rates = dict.fromkeys(("generator", "reader"), settings.learning_rate)
        theirs = self.config.discriminator_rate or settings.learning_rate
        return {
            name: adam(network, rates.get(name, theirs), settings.betas)
            for name, network in self.networks().items()
        }

    def training_step(
        self,
        batch: Batch,
        optimizers: Mapping[str, Optimizer],
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> dict[str, Tensor]:
        """One update of the critics that have joined, then one of the generator.

        Raises
        ------
        InputError
            When the windows are too short for the film discriminator.
        """
        if not self.config.reconstruction_weight:
            losses = self._listening(batch)
        else:
            film = self._film(batch)
            losses = self._reconstruction(film, batch)
            criticism = Criticism(optimizers, backward)
            losses["loss"] = losses["loss"] + self._criticised(film, batch, criticism)
            losses |= criticism.told
        learning = [optimizers[name] for name in ("generator", "reader") if name in optimizers]
        for optimizer in learning:
            optimizer.zero_grad(set_to_none=True)
        backward(losses["loss"])
        for optimizer in learning:
            optimizer.step()
        self.updates += 1
        return {name: loss.detach() for name, loss in losses.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 1 and what is ours beside it; no critic is asked."""
        if not self.config.reconstruction_weight:
            return self._listening(batch)
        return self._reconstruction(self._film(batch), batch)

    def _listening(self, batch: Batch) -> dict[str, Tensor]:
        made = self.generator(to_network(batch.photograph), batch.mfcc, listening=True)
        misread = self._misread(made.h, batch)
        return {"loss": self.config.landmark_weight * misread, "misread": misread.detach()}

    def _film(self, batch: Batch) -> Film:
        """What is made of a batch, and where frames are fed back a share of the true ones."""
        generator, photo = self.generator, to_network(batch.photograph)
        if self.config.generator.in_turn:
            truth, taught = to_network(batch.pictures), None
            if self.training:
                taught = torch.rand(batch.mask.shape, device=photo.device) < self.config.teacher_forcing
            made = generator(photo, batch.mfcc, true=truth, taught=taught)
            return Film(made.made.frames, truth, None, made.h)
        chosen = self._chosen(batch.mask)
        made = generator(photo, batch.mfcc, chosen=chosen)
        return Film(made.made.frames, to_network(picked(batch.pictures, chosen)), chosen, made.h)

    def _chosen(self, mask: Tensor) -> Tensor | None:
        """Which frames of each window are painted, ``(B, P)``: any that exist, and no others before those."""
        n, (n_windows, n_frames) = self.config.painted, mask.shape
        if n is None or n >= n_frames or not self.training:
            return None
        if not self._joined:
            order = torch.rand(mask.shape, device=mask.device) + ~mask
            return order.argsort(dim=1)[:, :n]
        last = (mask.sum(dim=1, keepdim=True) - n).clamp(min=0)  # (B, 1)
        first = (torch.rand(n_windows, 1, device=mask.device) * (last + 1)).long()
        return first + torch.arange(n, device=mask.device)

    @property
    def _joined(self) -> bool:
        """Whether a critic is asked at this update."""
        joined, at = [], int(self.updates)
        if at >= self.config.discriminators_from:
            joined += [self.image_discriminator, self.video_discriminator]
        if at >= self.config.lips_from:
            joined.append(self.lip_discriminator)
        return any(one is not None for one in joined)

    def _reconstruction(self, film: Film, batch: Batch) -> dict[str, Tensor]:
        mask, counts = film.of(batch.mask), None
        plain = pixel_loss(film.made, film.truth, mask)
        if self.config.mouth_weight:
            counts = 1 + self.config.mouth_weight * mouth_map(film.of(batch.landmarks))
        loss = plain if counts is None else pixel_loss(film.made, film.truth, mask, counts=counts)
        loss, losses = self.config.reconstruction_weight * loss, {"pixel": plain.detach()}
        if self.reader is not None:
            misread = self._misread(film.h, batch)
            loss = loss + self.config.landmark_weight * misread
            losses["misread"] = misread.detach()
        return {"loss": loss, **losses}

    def _misread(self, h: Tensor, batch: Batch) -> Tensor:
        """Mean error of movements read off the memory, ``(B, T, memory)``, over frames that exist."""
        if self.training:
            plain_module(self.reader).remember(batch.moved[batch.mask])
        read = self.reader(h.float())
        return mean_of_frames(plain_module(self.reader).error(read, batch.moved), batch.mask)

    def _criticised(self, film: Film, batch: Batch, criticism: Criticism) -> Tensor:
        """One update of each critic that has joined, and what they make the generator pay: the last three
        terms of Eq. 5."""
        config, at, pays = self.config, int(self.updates), torch.zeros((), device=film.made.device)
        mask = film.of(batch.mask)
        whole = mask.all(dim=1)
        if at >= config.discriminators_from:
            if self.image_discriminator is not None:
                cost = criticism.judged(
                    "image_discriminator", self.image_discriminator, film.truth[mask], film.made[mask]
                )
                pays = pays + config.image_weight * cost
            if self.video_discriminator is not None and mask.shape[1] < FEWEST:
                expected = f"at least {FEWEST}, or video_weight 0: no film discriminator"
                raise InputError("frames of a window, or painted", mask.shape[1], expected)
            if self.video_discriminator is not None and whole.any():
                films = film.truth[whole], film.made[whole]
                pays = pays + config.video_weight * criticism.judged(
                    "video_discriminator", self.video_discriminator, *films
                )
        if self.lip_discriminator is not None and at >= config.lips_from:
            spoken = film.of(batch.spoken)
            said = (batch.word >= 0) & spoken.any(dim=1)
            if said.any():
                lips = mouths_of(film.truth[said]), mouths_of(film.made[said])
                words = spoken[said], batch.word[said]
                cost = criticism.read(
                    "lip_discriminator", self.lip_discriminator, lips, words, config.lip_loss
                )
                pays = pays + config.lip_weight * cost
        return pays

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload | None:
        """A film, three ways, see :mod:`talkface_lite.systems.recurrent.timing`; to train, its own step."""
        if wanted.training:
            return super().workload(wanted)
        from talkface_lite.systems.recurrent import timing

        return timing.filming(wanted)

    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """How near its film is, from speech and photograph: squared error at the true ``mouth`` and
        everywhere, ``mse``, colours 0 to 1; and Eq. 1, ``pixel``."""
        film = self._film(batch)
        squared = ((film.made - film.truth) / 2) ** 2
        return {
            "mouth": mean_at(squared, mouth_map(batch.landmarks), batch.mask),
            "mse": mean_of_frames(squared.mean(dim=(2, 3, 4)), batch.mask),
            "pixel": pixel_loss(film.made, film.truth, batch.mask),
        }
