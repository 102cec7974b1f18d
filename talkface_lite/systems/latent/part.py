"""Latent matching as it learns (Yadav et al., Interspeech 2020, Eq. 2)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.losses import changing, gaussian_kl, mean_at, mean_of_frames, mouth_map
from talkface_lite.networks.fast_matching import for_inference
from talkface_lite.networks.landmark_reader import REMEMBERED, LandmarkReader
from talkface_lite.networks.latent_matching import (
    LatentMatching,
    Matched,
    frozen,
    generated,
)
from talkface_lite.networks.layers import count_parameters, full_precision, picked
from talkface_lite.networks.posteriors import Gaussian
from talkface_lite.speech import mfcc_windows_between
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.latent.config import LatentMatchingPartConfig
from talkface_lite.systems.latent.drift import (
    Drift,
    SaidTheSame,
    drift_of,
    means_of,
    pieces_of,
    products,
    saying_the_same,
    unexplained,
)
from talkface_lite.systems.part import Part, Workload, plain_module
from talkface_lite.systems.training_settings import TrainingSettings

VALUES = 3 * CROP_SIZE**2
"""Numbers in a picture."""


PIECES, PIECE_FRAMES = 240, 48
"""How many pieces of motion weights hold at most, and how long each is."""


class LatentMatchingPart(Part):
    """Both posteriors, the frame predictor, encoders and decoder, trained together.

    Parameters
    ----------
    config:
        Widths and losses.
    """

    system: ClassVar[str] = "latent"
    name: ClassVar[str] = "latent-matching"
    config_class: ClassVar[type] = LatentMatchingPartConfig
    network_names: ClassVar[tuple[str, ...]] = ("latent_matching", "reader")
    needs: Needs = Needs(pictures=True)
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({"batch_size": 5})
    figure: ClassVar[str] = "mouth"
    adapting: ClassVar[Adapting] = Adapting(
        training=TrainingSettings(steps=300, batch_size=4, learning_rate=5e-4, schedule="cosine"),
        data=DataSettings(window=16, rest_examples=0.5),
        config=MappingProxyType({"mouth_weight": 4.0, "painted": 6}),
    )

    def __init__(self, config: LatentMatchingPartConfig) -> None:
        super().__init__(config)
        self.latent_matching = LatentMatching(config.latent_matching)
        code, ridge = config.latent_matching.code, config.landmark_ridge
        self.reader = LandmarkReader(code, ridge) if config.landmark_weight else None
        self._watching: list[LatentMatching] = []  # no part of this one: not saved, not trained
        if config.latent_matching.sees == "previous":
            self.needs = replace(type(self).needs, previous=True)
        self.register_load_state_dict_post_hook(lambda part, _: part._watching.clear())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("squares", torch.zeros(2 * [config.latent_matching.z]))
        self.register_buffer("step_products", torch.zeros(2 * [config.latent_matching.z]))
        self.register_buffer("n_pieces", torch.zeros((), dtype=torch.int64))
        self.register_buffer("pieces", torch.zeros(PIECES, PIECE_FRAMES, config.latent_matching.z))
        self.register_load_state_dict_pre_hook(_without_pieces)
        self.to(memory_format=torch.channels_last)

    def prepare(self, statistics: Mapping[str, np.ndarray]) -> None:
        """Standardise MFCC by the training set's ``mfcc_mean`` and ``mfcc_std``, each ``(12,)``."""
        encoder = plain_module(self.latent_matching).audio_encoder
        encoder.mfcc_mean.copy_(torch.as_tensor(statistics["mfcc_mean"]))
        encoder.mfcc_std.copy_(torch.as_tensor(statistics["mfcc_std"]))

    def parameter_counts(self) -> dict[str, int]:
        """Trainable numbers of each of its networks."""
        networks = plain_module(self.latent_matching).named_children()
        return {name: count_parameters(network) for name, network in networks}

    @property
    def drift(self) -> Drift:
        """How what speech leaves open goes on: A, Q and C of ``e_t = A e_{t-1} + w_t``.

        e is ``(μ_f - μ_a) / σ_a`` of true films, its covariances running means over training until
        :meth:`finish` has seen films that say the same; see
        :func:`~talkface_lite.systems.latent.drift.drift_of`.

        A turn of the head is one slow movement and many numbers of z: each drawn by itself, as the audio
        posterior says them, they all but cancel. The rest of its variance, which the frame posterior leaves
        open too, is no movement. Before training A is 0, Q and C the unit matrix.
        """
        known = 1 - REMEMBERED ** float(self.updates)
        if not known:
            unit = torch.eye(len(self.squares)).to(self.squares)
            return Drift(0 * unit, unit, unit)
        return drift_of(self.squares / known, self.step_products / known)

    @property
    def motions(self) -> Tensor:
        """Pieces of what films that say the same differ by, as e, ``(pieces, 48, z)``: how a head turned, a
        lid closed, a brow rose there. None before :meth:`finish`."""
        return self.pieces[: int(self.n_pieces)]

    @torch.no_grad()
    def finish(self, clips: Iterable[Clip]) -> None:
        """Measure :attr:`drift` on films that say the same, and keep :attr:`motions`.

        Of clips that follow one another with the same sound, as ``talkface corpus --motions 6`` draws them, e
        is taken about the mean of those films, the photograph being the first frame of the first, as far as
        their landmarks differ, too: see :class:`~talkface_lite.systems.latent.drift.SaidTheSame`. What
        differs between films that say the same is what speech leaves open. In single films it is mixed with
        what speech tells and the network does not hear: of the lips, and of how somebody speaks.

        Raises
        ------
        InputError
            When no two clips say the same.
        """
        found = SaidTheSame()
        network, device = plain_module(self.latent_matching), self.updates.device
        with self.evaluating():
            for films in saying_the_same(clips):
                seen = network.look(to_network(torch.tensor(films[0].frames[:1]).to(device)))
                windows = mfcc_windows_between(films[0].speech, 0, len(films[0]))
                q_a, _ = network.listen(torch.from_numpy(windows)[None].to(device), seen)
                each = (to_network(torch.tensor(film.frames)[None].to(device)) for film in films)
                e = torch.cat([unexplained(network.watch(network.encode(one), seen)[0], q_a) for one in each])
                moved = torch.stack([torch.from_numpy(film.landmarks).flatten(1) for film in films])
                found.add(e, moved)
        films = found.films()
        means, pieces = means_of(films), pieces_of(films, PIECES, PIECE_FRAMES)
        self.n_pieces.fill_(len(pieces))
        self.pieces[: len(pieces)].copy_(pieces)
        known = 1 - REMEMBERED ** float(self.updates.clamp_(min=1))
        for kept, value in zip((self.squares, self.step_products), means, strict=True):
            kept.copy_(known * value)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The negative of Eq. 2, per picture.

        ``loss = 49,152 · (λ · mse + β · kl)``, mse with ``spoken_weight`` times that of what the sound says:
        the common factor changes no minimum; it makes of the mean a sum over the picture, and keeps the
        gradient of the audio encoder, which in the paper's loss β alone reaches, far above the 1e-8 that Adam
        adds to its root mean square. Landmarks that are read wrongly add ``landmark_weight`` times their
        error.
        """
        if self.config.reconstruction_weight == 0:
            return self._listening(batch)
        config, truth = self.config, to_network(batch.pictures)
        chosen = self._chosen(batch.mask)
        previous = None if batch.previous is None else to_network(batch.previous)
        made = self.latent_matching(
            to_network(batch.photograph),
            truth,
            batch.mfcc,
            previous,
            true_share=self.true_share,
            chosen=chosen,
            spoken=config.spoken_weight > 0,
        )
        mask, truth = picked(batch.mask, chosen), picked(truth, chosen)  # (B, P), (B, P, 3, H, W)
        mouth = mouth_map(picked(batch.landmarks, chosen))  # (B, P, 1, H, W)
        mse = self._weighted(made.painted, truth, mask, mouth)
        if made.spoken is not None:
            mse = mse + config.spoken_weight * self._weighted(made.spoken, truth, mask, mouth)
        squared = ((made.painted.detach() - truth) / 2) ** 2
        kl = mean_of_frames(self._divergence(made).sum(dim=-1), batch.mask)
        loss = VALUES * (config.reconstruction_weight * mse + self.beta * kl)
        if self.training:
            self._count(made, batch)
        if self.reader is not None:
            loss = loss + config.landmark_weight * self._misread(self.reader(made.g), batch)
            if made.said is not None:
                weight = config.landmark_weight * config.spoken_weight
                loss = loss + weight * self._misread(self.reader(made.said), batch)
        return {
            "loss": loss,
            "mse": mean_of_frames(squared.mean(dim=(2, 3, 4)), mask),
            "mouth": mean_at(squared, mouth, mask),
            "kl": kl.detach(),
        }

    def _weighted(self, painted: Tensor, truth: Tensor, mask: Tensor, mouth: Tensor) -> Tensor:
        """The squared error of frames ``(B, P, 3, H, W)``, colours 0 to 1, with what is ours in it: (1)."""
        error = (painted - truth) / 2
        weighted = error**2
        if self.config.motion_weight:
            weighted = weighted + self.config.motion_weight * changing(error, mask) ** 2
        if self.config.mouth_weight:
            weighted = weighted * (1 + self.config.mouth_weight * mouth)
        return mean_of_frames(weighted.mean(dim=(2, 3, 4)), mask)

    def _misread(self, read: Tensor, batch: Batch) -> Tensor:
        """Mean error of movements read off codes, ``(B, T, 136)``, over frames that exist: (1)."""
        return mean_of_frames(self.reader.error(read, batch.moved), batch.mask)

    def _listening(self, batch: Batch) -> dict[str, Tensor]:
        watched = self.config.beta > 0 or self.config.latent_matching.sees == "previous"
        frames = to_network(batch.pictures) if watched else None
        previous = None if batch.previous is None else to_network(batch.previous)
        reads = self.reader is not None
        made = self.latent_matching(
            to_network(batch.photograph),
            frames,
            batch.mfcc,
            previous,
            spoken=reads,
            watcher=self._watcher(),
        )
        if self.training:
            self._count(made, batch)
        loss, losses = 0.0, {}
        if watched:
            kl = mean_of_frames(self._divergence(made).sum(dim=-1), batch.mask)
            loss, losses = VALUES * self.beta * kl, {"kl": kl.detach()}
        if reads:
            loss = loss + self.config.landmark_weight * self._misread(frozen(self.reader, made.said), batch)
        return {"loss": loss, **losses}

    def _watcher(self) -> LatentMatching:
        """What looks at the frames while the audio posterior alone learns: as they are looked at when a film
        is made, in evaluation mode; nothing that it consists of changes meanwhile."""
        if not self._watching:
            mixed = torch.is_autocast_enabled(self.updates.device.type)
            copied = for_inference(plain_module(self.latent_matching), "bf16" if mixed else "32")
            self._watching.append(copied)
        return self._watching[0]

    @property
    def beta(self) -> float:
        """β at this update."""
        warm = self.config.beta_warmup
        return self.config.beta * (min(1.0, float(self.updates) / warm) if warm and self.training else 1.0)

    @property
    def true_share(self) -> float:
        """The share of frames that see the true picture before them, at this update."""
        until = self.config.teacher_forcing_until
        left = max(0.0, 1 - float(self.updates) / until) if until else 1.0
        return self.config.teacher_forcing * left

    def _chosen(self, mask: Tensor) -> Tensor | None:
        """Which frames of each window are painted, ``(B, P)``: any that exist, and no others before those."""
        n = self.config.painted
        if n is None or n >= mask.shape[1] or not self.training:
            return None
        order = torch.rand(mask.shape, device=mask.device) + ~mask
        return order.argsort(dim=1)[:, :n]

    def _divergence(self, made: Matched) -> Tensor:
        """KL of Eq. 2, element by element ``(B, T, z)``."""
        q_f, q_a = made.of_frames, made.of_audio
        if self.config.kl_moves == "audio":
            q_f = Gaussian(*(x.detach() for x in q_f))
        elif self.config.kl_moves == "frames":
            q_a = Gaussian(*(x.detach() for x in q_a))
        return gaussian_kl(*q_f, *q_a)

    @torch.no_grad()
    def _count(self, made: Matched, batch: Batch) -> None:
        """One update more, and what the reader needs of it, and :attr:`drift` where frames were looked at."""
        mask = batch.mask
        if self.reader is not None and mask.any():
            self.reader.remember(batch.moved[mask])
        if made.of_frames is None:
            return
        self.updates += 1
        e = unexplained(made.of_frames, made.of_audio)  # (B, T, z)
        pairs = mask[:, 1:] & mask[:, :-1]
        if pairs.any():
            before, now = e[:, :-1][pairs], e[:, 1:][pairs]  # (N, z)
            with full_precision(now.device):
                summed = products(before, now)  # (z, z) twice
            for kept, value in zip((self.squares, self.step_products), summed, strict=True):
                kept.mul_(REMEMBERED).add_((1 - REMEMBERED) * value / len(now))

    @classmethod
    def workload(cls, wanted: Workload.Wanted) -> Workload | None:
        """A film, three ways, see :mod:`talkface_lite.systems.latent.timing`; to train, its own step."""
        if wanted.training:
            return super().workload(wanted)
        from talkface_lite.systems.latent import timing

        return timing.filming(wanted)

    @torch.no_grad()
    def held_out(self, batch: Batch) -> dict[str, Tensor]:
        """How near its film is, from speech and photograph, and whether it looks at z.

        Returns
        -------
        ``mouth`` and ``mse``: squared error at the true mouth and everywhere, colours 0 to 1, of the film
        that the means of the audio posterior give, its own frames fed back. ``from_frames``: at the mouth,
        of the film that the means of the frames' posterior give. ``kl``: nats. ``shuffled``: how far the film
        changes at the mouth when each frame gets the z of half a window later, over how far the true mouth is
        from the photograph's, mean absolute differences; 0: z is ignored.
        """
        network = plain_module(self.latent_matching)
        truth, photo = to_network(batch.pictures), to_network(batch.photograph)
        mouth, mask = mouth_map(batch.landmarks), batch.mask
        seen = network.look(photo)
        q_f, _ = network.watch(network.encode(truth), seen)
        q_a, _ = network.listen(batch.mfcc, seen)
        later = q_f.mean.roll(-(truth.shape[1] // 2), dims=1)
        films = [generated(network, z, seen, None, None)[0].frames for z in (q_a.mean, q_f.mean, later)]
        squared = [((film - truth) / 2) ** 2 for film in films]
        moved = mean_at((films[1] - films[2]).abs(), mouth, mask)
        return {
            "mouth": mean_at(squared[0], mouth, mask),
            "mse": mean_of_frames(squared[0].mean(dim=(2, 3, 4)), mask),
            "from_frames": mean_at(squared[1], mouth, mask),
            "kl": mean_of_frames(gaussian_kl(*q_f, *q_a).sum(dim=-1), mask),
            "shuffled": moved / mean_at((photo[:, None] - truth).abs(), mouth, mask).clamp(min=1e-6),
        }


def _without_pieces(part: LatentMatchingPart, tensors: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Weights of before have none."""
    for name in ("n_pieces", "pieces"):
        tensors.setdefault(prefix + name, torch.zeros_like(getattr(part, name)))
