"""Lips, teeth and tongue, painted in every frame straight between the projected mouth points."""

from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.face import FaceGeometry
from talkface_lite.corpus.head import JAW_DROP, MIDDLE
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.painter.brush import SHIFT, fixed, spline_basis

N_CURVE = 21
N_STRIPS = 7
_UPPER_TONES = np.array([0.83, 0.87, 0.84, 0.78, 0.72, 0.65, 0.56])
_LOWER_TONES = np.array([0.80, 0.92, 1.03, 1.12, 1.15, 1.04, 0.84])
_TOOTH_EDGES = np.array([-12.5, -10.4, -7.9, -5.2, -2.7, 0, 2.7, 5.2, 7.9, 10.4, 12.5])
_TEETH_X = np.interp(np.arange(0, 10.1, 0.5), np.arange(11), _TOOTH_EDGES)  # edges and middles in turn
_SCALLOP = 0.2 * (np.arange(len(_TEETH_X)) % 2 == 0)


@dataclass(frozen=True, eq=False)
class MouthCurves:
    """Everything of the mouth that lies at points, for all frames, in pixels of the output.

    ``outer_top``, ``outer_low``, ``inner_top``, ``inner_low``: ``(T, 21, 2)`` from the corner at the left of
    the picture to the one at the right. ``upper_teeth``, ``lower_teeth``: ``(T, 2, 21, 2)`` gum and edge.
    ``gap``: ``(T,)`` pixels. ``unit``: ``(T,)`` pixels to one template pixel. ``shade``: how dark it is under
    the upper lip, 0..1.
    """

    outer_top: np.ndarray
    outer_low: np.ndarray
    inner_top: np.ndarray
    inner_low: np.ndarray
    upper_teeth: np.ndarray
    lower_teeth: np.ndarray
    gap: np.ndarray
    unit: np.ndarray
    shade: float


def mouth_curves(geometry: FaceGeometry, lips: np.ndarray, to_view) -> MouthCurves:  # noqa: ANN001
    """Work out the curves of the mouth for all frames.

    Parameters
    ----------
    lips:
        ``(T, 20, 2)`` mouth points in pixels of the output.
    to_view:
        Function from head points ``(T, N, 3)`` to pixels of the output.
    """
    outer_top = spline_basis(7, N_CURVE) @ lips[:, 0:7]
    outer_low = spline_basis(7, N_CURVE) @ lips[:, [0, 11, 10, 9, 8, 7, 6]]
    inner_top = spline_basis(7, N_CURVE) @ lips[:, [0, 12, 13, 14, 15, 16, 6]]
    inner_low = spline_basis(7, N_CURVE) @ lips[:, [0, 12, 19, 18, 17, 16, 6]]
    inner_low[..., 1] = np.maximum(inner_low[..., 1], inner_top[..., 1])
    jaw, teeth = geometry.articulation[:, 0], geometry.articulation[:, 6]
    line = geometry.head.mouth[3]
    depth = 42 - (_TEETH_X / 12.5) ** 2 * 9
    arch = 0.9 * (_TEETH_X / 12.5) ** 2 + _SCALLOP
    n_frames = len(lips)
    edge = line + 0.9 + 1.7 * teeth[:, None] - arch
    upper = np.empty((n_frames, 2, len(_TEETH_X), 3))
    upper[..., 0], upper[..., 2] = MIDDLE + _TEETH_X, depth
    upper[:, 0, :, 1], upper[:, 1, :, 1] = line - 7, edge
    lower = upper.copy()
    lower[..., 0] = MIDDLE + 0.9 * _TEETH_X
    lower[..., 2] -= 3 + 9 * jaw[:, None, None]
    shown = line + JAW_DROP * jaw + 2.4 - 5.0 * np.maximum(teeth - 0.4, 0)
    lower[:, 0, :, 1] = (line + JAW_DROP * jaw + 8)[:, None]
    lower[:, 1, :, 1] = np.maximum(shown[:, None] + 0.7 * arch, edge + 0.5)
    both = to_view(np.concatenate([upper, lower], axis=1).reshape(n_frames, -1, 3)).reshape(
        n_frames, 4, -1, 2
    )
    gap = np.linalg.norm(lips[:, 18] - lips[:, 14], axis=1)
    # a fixed length on the head, so that line widths do not change with the shape of the mouth
    span = to_view(np.array([[MIDDLE - 18, line, 38], [MIDDLE + 18, line, 38]]))
    unit = np.linalg.norm(span[:, 1] - span[:, 0], axis=1) / 36
    shade = 0.22 if geometry.identity.beard in ("none", "stubble") else 0.8
    return MouthCurves(outer_top, outer_low, inner_top, inner_low, both[:, :2], both[:, 2:], gap, unit, shade)


