"""How near moved landmarks come to the true ones."""

import numpy as np

from talkface_lite.metrics import landmark_distance, lip_opening_correlation, mouth_landmark_distance

LANDMARK_METRICS: tuple[str, ...] = (
    "mouth_landmark_distance",
    "landmark_distance",
    "lip_opening_correlation",
)
"""Pixels of the 128×128 crop, pixels, and Pearson's r."""


def measure_landmarks(generated: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The figures of one clip: ``(T, 68, 2)`` against ``(T, 68, 2)``, distances averaged over frames."""
    return {
        "mouth_landmark_distance": float(mouth_landmark_distance(generated, truth).mean()),
        "landmark_distance": float(landmark_distance(generated, truth).mean()),
        "lip_opening_correlation": lip_opening_correlation(generated, truth),
    }
