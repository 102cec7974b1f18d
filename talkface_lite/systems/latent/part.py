"""Latent matching as it learns (Yadav et al., Interspeech 2020, Eq. 2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.tensors import to_network
from talkface_lite.errors import InputError
from talkface_lite.losses import gaussian_kl, mouth_map
from talkface_lite.networks.fast_matching import for_inference
from talkface_lite.networks.latent_matching import (
    LatentMatching,
    LatentMatchingConfig,
    Matched,
    frozen,
    generated,
    picked,
)
from talkface_lite.networks.layers import count_parameters
from talkface_lite.networks.posteriors import Gaussian
from talkface_lite.systems.adapting import Adapting
from talkface_lite.systems.part import Part, Workload, plain_module
from talkface_lite.systems.training_settings import TrainingSettings

KLMoves = Literal["both", "audio", "frames"]

SHIPPED: Mapping[str, Any] = MappingProxyType(
    {
        "sees": "first",
        "photo_prior": True,
        "first_logvar": -4.0,
        "gain": 3.0,
        "normalised": True,
        "warp": True,
    }
)
"""How the networks of the package's weights are wired, other than in the paper."""

VALUES = 3 * CROP_SIZE**2
"""Numbers in a picture."""

REMEMBERED = 0.99
"""Of the running means of :meth:`LatentMatchingPart.drift`, from one update to the next."""

FADES = 0.999
"""What is left of a deviation after a frame, at most."""

FAINT = 1e-4
"""Variance that is added to each number of z where its covariances are divided by."""