def paint_mouth(
    picture: np.ndarray, person: Identity, curves: MouthCurves, t: int, articulation: np.ndarray
) -> None:
    """Paint the mouth of frame ``t`` into ``picture`` (uint8 ``(H, W, 4)``) in place.

    What lies between the lips is clipped to the inner contour.
    """
    outer = np.concatenate([curves.outer_top[t], curves.outer_low[t][-2:0:-1]])
    low, high = np.floor(outer.min(0)).astype(int) - 6, np.ceil(outer.max(0)).astype(int) + 7
    low, high = np.maximum(low, 0), np.minimum(high, (picture.shape[1], picture.shape[0]))
    if (high - low < 4).any():
        return
    roi = picture[low[1] : high[1], low[0] : high[0]]
    scale = float(curves.unit[t])
    top, bottom = curves.outer_top[t] - low, curves.outer_low[t] - low
    inner_top, inner_low = curves.inner_top[t] - low, curves.inner_low[t] - low
    lips = roi.copy()
    colour = np.array(person.lip_colour, float)
    brightness = 0.97 + 0.1 * person.light[2]
    for k in range(N_STRIPS):
        at = k / N_STRIPS
        _fill(lips, top + (inner_top - top) * at, inner_top, colour * (_UPPER_TONES[k] * brightness))
        _fill(lips, bottom + (inner_low - bottom) * at, inner_low, colour * (_LOWER_TONES[k] * brightness))
    lips = cv2.GaussianBlur(lips, (0, 0), 0.45 * scale)
    _gleam(lips, bottom, inner_low, person, scale)
    _blend(
        roi,
        lips,
        _mask(roi.shape, np.concatenate([top, bottom[-2:0:-1]]), (0.42 - 0.2 * person.lipstick) * scale),
    )
    gap = curves.gap[t]
    if gap > 0.35 * scale:
        inside = _inside(roi, curves, t, low, articulation, scale)
        _blend(roi, inside, _mask(roi.shape, np.concatenate([inner_top, inner_low[-2:0:-1]]), 0.0))
    _lip_line(roi, inner_top, colour, gap, scale)


def _fill(picture: np.ndarray, edge: np.ndarray, inner: np.ndarray, colour: np.ndarray) -> None:
    polygon = fixed(np.concatenate([edge, inner[::-1]]))
    cv2.fillPoly(picture, [polygon], (*np.clip(colour, 0, 255).tolist(), 255), cv2.LINE_AA, SHIFT)


def _mask(shape: tuple, polygon: np.ndarray, blur: float) -> np.ndarray:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [fixed(polygon)], 255, cv2.LINE_AA, SHIFT)
    return cv2.GaussianBlur(mask, (0, 0), blur) if blur > 0.2 else mask


def _blend(under: np.ndarray, over: np.ndarray, mask: np.ndarray) -> None:
    weight = mask.astype(np.float32) * np.float32(1 / 255)
    under[:] = cv2.blendLinear(over, under, weight, 1 - weight)


def _gleam(lips: np.ndarray, bottom: np.ndarray, inner: np.ndarray, person: Identity, scale: float) -> None:
    """A soft highlight on the lower lip, towards the light."""
    middle = N_CURVE // 2 + round(2.5 * person.light[0])
    span = slice(middle - 4, middle + 5)
    a, b = (
        bottom[span] + 0.42 * (inner[span] - bottom[span]),
        bottom[span] + 0.72 * (inner[span] - bottom[span]),
    )
    mask = _mask(lips.shape, np.concatenate([a, b[::-1]]), 0.8 * scale)
    glow = cv2.merge((mask, mask, mask, np.zeros_like(mask)))
    strength = 0.10 + 0.1 * person.lipstick + 0.04 * person.skin_depth
    cv2.add(lips, cv2.multiply(glow, np.full(4, strength)), dst=lips)


