"""Landmarks as a network of convolutions sees them: thin lines, drawn anew for each frame.

Wang et al. hand their LTV net "landmarks representation" and show drawings in their Fig. 4
({cite}`wang2020attentional`, section 3.2); how they were drawn they do not say. Ours has three channels, so
that lips that touch can still be told apart. Lines are those of :data:`talkface_lite.landmarks.LINES`.
"""

from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import LINES, apply_transform, magnify, smooth_curve

CHANNELS = 3
"""Of a drawing: jaw, brows, nose and eyes; the outer lips; the inner lips."""
THICKNESS = 1.2
"""Of the lines, pixels of the 128×128 frame."""
_CHANNEL = {"outer_lips": 1, "inner_lips": 2}
_SHIFT = 4
"""Bits after the point in the coordinates that OpenCV draws with."""


def drawn(landmarks: Tensor, side: int = CROP_SIZE) -> Tensor:
    """Faces as smooth thin lines, antialiased, on nothing.

    OpenCV draws them on the CPU, wherever the landmarks are, and no gradient passes.

    Parameters
    ----------
    landmarks:
        ``(N, 68, 2)``, pixels of the 128×128 frame. What lies outside of it is cut off.
    side:
        Of the drawings, pixels; the frame is magnified to fill them, and the lines with it.

    Returns
    -------
    Tensor
        float32 ``(N, 3, side, side)`` in [0, 1], on the landmarks' device; 0 where nothing is drawn. The
        channels are jaw, brows, nose and eyes; the outer lips; the inner lips.

    Raises
    ------
    InputError
        When the shape is wrong or a value is not finite.
    """
    points = landmarks.detach().cpu().double().numpy()
    if points.ndim != 3 or points.shape[1:] != (N_POINTS, 2):
        raise InputError("landmarks", f"shape {tuple(points.shape)}", "shape (N, 68, 2)")
    if not np.isfinite(points).all():
        raise InputError("landmarks", "values that are NaN or infinite", "finite numbers")
    weights, ends = _curves()
    places = weights @ apply_transform(points, magnify(side / CROP_SIZE))  # (P, 68) @ (N, 68, 2) → (N, P, 2)
    places = np.rint(places * 2**_SHIFT).astype(np.int32)
    width = max(1, round(THICKNESS * side / CROP_SIZE))
    drawings = np.zeros((len(points), CHANNELS, side, side), np.uint8)
    for drawing, face in zip(drawings, places):
        for (group, _), curve in zip(LINES, np.split(face, ends)):
            canvas = drawing[_CHANNEL.get(group, 0)]
            cv2.polylines(canvas, [curve], False, 255, width, cv2.LINE_AA, _SHIFT)
    return torch.from_numpy(drawings).to(landmarks.device).float() / 255


@cache
def _curves() -> tuple[np.ndarray, np.ndarray]:
    """What each place of all curves has of each of the 68 points, ``(P, 68)``, and where a next one begins.

    A Catmull-Rom curve is linear in its points, so one product gives the curves of a whole film.
    """
    parts = []
    for _, indices in LINES:
        # smooth_curve takes points of two coordinates: so two unit vectors at a time
        units = np.split(np.eye(N_POINTS)[list(indices)], N_POINTS // 2, axis=1)
        parts.append(np.concatenate([smooth_curve(pair) for pair in units], axis=1))
    return np.concatenate(parts), np.cumsum([len(part) for part in parts])[:-1]
