"""Eyes and glasses, painted in every frame at the projected points."""

from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.face import FaceGeometry
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.painter.brush import SHIFT, fixed, spline_basis

N_CURVE = 15
IRIS_RADIUS = 3.95
"""Template pixels."""


@dataclass(frozen=True, eq=False)
class EyeCurves:
    """Lids and irises of all frames in pixels of the output; index 0 is the eye at the left of the picture.

    ``upper``, ``lower``: ``(T, 2, 15, 2)``, outer to inner corner. ``iris``: ``(T, 2, 2)`` centres.
    ``unit``: ``(T,)`` pixels to one template pixel.
    """

    upper: np.ndarray
    lower: np.ndarray
    iris: np.ndarray
    unit: np.ndarray


def eye_curves(geometry: FaceGeometry, eyes: np.ndarray, to_view) -> EyeCurves:  # noqa: ANN001
    """Lids and irises of all frames from the eye points ``(T, 12, 2)``, in pixels of the output."""
    eyes = eyes.copy()
    # lashes and shade make an eye look shorter than it is painted
    eyes[:, [0, 9]] += 0.07 * (eyes[:, [0, 9]] - eyes[:, [3, 6]])
    basis = spline_basis(4, N_CURVE)
    upper = np.stack([basis @ eyes[:, [0, 1, 2, 3]], basis @ eyes[:, [9, 8, 7, 6]]], axis=1)
    lower = np.stack([basis @ eyes[:, [0, 5, 4, 3]], basis @ eyes[:, [9, 10, 11, 6]]], axis=1)
    head = geometry.head
    neutral = np.stack([head.landmarks[36:42], head.landmarks[42:48]])
    ball = neutral.mean(1)
    ball[:, 1] -= 0.7
    yaw, pitch = np.sin(geometry.motion.pose[:, 0]), np.sin(geometry.motion.pose[:, 1])
    gaze = geometry.motion.gaze.astype(float)
    centre = np.repeat(ball[None], len(eyes), axis=0)
    # a centred gaze rests on the camera, so the eyes turn against the head
    centre[:, :, 0] += np.clip(3.3 * gaze[:, 0] - 5.5 * yaw, -3.4, 3.4)[:, None]
    centre[:, :, 1] += np.clip(1.7 * gaze[:, 1] - 3.0 * pitch, -1.5, 1.5)[:, None]
    iris = to_view(centre)
    unit = np.linalg.norm(eyes[:, 9] - eyes[:, 0], axis=1) / np.linalg.norm(neutral[1, 3] - neutral[0, 0])
    return EyeCurves(upper, lower, iris, unit)


def paint_eyes(picture: np.ndarray, person: Identity, curves: EyeCurves, t: int) -> None:
    """Paint both eyes of frame ``t`` into ``picture`` (uint8 ``(H, W, 4)``) in place."""
    for side in (0, 1):
        _paint_eye(
            picture,
            person,
            curves.upper[t, side],
            curves.lower[t, side],
            curves.iris[t, side],
            curves.unit[t],
        )


def _paint_eye(
    picture: np.ndarray, person: Identity, upper: np.ndarray, lower: np.ndarray, iris: np.ndarray, unit: float
) -> None:
    ring = np.concatenate([upper, lower[-2:0:-1]])
    low, high = np.floor(ring.min(0)).astype(int) - 8, np.ceil(ring.max(0)).astype(int) + 9
    low, high = np.maximum(low, 0), np.minimum(high, (picture.shape[1], picture.shape[0]))
    if (high - low < 4).any():
        return
    roi = picture[low[1] : high[1], low[0] : high[0]]
    upper, lower, ring, iris = upper - low, lower - low, ring - low, iris - low
    opening = float(np.abs(upper[5:10, 1] - lower[5:10, 1]).mean()) / unit
    if opening > 0.5:
        ball = np.empty_like(roi)
        white = 232 - 16 * person.skin_depth
        ball[:] = (white, white - 4, white - 8, 255)
        _corners(ball, upper, lower, unit)
        _iris(ball, person, iris, unit)
        _lid_shadow(ball, upper, unit)
        glint = iris + np.array([1.25 * np.sign(person.light[0] + 1e-6), -1.35]) * unit
        _disc(ball, glint, 0.82 * unit, (255, 255, 255))
        _disc(ball, 2 * iris - glint, 0.42 * unit, tuple(0.45 * c + 110 for c in person.eye_colour))
        mask = np.zeros(roi.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed(ring)], 255, cv2.LINE_AA, SHIFT)
        weight = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) * np.float32(1 / 255)
        roi[:] = cv2.blendLinear(ball, roi, weight, 1 - weight)
    _lashes(roi, person, upper, lower, unit)


