"""Mouths that hardly move are still, and memories that have heard silence."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME
from talkface_lite.landmarks import MOUTH
from talkface_lite.speech import fit_to_frames

STILL, STILL_FRAMES = 0.5, 3
"""Pixels, root mean square over the mouth's points: a mouth that is nearer than this to the photograph, and
has been for so many frames before, is taken to be still."""

SILENCE_FRAMES = FRAMES_PER_SECOND
"""One second of silence, after which a network's memory has settled."""


def after_silence(speech: np.ndarray, silence: int) -> np.ndarray:
    """Speech ``(n,)`` at 16 kHz after so many frames of silence, filled up with more to whole frames."""
    return np.pad(fit_to_frames(speech), (silence * SAMPLES_PER_FRAME, 0))


def settled(moved: np.ndarray, mouth: slice = MOUTH, still: float = STILL) -> np.ndarray:
    """Displacements of points ``(T, N, 2)``, pixels → the same, smoothly less where the mouth hardly moves.

    With r the root mean square of the displacements of the points of a frame that are the ``mouth``'s, and ρ
    the largest r of the frame and the :data:`STILL_FRAMES` before it: times ``ρ⁴ / (ρ⁴ + still⁴)``. After
    speech a network's memory takes seconds to fall silent, and in the noise of a room it never says quite the
    same twice; a mouth at rest is still. In speech, where small movements follow large ones, next to nothing
    is lost. No frame depends on a later one.
    """
    r = np.sqrt((moved[:, mouth] ** 2).sum(-1).mean(-1))  # (T,)
    largest = sliding_window_view(np.pad(r, (STILL_FRAMES, 0)), STILL_FRAMES + 1).max(axis=-1) ** 4
    return moved * (largest / (largest + still**4))[:, None, None]