def _inside(
    roi: np.ndarray, curves: MouthCurves, t: int, low: np.ndarray, articulation: np.ndarray, scale: float
) -> np.ndarray:
    """The dark of the mouth, tongue and teeth, painted over the whole rectangle; the caller clips it."""
    inside = np.empty_like(roi)
    inside[:] = (52, 16, 20, 255)
    tongue_up, teeth = articulation[5], articulation[6]
    inner_top, inner_low = curves.inner_top[t] - low, curves.inner_low[t] - low
    gap = curves.gap[t]
    if gap > 1.5 * scale:
        floor, roof = inner_low[N_CURVE // 2], inner_top[N_CURVE // 2]
        down = (floor - roof) / max(gap, 1e-6)
        across = np.array([down[1], -down[0]])
        height = gap * (0.32 + 0.42 * tongue_up) + 1.5 * scale
        half = np.linalg.norm(inner_low[5] - inner_low[15]) * 0.60
        turn = np.linspace(0, np.pi, 17)[:, None]
        mound = (
            floor + 2.5 * scale * down + half * np.cos(turn) * across - height * np.sin(turn) ** 0.8 * down
        )
        for grow, colour in ((1.0, (100, 38, 42)), (0.86, (118, 48, 52)), (0.6, (132, 57, 60))):
            shrunk = mound.copy()
            shrunk += (1 - grow) * (floor + 2.5 * scale * down - mound)
            cv2.fillPoly(inside, [fixed(shrunk)], (*colour, 255), cv2.LINE_AA, SHIFT)
        inside = cv2.GaussianBlur(inside, (0, 0), 0.9 * scale)
    for gum_edge, tone in ((curves.lower_teeth[t] - low, 0.80), (curves.upper_teeth[t] - low, 1.0)):
        _teeth(inside, gum_edge, tone * (0.92 + 0.08 * teeth))
    shadow = _mask(
        roi.shape,
        np.concatenate([inner_top - [0, 2 * scale], inner_top[::-1] + np.array([0, 1.3 * scale])]),
        0.7 * scale,
    )
    dark = cv2.merge((shadow, shadow, shadow, np.zeros_like(shadow)))
    return cv2.subtract(inside, cv2.multiply(dark, np.full(4, curves.shade)))


def _teeth(inside: np.ndarray, gum_edge: np.ndarray, tone: float) -> None:
    gum, edge = gum_edge
    for first, last, shade in ((0, 21, 0.62), (2, 19, 0.84), (4, 17, 1.0)):
        polygon = fixed(np.concatenate([gum[first:last], edge[first:last][::-1]]))
        white = np.array([240, 234, 224]) * tone * shade
        cv2.fillPoly(inside, [polygon], (*white.tolist(), 255), cv2.LINE_AA, SHIFT)
    grey = np.array([220, 210, 200]) * tone
    gaps = [fixed(np.stack([gum[k], edge[k]])) for k in range(4, 18, 2)]
    cv2.polylines(inside, gaps, False, (*grey.tolist(), 255), 1, cv2.LINE_AA, SHIFT)


def _lip_line(roi: np.ndarray, inner_top: np.ndarray, colour: np.ndarray, gap: float, scale: float) -> None:
    """The dark line where the lips meet; it fades as they part, but for the corners."""
    dark = (colour * np.array([0.40, 0.30, 0.32])).tolist()
    line = roi.copy()
    thick = max(1, round(0.75 * scale))
    cv2.polylines(line, [fixed(inner_top)], False, (*dark, 255), thick, cv2.LINE_AA, SHIFT)
    strength = 0.92 if gap < 0.5 * scale else 0.2
    cv2.addWeighted(line, strength, roi, 1 - strength, 0, dst=roi)