def _disc(picture: np.ndarray, centre: np.ndarray, radius: float, colour: tuple) -> None:
    at = tuple(int(v) for v in np.rint(centre * 16))
    cv2.circle(picture, at, max(1, round(radius * 16)), (*colour, 255), -1, cv2.LINE_AA, SHIFT)


def _corners(ball: np.ndarray, upper: np.ndarray, lower: np.ndarray, unit: float) -> None:
    """The white darkens towards the corners, and the inner one is pink."""
    outer, inner = upper[0], upper[-1]
    _disc(ball, outer, 1.5 * unit, (212, 200, 194))
    _disc(ball, inner, 2.4 * unit, (214, 178, 170))
    cv2.GaussianBlur(ball, (0, 0), 1.3 * unit, dst=ball)


def _iris(ball: np.ndarray, person: Identity, centre: np.ndarray, unit: float) -> None:
    radius = IRIS_RADIUS * unit
    colour = np.array(person.eye_colour, float)
    _disc(ball, centre, radius, tuple(colour * 0.42))
    _disc(ball, centre, 0.86 * radius, tuple(colour * 0.86))
    _disc(
        ball, centre + np.array([0, 0.2 * radius]), 0.62 * radius, tuple(np.minimum(colour * 1.25 + 8, 255))
    )
    cv2.GaussianBlur(ball, (3, 3), 0, dst=ball)
    _disc(ball, centre, 0.46 * radius, (14, 11, 12))


def _lid_shadow(ball: np.ndarray, upper: np.ndarray, unit: float) -> None:
    mask = np.zeros(ball.shape[:2], np.uint8)
    band = np.concatenate([upper - [0, 3 * unit], upper[::-1] + np.array([0, 1.25 * unit])])
    cv2.fillPoly(mask, [fixed(band)], 96, cv2.LINE_AA, SHIFT)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.6 * unit)
    cv2.subtract(ball, cv2.merge((mask, mask, mask, np.zeros_like(mask))), dst=ball)


def _lashes(roi: np.ndarray, person: Identity, upper: np.ndarray, lower: np.ndarray, unit: float) -> None:
    along = np.linspace(0, 1, N_CURVE)[:, None]  # outer to inner corner
    lash = person.lash
    thick = unit * (0.55 + 0.75 * lash) * np.sin(np.pi * (0.16 + 0.8 * (1 - along))) ** 0.8 + 0.3 * unit
    away = upper[:1] - upper[-1:]
    away = away / max(np.linalg.norm(away), 1e-6)
    wing = upper[:1] + away * (0.6 + 1.3 * lash) * unit + np.array([[0, -0.3 - 0.9 * lash]]) * unit
    band = np.concatenate([upper, (upper - thick * [0, 1])[::-1], wing])
    ink = roi.copy()
    dark = np.array(person.brow_colour, float) * 0.25 + np.array([14, 10, 10])
    cv2.fillPoly(ink, [fixed(band)], (*dark.tolist(), 255), cv2.LINE_AA, SHIFT)
    if lash > 0.45:
        hairs = []
        for k, reach in ((1, 1.5), (3, 1.6), (5, 1.4), (7, 1.1)):
            root = upper[k]
            tip = root + (away[0] * (0.9 - 0.09 * k) + np.array([0, -1.0])) * reach * lash * unit
            hairs.append(fixed(np.stack([root, tip])))
        cv2.polylines(ink, hairs, False, (*dark.tolist(), 255), 1, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(ink, 0.86, roi, 0.14, 0, dst=roi)
    under = roi.copy()
    soft = np.array(person.skin, float) * 0.45
    cv2.polylines(under, [fixed(lower)], False, (*soft.tolist(), 255), 1, cv2.LINE_AA, SHIFT)
    strength = 0.42 + 0.25 * lash
    cv2.addWeighted(under, strength, roi, 1 - strength, 0, dst=roi)
