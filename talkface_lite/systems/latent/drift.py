"""What speech leaves open in a film, and how it goes on from frame to frame."""

from collections.abc import Iterable, Iterator, Sequence
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

STILL = 0.1
"""px²: the same for each coordinate of a landmark. What moves far less is the detector's, or rounding."""


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


class SaidTheSame:
    """Films that say the same, added speech by speech: how z goes with what faces do there.

    e holds more than faces do: with another opening of the same lips come other numbers of z, and drawn for
    themselves they move lips that should be shut. So what is drawn is ``E[e | landmarks]``, linear in how far
    landmarks are from the films' mean.
    """

    def __init__(self) -> None:
        self._moved: list[Tensor] = []  # of each film (T, 136), px
        self._both, self._frames = 0.0, 0

    def add(self, e: Tensor, moved: Tensor) -> None:
        """Of films of one speech e, ``(films, T, z)``, and landmarks, px, ``(films, T, 136)``; what counts is
        how far each is from the mean of all."""
        e, moved = (of_films(values.cpu().double()) for values in (e, moved))
        self._moved += [*moved]
        self._both = self._both + e.flatten(0, 1).T @ moved.flatten(0, 1)
        self._frames += len(moved.flatten(0, 1))

    def films(self) -> list[Tensor]:
        """That e of each film, float64 ``(T, z)``.

        Raises
        ------
        InputError
            When nothing was added.
        """
        if not self._moved:
            raise InputError("clips", "no two that say the same", "films of one speech, one after the other")
        moved = sum(film.T @ film for film in self._moved) / self._frames
        moved = moved + STILL * torch.eye(len(moved)).to(moved)
        by = torch.linalg.solve(moved, self._both / self._frames, left=False)  # (z, 136)
        return [film @ by.T for film in self._moved]


def means_of(films: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of films ``(T, z)``, frame by frame: the mean products of e with itself, and with that of the frame
    before, ``(z, z)`` each."""
    before, now = (torch.cat([film[cut] for film in films]) for cut in (slice(-1), slice(1, None)))
    squares, steps = products(before, now)
    return squares / len(now), steps / len(now)


def pieces_of(films: Sequence[Tensor], count: int, frames: int) -> Tensor:
    """Of films ``(T, z)``, evenly chosen where there are more, one piece each: ``(pieces, frames, z)``.

    Pieces lie earlier in one film and later in another. A shorter film goes to and fro.
    """
    chosen = np.unique(np.linspace(0, len(films) - 1, min(count, len(films))).round().astype(int))
    pieces = []
    for number, film in enumerate(films[which].numpy() for which in chosen):
        short = max(0, frames - len(film))
        film = np.pad(film, ((0, short), (0, 0)), mode="symmetric")
        start = number * frames // 3 % (len(film) - frames + 1)
        pieces.append(torch.from_numpy(film[start : start + frames]))
    return torch.stack(pieces)


def of_films(values: Tensor) -> Tensor:
    """What films of one speech, ``(films, T, ...)``, differ by from their mean, so that the variance over
    films is not too small."""
    return (values - values.mean(dim=0)) * (len(values) / (len(values) - 1)) ** 0.5


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
