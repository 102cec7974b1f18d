"""What a network painted as stretches of a film."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from torch import Tensor

from talkface_lite.data.tensors import to_pictures
from talkface_lite.systems.base import Painted, Stretch


class Made(Protocol):
    """What every network that paints gives of some films side by side, all with pixels in their last axes.

    Parameters
    ----------
    frames, colour:
        ``(films, T, 3, side, side)`` in [-1, 1]: the finished pictures, and what is painted.
    alpha:
        ``(films, T, 1, side, side)`` in [0, 1]: how far each pixel is painted; None: everything is.
    flow:
        ``(films, T, 2, side, side)``, pixels: how far from each pixel, in x and y, lies what it shows of the
        photograph; None where alpha is.
    """

    frames: Tensor
    colour: Tensor
    alpha: Tensor | None
    flow: Tensor | None


def stretch_of(
    made: Made, number: int = 0, landmarks: np.ndarray | None = None, *, moved: bool = True
) -> Stretch:
    """One film of several: its frames, and where some of them is the photograph what was painted and where.

    Parameters
    ----------
    made:
        Some frames of each film.
    number:
        Which film.
    landmarks:
        float32 ``(T, 68, 2)``, what it was painted to, where the system knows.
    moved:
        False where the photograph stays where it is, and the flow says nothing.
    """
    frames = to_pictures(made.frames[number])
    if made.alpha is None:
        return Stretch(frames, landmarks)
    colour, alpha, *flow = (
        np.ascontiguousarray(part[number].movedim(1, -1).float().cpu().numpy())
        for part in (made.colour, made.alpha, *([made.flow] if moved else []))
    )
    return Stretch(frames, landmarks, Painted(colour, alpha[..., 0], *flow))


def stretches(film: Iterable[Made], landmarks: np.ndarray, *, moved: bool = True) -> Iterator[Stretch]:
    """A film that is painted to landmarks ``(T, 68, 2)``, some frames at a time, as stretches with these."""
    at = 0
    for made in film:
        n = made.frames.shape[1]
        yield stretch_of(made, landmarks=landmarks[at : at + n], moved=moved)
        at += n


def frames_of(film: Iterable[Made]) -> np.ndarray:
    """A film that is made some frames at a time, all at once: uint8 RGB ``(T, side, side, 3)``."""
    return np.concatenate([to_pictures(made.frames[0]) for made in film])
