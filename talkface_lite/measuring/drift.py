"""Does a face stay who it is, and how large it is, while a film goes on?

What is made from what was made before it may depart from the photograph a little with every frame, and be the
face of somebody else in the end (identity drift). And a face that is cut out anew in every frame breathes, or
is trained to: it grows and shrinks (zoom). And what turns the head at all?
"""

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND
from talkface_lite.landmarks import ANCHORS, similarity_transform

DRIFT_SECONDS = 10
"""Drift is told over so long."""

SHORTEST = 2 * FRAMES_PER_SECOND
"""Frames; in a shorter film a slope says nothing."""

UPPER = slice(17, 48)
"""The points of brows, nose and eyes."""

RIGHT_EYE, LEFT_EYE, NOSE_TIP = slice(36, 42), slice(42, 48), 30

MARGIN = 4
"""Pixels of the crop that the box of brows, eyes and nose reaches beyond their points."""


def upper_face(points: np.ndarray, scale: float = 1.0) -> tuple[slice, slice]:
    """Rows and columns that hold brows, eyes and nose of all frames ``(T, 68, 2)``, pixels of these pictures,
    which are ``scale`` times the aligned crop; speech moves little there."""
    its = points[:, UPPER].reshape(-1, 2)
    margin = MARGIN * scale
    left, top = np.floor(its.min(axis=0) - margin).astype(int).clip(0)
    right, bottom = np.ceil(its.max(axis=0) + margin).astype(int) + 1
    return slice(top, bottom), slice(left, right)


def departure(film: np.ndarray, photograph: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """How far each frame is from the photograph in a box: root mean square of levels, float64 ``(T,)``.

    Parameters
    ----------
    film, photograph:
        uint8 RGB ``(T, H, W, 3)``, ``(H, W, 3)``.
    box:
        Rows and columns, such as :func:`upper_face`.
    """
    shown = photograph[box].astype(np.float64)
    return np.array([np.sqrt(((frame[box] - shown) ** 2).mean()) for frame in film])


def drift(film: np.ndarray, photograph: np.ndarray, box: tuple[slice, slice]) -> float:
    """By how many levels a film departs further from its photograph in ten seconds: the slope of a straight
    line through :func:`departure`. Of a head that turns about and comes back it is near 0; NaN for films of
    less than two seconds."""
    if len(film) < SHORTEST:
        return float("nan")
    seconds = np.arange(len(film)) / FRAMES_PER_SECOND
    return float(DRIFT_SECONDS * np.polyfit(seconds, departure(film, photograph, box), 1)[0])


def zoom_spread(points: np.ndarray) -> float:
    """By how many per cent a face grows and shrinks: the standard deviation of the logarithm of its size over
    the frames of a film, times 100.

    Parameters
    ----------
    points:
        float ``(T, 68, 2)``; NaN in frames where nobody saw a face. The size is that of the similarity which
        takes nose and eyes of the frame to their mean over the film.
    """
    seen = points[np.isfinite(points).all(axis=(1, 2))][:, ANCHORS]
    if len(seen) < 2:
        return float("nan")
    fitted = similarity_transform(seen.mean(axis=0), seen)[:, :, :2]  # (T, 2, 2)
    return float(100 * (0.5 * np.log(np.linalg.det(fitted))).std())


def pose_spread(points: np.ndarray) -> float:
    """How much a head turns and nods, per cent of the distance of the eyes: by how far the tip of the nose
    departs, root mean square over a film, from where it is in the mean, seen from the eyes. What aligning
    takes out of a film, place, size and tilt, is not in it.

    Parameters
    ----------
    points:
        float ``(T, 68, 2)``; NaN in frames where nobody saw a face.
    """
    seen = points[np.isfinite(points).all(axis=(1, 2))]
    if len(seen) < 2:
        return float("nan")
    right, left = seen[:, RIGHT_EYE].mean(axis=1), seen[:, LEFT_EYE].mean(axis=1)  # (T, 2)
    across = (left - right) @ (1, 1j)  # (T,): one axis along the eyes, one at right angles
    nose = (seen[:, NOSE_TIP] - (left + right) / 2) @ (1, 1j) / across
    return float(100 * np.sqrt((np.abs(nose - nose.mean()) ** 2).mean()))
