"""Points smoothed over time without lag, and crops that stand still.

A frame's value becomes that of a parabola fitted to the frames around it with bell-shaped weights (Savitzky
and Golay 1964, the weights after Cleveland 1979). The window is the same before and after, so nothing comes
late; a parabola keeps the height of peaks, so lips that open and close in a fifth of a second still do.
"""

import numpy as np

from talkface_lite.clip import N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import ANCHORS, TEMPLATE, similarity_transform

POINTS_REACH = 2
"""Frames each way for the points: five frames, 0.2 s."""

HEAD_REACH = 6
"""Frames each way for the head: thirteen frames, 0.5 s. A head weighs 5 kg and turns slowly."""


def smooth(values: np.ndarray, reach: int) -> np.ndarray:
    """Smooth over time: a weighted parabola through ``2 reach + 1`` frames, at its middle.

    Parameters
    ----------
    values:
        ``(n, ...)``, finite; time first.
    reach:
        Frames each way, 0 or more. Near the ends the window is cut off, not mirrored, so a motion that is
        under way at the first or last frame stays as it is.

    Returns
    -------
    float64, the shape of ``values``. Whatever is a parabola in time comes back unchanged.

    Raises
    ------
    InputError
        When a value is not finite or ``reach`` is negative.
    """
    values = np.asarray(values, np.float64)
    if reach < 0:
        raise InputError("reach", reach, "0 frames or more")
    if values.ndim == 0 or not np.isfinite(values).all():
        raise InputError("values", "a single value, or NaN or infinity", "finite numbers, time first")
    n = len(values)
    smoothed = values.copy()
    if reach == 0 or n < 3:
        return smoothed
    flat = values.reshape(n, -1)
    kernels: dict[tuple[int, int], np.ndarray] = {}
    for t in range(n):
        before, after = min(reach, t), min(reach, n - 1 - t)
        if (before, after) not in kernels:
            kernels[before, after] = _kernel(before, after, reach)
        smoothed[t] = (kernels[before, after] @ flat[t - before : t + after + 1]).reshape(values.shape[1:])
    return smoothed


def _kernel(before: int, after: int, reach: int) -> np.ndarray:
    """``(before + after + 1,)``: what sums the frames to the fitted parabola's value at frame 0."""
    time = np.arange(-before, after + 1, dtype=np.float64)
    weights = _bell(time / (reach + 1))
    powers = time[:, None] ** np.arange(min(3, len(time)))
    return np.linalg.solve((powers.T * weights) @ powers, powers.T * weights)[0]


def _bell(time: np.ndarray) -> np.ndarray:
    """Cleveland's weights: 1 at 0, 0 at -1 and 1."""
    return (1 - abs(time) ** 3) ** 3


def crop_matrices(landmarks: np.ndarray) -> np.ndarray:
    """Where to cut the aligned face out of each frame of one shot.

    The head is followed by points 27-47 (nose and eyes), smoothed over half a second: more than the points
    themselves, whose error would make the whole picture tremble.

    Parameters
    ----------
    landmarks:
        ``(n, 68, 2)`` of one shot, pixels of the picture, n at least 1.

    Returns
    -------
    float64 ``(n, 2, 3)``: similarity transforms from the picture to the 128 x 128 crop, for
    :func:`talkface_lite.landmarks.warp_crop` and :func:`talkface_lite.landmarks.apply_transform`.

    Raises
    ------
    InputError
        When the shape is wrong, or a value is not finite.
    """
    landmarks = np.asarray(landmarks)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (N_POINTS, 2) or len(landmarks) == 0:
        raise InputError("landmarks", f"shape {landmarks.shape}", f"shape (n, {N_POINTS}, 2)")
    return similarity_transform(smooth(landmarks[:, ANCHORS], HEAD_REACH), TEMPLATE)
