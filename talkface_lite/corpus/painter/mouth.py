"""Lips, painted in every frame straight between the projected mouth points, and the moustache over them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.face import FaceGeometry
from talkface_lite.corpus.head import MIDDLE
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.painter.brush import SHIFT, fixed, spline_basis
from talkface_lite.corpus.painter.teeth import Inside, inside_curves, paint_inside

N_CURVE = 31
N_STRIPS = 6
_UPPER_TONES = np.array([0.85, 0.90, 0.88, 0.82, 0.74, 0.64])
_LOWER_TONES = np.array([0.78, 0.84, 0.89, 0.92, 0.90, 0.79])
_ALONG = np.abs(np.linspace(-1, 1, N_CURVE))
"""Of the points of a curve: 0 in the middle, 1/3 at the points 61 and 63, 2/3 at the inner corners."""
N_HAIRS = 66
"""Of the moustache's fringe."""


@dataclass(frozen=True, eq=False)
class MouthCurves:
    """Everything of the mouth that lies at points, for all frames, in pixels of the output.

    Attributes
    ----------
    outer_top, outer_low, inner_top, inner_low:
        ``(T, 31, 2)`` from the corner at the left of the picture to the one at the right. Where the lips
        touch, ``inner_top`` and ``inner_low`` coincide.
    open:
        ``(T, 31)``: 1 where lips that are parted are apart, 0 where they touch on the way to the corner.
    inside:
        Teeth and tongue.
    gap:
        ``(T,)`` pixels between the lips, in the middle.
    unit:
        ``(T,)`` pixels to one template pixel.
    fringe:
        ``(T, N, 2, 2)`` roots and tips of the hairs of a moustache that hangs over the lip, or None.
    """

    outer_top: np.ndarray
    outer_low: np.ndarray
    inner_top: np.ndarray
    inner_low: np.ndarray
    open: np.ndarray
    inside: Inside
    gap: np.ndarray
    unit: np.ndarray
    fringe: np.ndarray | None


