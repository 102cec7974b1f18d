"""What speech leaves open in a film, and how it goes on from frame to frame."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from talkface_lite.clip import Clip
from talkface_lite.errors import InputError
from talkface_lite.networks.posteriors import Gaussian

FADES = 0.999
"""What is left of a deviation after a frame, at most."""

FAINT = 1e-4
"""Variance that is added to each number of z where its covariances are divided by."""


class Drift(NamedTuple):
    """``e_t = A e_{t-1} + w_t``, w of covariance Q; e itself has covariance C. Each ``(z, z)``."""

    keeps: Tensor
    new: Tensor
    whole: Tensor


def drift_of(squares: Tensor, step_products: Tensor) -> Drift:
    """From the covariances of e in one frame, C, and of one frame and the frame before, C₁, ``(z, z)`` each.

    ``A = C₁ C⁻¹``, made no larger than lets it fade, and ``Q = C - A C Aᵀ``.
    """
    whole = squares + FAINT * torch.eye(len(squares)).to(squares)
    keeps = torch.linalg.solve(whole, step_products, left=False)
    keeps = keeps / (torch.linalg.eigvals(keeps).abs().max() / FADES).clamp(min=1)
    return Drift(keeps, whole - keeps @ whole @ keeps.T, whole)


def unexplained(of_frames: Gaussian, of_audio: Gaussian) -> Tensor:
    """``(μ_f - μ_a) / σ_a``: what the frames say and the sound does not, in what it leaves open."""
    return (of_frames.mean - of_audio.mean) * torch.exp(-0.5 * of_audio.logvar)


def products(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """Of pairs of frames that follow one another, ``(N, z)`` each: the sums over pairs of the products of e
    with itself, and with that of the frame before; each ``(z, z)``."""
    return (now.T @ now + before.T @ before) / 2, now.T @ before


class Products:
    """Means of :func:`products`, over films that come one by one."""

    def __init__(self) -> None:
        self._squares, self._steps, self._pairs = 0.0, 0.0, 0

    def add(self, before: Tensor, now: Tensor) -> None:
        """Pairs of frames that follow one another, ``(N, z)`` each."""
        squares, steps = products(before, now)
        self._squares, self._steps = self._squares + squares, self._steps + steps
        self._pairs += len(now)

    def means(self) -> tuple[Tensor, Tensor]:
        """Both.

        Raises
        ------
        InputError
            When there was no pair.
        """
        if not self._pairs:
            raise InputError("clips", "no two that say the same", "films of one speech, one after the other")
        return self._squares / self._pairs, self._steps / self._pairs


def saying_the_same(clips: Iterable[Clip]) -> Iterator[list[Clip]]:
    """Clips that follow one another with the same sound, together; those that stand alone are left out."""
    together: list[Clip] = []
    for clip in clips:
        if together and not np.array_equal(clip.speech, together[0].speech):
            if len(together) > 1:
                yield together
            together = []
        together.append(clip)
    if len(together) > 1:
        yield together
