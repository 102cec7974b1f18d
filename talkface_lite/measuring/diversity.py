"""Films of one speech beside one another: how far they differ where speech leaves a face free, and where not.

A corpus that is drawn can be asked what no recording can: the same person says the same once more, and only
what speech does not determine, head, lids and brows, is drawn anew. So the spread of a system's films stands
beside the spread of true ones.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening
from talkface_lite.measuring.pictures import FindPoints, as_array, points_in
from talkface_lite.metrics import psnr

SHUT_BY = ("p", "b", "m")
"""Sounds for which everybody's lips are shut."""

Points = np.ndarray
"""float ``(..., 68, 2)``, pixels of the aligned crop; NaN where no face was seen."""


def lids(points: Points) -> np.ndarray:
    """How far both eyes are open, mean over the upper lids' points, px."""
    upper, lower = points[..., [37, 38, 43, 44], 1], points[..., [41, 40, 47, 46], 1]
    return (lower - upper).mean(axis=-1)


def brows(points: Points) -> np.ndarray:
    """How high the brows stand above the corners of the eyes, px."""
    return points[..., [36, 39, 42, 45], 1].mean(axis=-1) - points[..., 17:27, 1].mean(axis=-1)


def turn(points: Points) -> np.ndarray:
    """How far the tip of the nose lies to the right of the middle between the eyes, px: yaw, as a crop that
    is aligned on the face shows it."""
    return points[..., 30, 0] - points[..., [36, 39, 42, 45], 0].mean(axis=-1)


def nod(points: Points) -> np.ndarray:
    """How far the tip of the nose lies below the corners of the eyes, px: pitch."""
    return points[..., 30, 1] - points[..., [36, 39, 42, 45], 1].mean(axis=-1)


FREE: Mapping[str, Callable[[Points], np.ndarray]] = MappingProxyType(
    {"lids": lids, "brows": brows, "turn": turn, "nod": nod}
)
"""What speech does not determine, read from 68 points."""


def spread(values: np.ndarray) -> float:
    """Standard deviation over films, root mean square over frames.

    Parameters
    ----------
    values:
        ``(K, T)``, NaN where nothing was seen; K at least 2.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise InputError("films", f"shape {values.shape}", "(K, T), K at least 2")
    known = values[:, np.isfinite(values).all(axis=0)]
    return float(np.sqrt(known.var(axis=0, ddof=1).mean())) if known.shape[1] else float("nan")


def shut_frames(clip: Clip) -> np.ndarray:
    """bool ``(T,)``: the middle frames of /p/, /b/ and /m/."""
    shut = np.zeros(len(clip), bool)
    for label, start, end in clip.phonemes:
        if label in SHUT_BY:
            shut[min(int(FRAMES_PER_SECOND * (start + end) / 2), len(clip) - 1)] = True
    return shut


def spreads(points: Points, shut: np.ndarray) -> dict[str, float]:
    """The spread of each of :data:`FREE`, and of the lips' opening where they are ``shut`` (px).

    Parameters
    ----------
    points:
        ``(K, T, 68, 2)``.
    shut:
        bool ``(T,)``, see :func:`shut_frames`.
    """
    found = {name: spread(measure(points)) for name, measure in FREE.items()}
    found["lips"] = spread(lip_opening(points))
    found["lips_shut"] = spread(lip_opening(points)[:, shut]) if shut.any() else float("nan")
    return found


def jitter(points: Points) -> dict[str, float]:
    """How far each of :data:`FREE` is from the mean of the frame before and the frame after, rms, px.

    Parameters
    ----------
    points:
        ``(K, T, 68, 2)``.
    """
    found = {}
    for name, measure in FREE.items():
        values = measure(points)
        between = values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2
        found[name] = float(np.sqrt(np.nanmean(between**2)))
    return found


def points_of(films: Sequence[np.ndarray], find_points: FindPoints) -> Points:
    """What a detector sees in K films uint8 ``(T, H, W, 3)``: ``(K, T, 68, 2)``."""
    return np.stack([as_array(points_in(film, find_points)) for film in films])


def best_of(films: Sequence[np.ndarray], truth: np.ndarray, counts: Sequence[int]) -> list[float]:
    """PSNR of the nearest of the first K films to the truth, dB, for each K of ``counts``."""
    each = [psnr(film, truth, data_range=255) for film in films]
    return [float(max(each[:count])) for count in counts]


def noisy(mean: np.ndarray, films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many films that know nothing: the mean film and noise of the films' own variance.

    Each number of each picture gets normal noise by itself, with the standard deviation that it has over the
    films.

    Parameters
    ----------
    mean:
        uint8 ``(T, H, W, 3)``.
    films:
        uint8 ``(K, T, H, W, 3)``.

    Returns
    -------
    uint8 ``(K, T, H, W, 3)``
    """
    deviation = films.astype(np.float32).std(axis=0, ddof=1)
    made = [mean + deviation * rng.standard_normal(mean.shape, np.float32) for _ in films]
    return np.rint(np.stack(made)).clip(0, 255).astype(np.uint8)
