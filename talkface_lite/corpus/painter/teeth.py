"""What is seen when lips part: the dark, the tongue, and two rows of teeth that are a person's own."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from talkface_lite.corpus.face import FaceGeometry
from talkface_lite.corpus.head import JAW_DROP, MIDDLE
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.painter.brush import SHIFT, fixed

# Mean crowns from anatomy (upper 8.5 and 6.5 mm wide, 10 mm long; lower 5.3 and 5.8 mm), 0.6 px to the mm,
# foreshortened where the arch turns back.
_UPPER_EDGES = np.array([-15.4, -13.8, -11.6, -8.6, -5.0, 0, 5.0, 8.6, 11.6, 13.8, 15.4])
_LOWER_EDGES = np.array([-13.0, -11.4, -9.2, -6.3, -3.1, 0, 3.1, 6.3, 9.2, 11.4, 13.0])
_UPPER_RISE = np.array([1.5, 0.9, 0.2, 0.5, 0.0, 0.0, 0.5, 0.2, 0.9, 1.5])
"""How much higher than the middle pair each upper tooth ends, template pixels."""
_LOWER_SINK = np.array([1.4, 0.8, -0.1, 0.1, 0.0, 0.0, 0.1, -0.1, 0.8, 1.4])
_UPPER_LENGTH, _LOWER_LENGTH = 6.6, 5.6
_CORNER = 0.2
"""How much of a tooth's edge is rounded off on each side."""


@dataclass(frozen=True, eq=False)
class Inside:
    """Teeth and tongue of all frames, in pixels of the output.

    Attributes
    ----------
    upper, lower:
        ``(T, N, 6, 2)``: each tooth as a polygon from its gum to its edge.
    upper_tone, lower_tone:
        ``(N,)`` brightness of each tooth; the arch turns away from the light.
    breaks:
        Numbers of the upper teeth before which the row is interrupted.
    shade:
        How dark it is under the upper lip, 0..1.
    """

    upper: np.ndarray
    lower: np.ndarray
    upper_tone: np.ndarray
    lower_tone: np.ndarray
    breaks: tuple[int, ...]
    shade: float


