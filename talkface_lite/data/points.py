"""How the points of a training window are varied: mirrored, and as another face detector would see them."""

import numpy as np
import torch

from talkface_lite.data.needs import Batch, DataSettings
from talkface_lite.landmarks import MOUTH, mirror

OPENING_SEEN, WIDTH_SEEN, POINT_SEEN = 0.9, 0.8, 0.35
"""What detectors differ by in one face, pixels of the crop: the opening of closed lips (half normal), the
width of the mouth, and each coordinate (normal), standard deviations."""
POINT_TREMBLES = 0.2
"""What one detector differs by from frame to frame, pixels."""


UPPER_INNER, LOWER_INNER = [13, 14, 15], [17, 18, 19]
_OUTER, _INNER = (-1, -0.65, -0.27, 0, 0.27, 0.65, 1, 0.65, 0.29, 0, -0.29, -0.65), (-0.87, -0.29, 0, 0.29)
ACROSS = np.array([*_OUTER, *_INNER, 0.87, 0.29, 0, -0.29])
"""Of the 20 mouth points: the inner lips, and where each lies between the corners, -1 to 1."""


def vary_points(batch: Batch, i: int, rng: np.random.Generator, settings: DataSettings) -> None:
    """Window ``i`` of a batch, in place: perhaps mirrored, its points as another detector sees them."""
    if settings.mirrored and rng.random() < 0.5:
        _mirror(batch, i)
    if settings.landmark_noise:
        for points in (batch.landmarks, batch.example):
            missed = settings.landmark_noise * rng.standard_normal(points[i].shape)
            points[i] += torch.from_numpy(missed.astype(np.float32))
    if settings.detector:
        _see_otherwise(batch, i, rng, settings.detector)


def _mirror(batch: Batch, i: int) -> None:
    for pictures in (batch.photograph, batch.previous, batch.pictures):
        if pictures is not None:
            pictures[i] = pictures[i].flip(-2)
    for points in (batch.landmarks, batch.example):
        points[i] = torch.from_numpy(mirror(points[i].numpy()).copy())


def _see_otherwise(batch: Batch, i: int, rng: np.random.Generator, strength: float) -> None:
    """Window ``i`` of a batch, in place, as another face detector would see the mouth."""
    offset = rng.normal(0, POINT_SEEN, (20, 2))
    offset[UPPER_INNER, 1] -= (opening := abs(rng.normal(0, OPENING_SEEN)) / 2)
    offset[LOWER_INNER, 1] += opening
    offset[:, 0] += rng.normal(0, WIDTH_SEEN) / 2 * ACROSS
    trembles = rng.normal(0, POINT_TREMBLES, (20, 2))
    batch.landmarks[i, :, MOUTH] += torch.tensor(strength * offset, dtype=torch.float32)
    batch.example[i, MOUTH] += torch.tensor(strength * (offset + trembles), dtype=torch.float32)