def mouth_curves(
    person: Identity,
    geometry: FaceGeometry,
    lips: np.ndarray,
    to_view: Callable[[np.ndarray], np.ndarray],
) -> MouthCurves:
    """Work out the curves of the mouth for all frames.

    Parameters
    ----------
    person:
        Whose lips and teeth.
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
    gap = np.linalg.norm(lips[:, 18] - lips[:, 14], axis=1)
    # a fixed length on the head, so that line widths do not change with the shape of the mouth
    line = geometry.head.mouth[3]
    span = to_view(np.array([[MIDDLE - 18, line, 38], [MIDDLE + 18, line, 38]]))
    unit = np.linalg.norm(span[:, 1] - span[:, 0], axis=1) / 36
    apart = _apart(gap / unit, geometry.articulation[:, 2])
    seam = 0.45 * inner_top + 0.55 * inner_low
    inner_top, inner_low = (seam + apart[..., None] * (edge - seam) for edge in (inner_top, inner_low))
    return MouthCurves(
        outer_top,
        outer_low,
        inner_top,
        inner_low,
        apart,
        inside_curves(person, geometry, to_view),
        gap,
        unit,
        _fringe(person, outer_top, inner_top, unit),
    )


def _apart(gap: np.ndarray, rounding: np.ndarray) -> np.ndarray:
    """``(T, 31)``: lips that hardly part, or round, touch on both sides of the opening; in /a/ nowhere."""
    wide = np.clip((gap - 0.5) / 9, 0, 1)
    round_ = np.clip(1.5 * rounding, 0, 1)
    end = (0.56 + 0.16 * wide) * (1 - round_) + (0.44 + 0.12 * wide) * round_
    start = end - (0.26 + 0.08 * wide) * (1 - round_) - 0.14 * round_
    t = np.clip((end[:, None] - _ALONG) / (end - start)[:, None], 0, 1)
    # beside 61 and 63 the lips of a wide mouth bulge: what is seen is an oval and not a lozenge
    bulge = (0.25 * wide * (1 - round_))[:, None] * np.exp(-(((_ALONG - 0.5) / 0.1) ** 2))
    return np.sqrt(t * (2 - t)) * (1 + bulge)


def _fringe(person: Identity, top: np.ndarray, inner: np.ndarray, unit: np.ndarray) -> np.ndarray | None:
    if person.moustache_hang <= 0:
        return None
    rng = np.random.default_rng([person.seed, 0x57AC])
    at = np.linspace(1.5, N_CURVE - 2.5, N_HAIRS) + rng.uniform(-0.2, 0.2, N_HAIRS)
    first = at.astype(int)
    part = (at - first)[:, None]
    edge, lip = (curve[:, first] * (1 - part) + curve[:, first + 1] * part for curve in (top, inner))
    middle = 1 - np.abs(at / (N_CURVE - 1) * 2 - 1) ** 3
    hang = person.moustache_hang * rng.uniform(0.65, 1.1, N_HAIRS) * middle
    out = np.sign(at - (N_CURVE - 1) / 2)
    root = edge - np.stack([0.5 * out, rng.uniform(2.2, 4.6, N_HAIRS)], 1) * unit[:, None, None]
    lean = np.stack([out * rng.uniform(0.2, 1.6, N_HAIRS), np.zeros(N_HAIRS)], 1)
    tip = edge + hang[:, None] * (lip - edge) + lean * unit[:, None, None]
    return np.stack([root, tip], axis=2)


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
    upper_colour, lower_colour = (np.array(c, float) for c in (person.lip_colour, person.lower_lip_colour))
    brightness = 0.94 + 0.1 * person.light[2]
    for k in range(N_STRIPS):
        at = k / N_STRIPS
        _fill(lips, top + (inner_top - top) * at, inner_top, upper_colour * (_UPPER_TONES[k] * brightness))
        _fill(
            lips, bottom + (inner_low - bottom) * at, inner_low, lower_colour * (_LOWER_TONES[k] * brightness)
        )
    lips = cv2.GaussianBlur(lips, (0, 0), 0.5 * scale)
    _gleam(lips, bottom, inner_low, person, scale)
    soft = (0.28 + 0.36 * person.lip_edge) * (1 - 0.5 * person.lipstick) * scale
    _blend(roi, lips, _mask(roi.shape, np.concatenate([top, bottom[-2:0:-1]]), soft))
    gap = float(curves.gap[t]) / scale
    if gap > 0.2:
        inside = paint_inside(
            roi, person, curves.inside, t, low, (inner_top, inner_low), articulation, gap, scale
        )
        apart = np.flatnonzero(curves.open[t] > 0)
        part = slice(max(apart[0] - 1, 0), apart[-1] + 2)
        opening = np.concatenate([inner_top[part], inner_low[part][::-1]])
        between = _mask(roi.shape, opening, 0.22 * scale)
        _blend(roi, inside, between, min(1.0, (gap - 0.2) / 0.5))
    _seam(roi, inner_top, curves.open[t], upper_colour, gap, scale)
    if curves.fringe is not None:
        _hang(roi, person, curves.fringe[t] - low, scale)


def _fill(picture: np.ndarray, edge: np.ndarray, inner: np.ndarray, colour: np.ndarray) -> None:
    polygon = fixed(np.concatenate([edge, inner[::-1]]))
    cv2.fillPoly(picture, [polygon], (*np.clip(colour, 0, 255).tolist(), 255), cv2.LINE_AA, SHIFT)


def _mask(shape: tuple, polygon: np.ndarray, blur: float) -> np.ndarray:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [fixed(polygon)], 255, cv2.LINE_AA, SHIFT)
    return cv2.GaussianBlur(mask, (0, 0), blur) if blur > 0.2 else mask


def _blend(under: np.ndarray, over: np.ndarray, mask: np.ndarray, strength: float = 1.0) -> None:
    weight = mask.astype(np.float32) * np.float32(strength / 255)
    under[:] = cv2.blendLinear(over, under, weight, 1 - weight)


def _gleam(lips: np.ndarray, bottom: np.ndarray, inner: np.ndarray, person: Identity, scale: float) -> None:
    """A soft highlight on the lower lip, towards the light."""
    middle = N_CURVE // 2 + round(3.7 * person.light[0])
    span = slice(middle - 6, middle + 7)
    a, b = (
        bottom[span] + 0.42 * (inner[span] - bottom[span]),
        bottom[span] + 0.72 * (inner[span] - bottom[span]),
    )
    mask = _mask(lips.shape, np.concatenate([a, b[::-1]]), 0.9 * scale)
    glow = cv2.merge((mask, mask, mask, np.zeros_like(mask)))
    strength = 0.06 + 0.1 * person.lipstick + 0.04 * person.skin_depth
    strength *= np.mean(person.lower_lip_colour) / 128
    cv2.add(lips, cv2.multiply(glow, np.full(4, strength)), dst=lips)


def _seam(
    roi: np.ndarray, inner_top: np.ndarray, apart: np.ndarray, colour: np.ndarray, gap: float, scale: float
) -> None:
    """The dark line where the lips meet: all of it while they are shut; parting undoes it from the middle."""
    dark = (*(colour * np.array([0.46, 0.34, 0.36])).tolist(), 255)
    line = roi.copy()
    thick = max(1, round(0.6 * scale))
    ends = np.flatnonzero((apart > 0.3) & (gap - 0.5 > _ALONG))
    curve = fixed(inner_top)
    parts = [curve[: ends[0] + 1], curve[ends[-1] :]] if len(ends) else [curve]
    cv2.polylines(line, parts, False, dark, thick, cv2.LINE_AA, SHIFT)
    strength = 0.8 - 0.35 * min(gap / 3, 1)
    cv2.addWeighted(line, strength, roi, 1 - strength, 0, dst=roi)


def _hang(roi: np.ndarray, person: Identity, hairs: np.ndarray, scale: float) -> None:
    """Hairs of the moustache over the upper lip."""
    over = roi.copy()
    colour = np.array(person.beard_colour, float)
    lines = fixed(hairs)
    for first, tone in enumerate((0.62, 0.85, 1.1)):
        shade = (*np.clip(colour * tone, 0, 255).tolist(), 255)
        thick = max(1, round(0.55 * scale))
        cv2.polylines(over, list(lines[first::3]), False, shade, thick, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(over, 0.52, roi, 0.48, 0, dst=roi)