def inside_curves(
    person: Identity, geometry: FaceGeometry, to_view: Callable[[np.ndarray], np.ndarray]
) -> Inside:
    """Where the teeth are in each frame: the upper ones on the skull, the lower ones on the jaw."""
    rng = np.random.default_rng([person.seed, 0x7007])
    jaw, rounding, teeth = (geometry.articulation[:, c, None, None] for c in (0, 2, 6))
    line = geometry.head.mouth[3]
    upper, upper_tone = _row(person, rng, _UPPER_EDGES, _UPPER_LENGTH, -1)
    lower, lower_tone = _row(person, rng, _LOWER_EDGES, _LOWER_LENGTH, 1)
    number = np.arange(len(upper))
    upper[..., 0] += np.where(number < len(upper) // 2, -0.5, 0.5)[:, None] * person.diastema
    upper[..., 1] -= _UPPER_RISE[:, None] * np.linspace(0.4, 1, 6)[[0, 3, 5, 5, 3, 0]]
    lower[..., 1] += _LOWER_SINK[:, None]
    edge = line + 0.4 + person.tooth_show + 1.5 * teeth - 2.0 * rounding
    floor = line + JAW_DROP * jaw + 1.7 - person.lower_tooth_show + 2.0 * rounding
    floor = floor - 3.2 * np.maximum(teeth - 0.35, 0)
    floor = np.maximum(floor, edge - person.overbite)
    placed = []
    for row, height, back in ((upper, edge, 0), (lower, floor, 3 + 9 * jaw)):
        points = np.empty((len(jaw), *row.shape[:2], 3))
        points[..., 0] = MIDDLE + row[..., 0]
        points[..., 1] = height + row[..., 1]
        points[..., 2] = 42 - (row[..., 0] / 12.5) ** 2 * 8 - back
        placed.append(points.reshape(len(jaw), -1, 3))
    both = to_view(np.concatenate(placed, axis=1)).reshape(len(jaw), 2, -1, 6, 2)
    kept = number != person.missing_tooth
    breaks = {person.missing_tooth} if person.missing_tooth >= 0 else set()
    if person.diastema:
        breaks.add(int(kept[: len(upper) // 2].sum()))
    return Inside(
        upper=both[:, 0][:, kept],
        lower=both[:, 1],
        upper_tone=upper_tone[kept],
        lower_tone=lower_tone,
        breaks=tuple(sorted(breaks)),
        shade=0.22 if person.beard in ("none", "stubble") else 0.6,
    )


def _row(
    person: Identity, rng: np.random.Generator, edges: np.ndarray, length: float, gum: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(10, 6, 2)``: the teeth of a row with their edges at y = 0, and how bright each is."""
    n_teeth = len(edges) - 1
    left, right = edges[:-1] * person.tooth_size, edges[1:] * person.tooth_size
    wide = right - left
    shift = 0.14 * wide * person.crooked * rng.uniform(-1, 1, n_teeth)
    uneven = 0.65 * person.crooked * rng.uniform(-1, 1, n_teeth)
    slope = 0.13 * wide * person.crooked * rng.uniform(-1, 1, n_teeth)
    left, right = left + shift + 0.03 * wide, right + shift - 0.03 * wide
    long = gum * length * person.tooth_size
    round_off = gum * 0.09 * length * np.ones(n_teeth)
    x = np.stack(
        [left, left, left + _CORNER * wide, right - _CORNER * wide, right, right],
        axis=1,
    )
    y = np.stack(
        [np.full(n_teeth, long), round_off - slope, -slope, slope, round_off + slope, np.full(n_teeth, long)],
        1,
    )
    y[:, 1:5] += uneven[:, None]
    tone = 1 - 0.5 * (np.abs(left + right) / 2 / 15) ** 1.7
    tone = tone * (1 + 0.07 * person.crooked * rng.uniform(-1, 1, n_teeth))
    return np.stack([x, y], axis=-1), tone


def paint_inside(
    roi: np.ndarray,
    person: Identity,
    inside: Inside,
    t: int,
    low: np.ndarray,
    lips: tuple[np.ndarray, np.ndarray],
    articulation: np.ndarray,
    gap: float,
    scale: float,
) -> np.ndarray:
    """The dark of the mouth, tongue and teeth, painted over the whole rectangle; the caller clips it.

    Parameters
    ----------
    roi:
        uint8 ``(h, w, 4)``, the part of the picture with the mouth; only its shape is used.
    low:
        Where it lies in the picture.
    lips:
        Inner edge of the upper and of the lower lip, ``(31, 2)`` pixels of ``roi``.
    articulation:
        ``(7,)``.
    gap:
        Between the lips, template pixels.
    scale:
        Pixels to one template pixel.
    """
    lit = min(gap / 9, 1)  # the wider the mouth, the more light falls in
    picture = np.empty_like(roi)
    dark = np.array(person.cavity) * (0.5 + 0.5 * lit) + 0.08 * np.array(person.lower_lip_colour)
    picture[:] = (*dark.tolist(), 255)
    top, bottom = lips
    middle = len(top) // 2
    tongue, teeth = articulation[5], articulation[6]
    colour = np.array(person.tongue_colour, float)
    if gap > 0.8:
        seen = dark + _ramp(gap, 0.8, 2.0) * (colour * (0.34 + 0.30 * lit + 0.26 * tongue) - dark)
        _tongue(picture, top, bottom, seen, tongue, gap * scale, scale)
    # what lights them has been on red lips and gums first
    bright = np.array(person.tooth_colour) * [1, 0.955, 0.9] * (0.75 + 0.15 * lit)
    bright += 0.07 * np.array(person.lower_lip_colour)
    _teeth(picture, inside.lower[t] - low, inside.lower_tone, bright * 0.86, person)
    between = _ramp(tongue, 0.65, 0.9) * _ramp(teeth, 0.42, 0.58) * _ramp(gap, 0.5, 1.5)
    if between > 0:
        _tip(picture, bottom[middle], inside.upper[t] - low, colour * 0.86, between, gap * scale, scale)
    _teeth(picture, inside.upper[t] - low, inside.upper_tone, bright, person, inside.breaks)
    # lips and cheeks keep most of the light out and redden the rest; some of it never was inside, but is the
    # lips' own, which a lens spreads
    dim = 0.9 * (person.mouth_light * (0.7 + 0.3 * lit)) ** np.array([0.7, 1.0, 1.0])
    picture = cv2.multiply(picture, np.array([*dim, 1.0]))
    picture = cv2.add(picture, np.array([*(0.1 * np.array(person.lower_lip_colour)), 0.0]))
    return _lip_shadow(picture, top, inside.shade, gap, scale)


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))


def _tongue(
    picture: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    colour: np.ndarray,
    raised: float,
    gap: float,
    scale: float,
) -> None:
    """A mound on the floor of the mouth; raised, its tip stands behind the upper teeth."""
    middle = len(top) // 2
    floor, roof = bottom[middle], top[middle]
    down = (floor - roof) / max(gap, 1e-6)
    across = np.array([down[1], -down[0]])
    height = gap * (0.32 + 0.54 * raised) + 1.5 * scale
    side = len(top) // 5
    half = min(0.55 * float(np.linalg.norm(bottom[side] - bottom[-1 - side])), (11.5 - 3.5 * raised) * scale)
    turn = np.linspace(0, np.pi, 17)[:, None]
    root = floor + 2.5 * scale * down
    mound = half * np.cos(turn) * across - (height + 1.5 * scale) * np.sin(turn) ** 0.8 * down
    for grow, tone in ((1.0, 0.72), (0.88, 0.9), (0.62, 1.0)):
        shade = (*(colour * tone).tolist(), 255)
        cv2.fillPoly(picture, [fixed(root + grow * mound)], shade, cv2.LINE_AA, SHIFT)
    picture[:] = cv2.GaussianBlur(picture, (0, 0), 0.8 * scale)


def _tip(
    picture: np.ndarray,
    floor: np.ndarray,
    upper: np.ndarray,
    colour: np.ndarray,
    amount: float,
    gap: float,
    scale: float,
) -> None:
    """The tip of the tongue between the teeth, as in "th"."""
    edge = upper[len(upper) // 2, 2]
    centre = edge + 0.55 * (floor - edge)
    axes = np.array([(3.0 + 4.0 * amount) * scale, 0.6 * amount * max(gap, 2.2 * scale)])
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    for grow, tone in ((1.0, 0.8), (0.7, 1.0)):
        shade = (*np.clip(colour * tone, 0, 255).tolist(), 255)
        cv2.fillPoly(picture, [fixed(centre + grow * axes * ring)], shade, cv2.LINE_AA, SHIFT)


def _teeth(
    picture: np.ndarray,
    row: np.ndarray,
    tone: np.ndarray,
    colour: np.ndarray,
    person: Identity,
    breaks: tuple[int, ...] = (),
) -> None:
    # between teeth that stand close there is no dark, but a duller seam
    seam = (*(colour * (0.78 - 0.5 * person.tooth_gaps)).tolist(), 255)
    for first, last in zip((0, *breaks), (*breaks, len(row))):
        if last > first:
            behind = np.concatenate([row[first:last, 1], row[first:last, 0][::-1]])
            cv2.fillPoly(picture, [fixed(behind)], seam, cv2.LINE_AA, SHIFT)
    for polygon, bright in zip(fixed(row), tone):
        shade = (*np.clip(colour * bright, 0, 255).tolist(), 255)
        cv2.fillPoly(picture, [polygon], shade, cv2.LINE_AA, SHIFT)


def _lip_shadow(picture: np.ndarray, top: np.ndarray, shade: float, gap: float, scale: float) -> np.ndarray:
    """What the upper lip takes of the light: most just under it."""
    depth = (0.8 + 0.14 * min(gap, 10)) * scale
    mask = np.zeros(picture.shape[:2], np.uint8)
    band = np.concatenate([top - [0, 3 * scale], top[::-1] + np.array([0, depth])])
    cv2.fillPoly(mask, [fixed(band)], round(255 * shade), cv2.LINE_AA, SHIFT)
    mask = cv2.bitwise_not(cv2.GaussianBlur(mask, (0, 0), 0.8 * scale))
    return cv2.multiply(picture, cv2.merge((mask, mask, mask, np.full_like(mask, 255))), scale=1 / 255)