@dataclass(frozen=True, kw_only=True)
class LatentMatchingPartConfig:
    """Settings of latent matching.

    Parameters
    ----------
    latent_matching:
        Widths, and what is wired to what.
    reconstruction_weight:
        λ of Eq. 2: factor of the squared error, *averaged* over the numbers of a picture, colours 0 to 1. 0
        paints nothing: the audio posterior alone learns to say what the frames' says.
    beta:
        β of Eq. 2: factor of the KL divergence, *summed* over the numbers of z, in nats. Both terms are means
        over the frames. With the paper's 1e-6 and 49,152 numbers in a picture, a nat weighs as much as a
        squared error of 0.05 *summed* over the picture.
    beta_warmup:
        Ours: updates over which β grows from 0.
    kl_moves:
        Which posterior the divergence moves: "both", the paper's; "audio" takes the frames' for a fixed aim,
        "frames" the sound's.
    teacher_forcing:
        Where x_{t-1} is seen: the share of frames that see the true one while learning. The released code's
        is 1; the others see what was painted.
    teacher_forcing_until:
        Updates over which that share falls to 0; 0: it stays.
    mouth_weight:
        Ours: how much more a pixel of the true mouth counts in the squared error; 0 is the paper's. Landmarks
        are asked for here and nowhere else.
    motion_weight:
        Ours: how much more the error counts that changes from frame to frame of a film. The squared error
        of some frames is that of their mean and that of what each differs from it by; the second is how the
        film moves, small beside the first where a decoder first learns to copy a face. It asks for no
        landmarks.
    spoken_weight:
        Ours: how much the squared error counts of the frames that the *means* of the audio posterior give,
        beside that of draws from the frames'. Eq. 2 never paints what the sound says, and a film is made of
        nothing else; both together are the hybrid objective of Sohn, Lee, Yan (NIPS 2015).
    landmark_weight:
        Ours: what a squared pixel costs, in the mean over 68 landmarks, by which a linear layer that reads
        off the code of a frame how far they are from the photograph's is wrong. The layer learns with the
        others and no film needs it. It tells the encoder of small things, lids, brows, lips, long before the
        picture does, and of every frame of a window, painted or not.
    painted:
        Ours: paint so many frames of each window in an update, drawn at random, and take them for all: the
        decoder is what takes time. None paints all.
    """

    latent_matching: LatentMatchingConfig = field(default_factory=LatentMatchingConfig)
    reconstruction_weight: float = 1.0
    beta: float = 1e-6
    beta_warmup: int = 0
    kl_moves: KLMoves = "both"
    teacher_forcing: float = 1.0
    teacher_forcing_until: int = 0
    mouth_weight: float = 0.0
    motion_weight: float = 0.0
    spoken_weight: float = 0.0
    landmark_weight: float = 0.0
    painted: int | None = None

    def __post_init__(self) -> None:
        for name in (
            "reconstruction_weight",
            "beta",
            "beta_warmup",
            "teacher_forcing_until",
            "mouth_weight",
            "motion_weight",
            "spoken_weight",
            "landmark_weight",
        ):
            if not getattr(self, name) >= 0:
                raise InputError(name, getattr(self, name), "0 or more")
        if self.kl_moves not in get_args(KLMoves):
            raise InputError("kl_moves", repr(self.kl_moves), " or ".join(get_args(KLMoves)))
        if not 0 <= self.teacher_forcing <= 1:
            raise InputError("teacher_forcing", self.teacher_forcing, "0 to 1")
        if self.painted is not None and self.painted < 1:
            raise InputError("painted", self.painted, "at least 1 frame")
        both = self.teacher_forcing == 1 and not self.teacher_forcing_until
        if self.latent_matching.sees == "first" and not both:
            raise InputError("teacher_forcing", "given, where the photograph is seen", "x_{t-1} to be seen")
        if self.spoken_weight and not both:
            raise InputError("spoken_weight", "given with less than full teaching", "teacher_forcing 1")
        if self.spoken_weight and not self.reconstruction_weight:
            raise InputError("spoken_weight", "given, where nothing is painted", "a reconstruction_weight")


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
        widths = config.latent_matching.code, 2 * N_POINTS
        self.reader = nn.Linear(*widths) if config.landmark_weight else None
        self._watching: list[LatentMatching] = []  # no part of this one: not saved, not trained
        if config.latent_matching.sees == "previous":
            self.needs = replace(type(self).needs, previous=True)
        self.register_load_state_dict_post_hook(lambda part, _: part._watching.clear())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("squares", torch.zeros(2 * [config.latent_matching.z]))
        self.register_buffer("step_products", torch.zeros(2 * [config.latent_matching.z]))
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
    def drift(self) -> tuple[Tensor, Tensor]:
        """How what speech leaves open goes on: A and Q of ``e_t = A e_{t-1} + w_t``, w of covariance Q.

        e is ``(μ_f - μ_a) / σ_a`` of true films, A and Q are ``(z, z)``. With C and C₁ the covariances of its
        numbers in one frame, and of one frame and the frame before, as running means over training have
        them, ``A = C₁ C⁻¹``, made no larger than lets it fade, and ``Q = C - A C Aᵀ``.

        A turn of the head is one slow movement and many numbers of z: each drawn by itself, as the audio
        posterior says them, they all but cancel. The rest of its variance, which the frame posterior leaves
        open too, is no movement. Before training A is 0 and Q the unit matrix.
        """
        unit, known = torch.eye(len(self.squares)).to(self.squares), 1 - REMEMBERED ** float(self.updates)
        if not known:
            return 0 * unit, unit
        now, step = self.squares / known + FAINT * unit, self.step_products / known
        drift = torch.linalg.solve(now, step, left=False)  # (z, z)
        drift = drift / (torch.linalg.eigvals(drift).abs().max() / FADES).clamp(min=1)
        return drift, now - drift @ now @ drift.T

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The negative of Eq. 2, per picture.

        ``loss = 49,152 · (λ · mse + β · kl)``, mse with ``spoken_weight`` times that of what the sound says:
        the common factor changes no minimum; it makes of the mean a sum over the picture, and keeps the
        gradient of the audio encoder, which β alone reaches, far above the 1e-8 that Adam adds to its root
        mean square.
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
        if self.reader is not None:
            loss = loss + config.landmark_weight * self._misread(made.g, batch)
            if made.said is not None:
                loss = loss + config.landmark_weight * config.spoken_weight * self._misread(made.said, batch)
        if self.training:
            self._count(made, batch.mask)
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

    def _misread(self, g: Tensor, batch: Batch, *, learns: bool = True) -> Tensor:
        """Mean squared error of landmarks read off codes ``(B, T, code)``, px²: (1)."""
        read = (
            (self.reader(g) if learns else frozen(self.reader, g)).float().unflatten(-1, (N_POINTS, 2))
        )  # (B, T, 68, 2)
        error = read - (batch.landmarks - batch.example[:, None])
        return mean_of_frames((error**2).mean(dim=(2, 3)), batch.mask)

    def _listening(self, batch: Batch) -> dict[str, Tensor]:
        photo, frames = to_network(batch.photograph), to_network(batch.pictures)
        previous = None if batch.previous is None else to_network(batch.previous)
        reads = self.reader is not None
        made = self.latent_matching(
            photo, frames, batch.mfcc, previous, spoken=reads, watcher=self._watcher()
        )
        kl = mean_of_frames(self._divergence(made).sum(dim=-1), batch.mask)
        loss = VALUES * self.beta * kl
        if reads:
            loss = loss + self.config.landmark_weight * self._misread(made.said, batch, learns=False)
        if self.training:
            self._count(made, batch.mask)
        return {"loss": loss, "kl": kl.detach()}

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
    def _count(self, made: Matched, mask: Tensor) -> None:
        """One update more, and what :attr:`drift` needs of it."""
        self.updates += 1
        unexplained = made.of_frames.mean - made.of_audio.mean  # (B, T, z)
        unexplained = unexplained * torch.exp(-0.5 * made.of_audio.logvar)
        pairs = mask[:, 1:] & mask[:, :-1]
        if pairs.any():
            before, now = unexplained[:, :-1][pairs], unexplained[:, 1:][pairs]  # (N, z)
            squares, products = (now.T @ now + before.T @ before) / 2, now.T @ before  # (z, z)
            for kept, value in ((self.squares, squares), (self.step_products, products)):
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


def changing(error: Tensor, mask: Tensor) -> Tensor:
    """``(B, T, …)`` less its mean over the frames of each film that exist."""
    there = mask.reshape(*mask.shape, *(1 for _ in error.shape[2:]))
    lasting = (error * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
    return error - lasting


def mean_of_frames(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``(B, T)`` where ``mask``, bool ``(B, T)``, is True."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def mean_at(values: Tensor, where: Tensor, mask: Tensor) -> Tensor:
    """The mean of ``(B, T, C, H, W)`` weighed by ``where``, ``(B, T, 1, H, W)``, over frames that exist."""
    weights = where * mask[..., None, None, None]
    return (values * weights).sum() / (weights.sum() * values.shape[2]).clamp(min=1e-6)
