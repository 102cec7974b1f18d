"""Latent matching as it talks (Yadav et al., Interspeech 2020): one speech, many films."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch

from talkface_lite.clip import Clip
from talkface_lite.data.tensors import to_network, to_pictures
from talkface_lite.errors import InputError
from talkface_lite.networks.fast_matching import for_inference
from talkface_lite.networks.latent_matching import LatentMatching, Photograph, generated
from talkface_lite.speech import mfcc_stretches, mfcc_windows_between
from talkface_lite.systems.base import FROM_SPEECH, Face, Shown, Stretch, System
from talkface_lite.systems.config import one_of
from talkface_lite.systems.filmed import stretch_of
from talkface_lite.systems.latent.config import SHIPPED
from talkface_lite.systems.latent.part import LatentMatchingPart
from talkface_lite.systems.part import Part

Draws = Literal["replayed", "slow", "independent"]

CHUNK_FRAMES = 50
"""Frames of all films together that are painted at once: bounded memory for any speech."""

FADE = 12
"""Frames in which one replayed piece becomes the next."""

FROM_MEAN, FROM_FRAMES = "from_mean", "from_frames"
"""Rows of an evaluation: the film of the audio posterior's means, and that of the true frames' posterior."""


@dataclass(frozen=True, kw_only=True)
class LatentMatchingSettings:
    """How latent matching talks.

    Parameters
    ----------
    noise:
        How far z is drawn from its mean: factor of what is drawn; 0 gives the mean. A decoder that learned by
        squared error paints less of a movement than its code says, about seven tenths of it where nobody
        tells it more than z; 1.4 gives most of that back. The paper's is 1.
    draws:
        "independent": each number of each frame by itself, as in the paper. "slow" (ours): as the means of
        the frame posterior scatter in films that say the same. What is drawn stays for a while, numbers of z
        that moved together move together, and a film begins anywhere. "replayed" (ours): pieces of about two
        seconds of how those films differed, drawn one after the other and joined smoothly. A lid that closes
        is no Gaussian. Where weights know no such pieces it is "slow".
    still_head:
        Refused: what a film does with the head is in z with everything else.
    """

    noise: float = 1.4
    draws: Draws = "replayed"
    still_head: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 10:
            raise InputError("noise", self.noise, "0 to 10")
        one_of(self, "draws", Draws)
        if self.still_head:
            raise InputError("--still-head", "latent matching", "--noise 0: head and lips are in one z")


class LatentMatchingSystem(System):
    """Speech to a distribution, a draw from it and a photograph to pictures; no landmarks."""

    name: ClassVar[str] = "latent"
    parts: ClassVar[tuple[type[Part], ...]] = (LatentMatchingPart,)
    settings_class: ClassVar[type] = LatentMatchingSettings
    shipped: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"latent-matching": SHIPPED})
    random: ClassVar[bool] = True

    @property
    def matching(self) -> LatentMatchingPart:
        """Its one part."""
        return self.part("latent-matching")

    @torch.inference_mode()
    def film(self, face: Face, speech: np.ndarray, rng: np.random.Generator) -> Iterator[Stretch]:
        """As for every system; z is drawn from ``rng``."""
        for (stretch,) in self.films(face, speech, [rng]):
            yield stretch

    @torch.inference_mode()
    def films(
        self, face: Face, speech: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> Iterator[list[Stretch]]:
        """Several films of one speech, painted together: of each its next stretch."""
        drawn = [self._draws(rng) for rng in rngs]
        heard = code = state = None
        with self._looking(face) as (network, seen, device):
            for windows in mfcc_stretches(speech, max(1, CHUNK_FRAMES // len(rngs))):
                mfcc = torch.from_numpy(windows)[None].to(device)
                q, heard = network.listen(mfcc, seen, heard)  # (1, n, z)
                noise = np.stack([[next(one) for _ in windows] for one in drawn])
                z = q.sample(torch.from_numpy(noise).to(device))  # (K, n, z)
                made, code, state = generated(network, z, seen, code, state)
                yield [stretch_of(made, number) for number in range(len(z))]

    @contextmanager
    def _looking(self, face: Face) -> Iterator[tuple[LatentMatching, Photograph, torch.device]]:
        """The network in evaluation mode, the photograph seen by it, and where to compute."""
        part = self.matching
        with part.evaluating():
            device = part.updates.device
            picture = to_network(torch.tensor(face.picture)[None].to(device))
            yield part.latent_matching, part.latent_matching.look(picture), device

    @property
    def draws(self) -> Draws:
        """How it draws, with these weights."""
        replays = self.settings.draws == "replayed" and not len(self.matching.motions)
        return "slow" if replays else self.settings.draws

    def _draws(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """ε of one frame after the other, float32 ``(z,)``; all but independent ones begin anywhere."""
        if self.draws == "replayed":
            motions = self.matching.motions.cpu().numpy()
            for now in replayed(motions, rng):
                yield (self.settings.noise * now).astype(np.float32)
        z = self.matching.config.latent_matching.z
        keeps, new, first = np.zeros((z, z)), np.eye(z), np.eye(z)
        if self.draws == "slow":
            keeps, *covariances = (matrix.double().cpu().numpy() for matrix in self.matching.drift)
            new, first = (_root(covariance) for covariance in covariances)
        now = first @ rng.standard_normal(z)
        while True:
            yield (self.settings.noise * now).astype(np.float32)
            now = keeps @ now + new @ rng.standard_normal(z)

    @torch.inference_mode()
    def rows(self, clip: Clip, shown: int, rng: np.random.Generator, *, pictures: bool) -> dict[str, Shown]:
        """What it makes of a clip.

        Returns
        -------
        ``from_speech``: one draw, as it is used; without pictures nothing is known of it. Where pictures are
        asked for, also ``from_mean``: the means of the audio posterior, no noise; and ``from_frames``: those
        of the true frames' posterior, as near as sound could come if it told everything.
        """
        if not pictures:
            return {FROM_SPEECH: Shown()}
        found = super().rows(clip, shown, rng, pictures=True)
        face, without = self.face_of(clip, shown), self.with_settings(LatentMatchingSettings(noise=0.0))
        mean = [stretch.frames for stretch in without.film(face, clip.speech, rng)]
        found[FROM_MEAN] = Shown(None, np.concatenate(mean))
        found[FROM_FRAMES] = Shown(None, self._rebuilt(face, clip.frames))
        return found

    @torch.inference_mode()
    def posterior_means(self, clip: Clip, shown: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """What the sound and what the frames of a clip say of z, its frame ``shown`` being the photograph:
        the means of both posteriors, float32 ``(T, z)`` each."""
        with self._looking(self.face_of(clip, shown)) as (network, seen, device):
            windows = mfcc_windows_between(clip.speech, 0, len(clip))
            of_audio, _ = network.listen(torch.from_numpy(windows)[None].to(device), seen)
            frames = to_network(torch.tensor(clip.frames)[None].to(device))
            of_frames, _ = network.watch(network.encode(frames), seen)
        return of_audio.mean[0].cpu().numpy(), of_frames.mean[0].cpu().numpy()

    def _rebuilt(self, face: Face, frames: np.ndarray) -> np.ndarray:
        made, watched, code, state = [], None, None, None
        with self._looking(face) as (network, seen, device):
            for start in range(0, len(frames), CHUNK_FRAMES):
                some = to_network(torch.tensor(frames[start : start + CHUNK_FRAMES])[None].to(device))
                q, watched = network.watch(network.encode(some), seen, watched)
                film, code, state = generated(network, q.mean, seen, code, state)
                made.append(to_pictures(film.frames[0]))
        return np.concatenate(made)

    def for_inference(self, precision: str = "auto") -> Self:
        """With a copy of its networks that is faster, see
        :func:`talkface_lite.networks.fast_matching.for_inference`."""
        fast = copy.copy(self.matching)  # the configuration is shared, the networks are not
        fast._modules = {"latent_matching": for_inference(self.matching.latent_matching, precision)}
        return type(self)({fast.name: fast.eval()}, self.settings)

    @property
    def how(self) -> str:
        """What is drawn, and how."""
        if self.settings.noise == 0:
            return "the mean of what the speech allows, no noise"
        return f"one draw of what the speech allows, {self.draws} noise × {self.settings.noise:g}"


def replayed(motions: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pieces ``(pieces, frames, z)``, one drawn after the other, without end: ``(z,)`` of each frame.

    The end of each fades into the beginning of the next with weights whose squares add up to 1, so that the
    variance stays. The first begins anywhere.
    """
    phase = np.pi / 2 * (np.arange(FADE) + 0.5) / FADE
    piece = motions[rng.integers(len(motions))]
    start = rng.integers(len(piece) - FADE)
    while True:
        yield from piece[start : len(piece) - FADE]
        ends, piece = piece[-FADE:], motions[rng.integers(len(motions))]
        yield from np.cos(phase)[:, None] * ends + np.sin(phase)[:, None] * piece[:FADE]
        start = FADE


def _root(covariance: np.ndarray) -> np.ndarray:
    """R, ``(z, z)``, with ``R Rᵀ`` the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(0))
