"""The neutral head of an identity: landmarks, outline, depth, and the ways the skin can move.

Coordinates are template pixels: x to the right, y down, z towards the viewer; the middle of the average face
at neutral pose has ``x = 64``, and nose and eyes lie near :data:`talkface_lite.landmarks.TEMPLATE`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from talkface_lite.corpus.identity import Identity
from talkface_lite.landmarks import TEMPLATE

MIDDLE = 64.0
"""x of the plane that halves the face."""
EYE_HEIGHT = 49.0
JAW_DROP = 15.2
"""Drop of the lower lip under a fully opened jaw (channel 1.0), template pixels."""
HINGE = (60.0, -4.0)
"""y and z of the axis through both jaw joints."""
FIELDS = ("jaw", "lower_lip", "upper_lip", "width", "left_brow", "right_brow")
"""Ways the skin moves, columns of :func:`skin_fields`; the brows are named by their side of the picture."""

_JAW_Y = np.array([48.0, 59.8, 71.4, 83.0, 94.0, 103.4, 111.0, 116.8, 119.0])
_JAW_HALF_WIDTH = np.array([43.9, 42.9, 41.6, 39.5, 35.8, 29.8, 21.4, 11.4, 0.0])
_BROW_X = np.array([-37.4, -31.6, -23.8, -15.6, -8.0])
_BROW_Y = np.array([40.8, 36.2, 34.2, 35.0, 37.9])
_CENTRE = np.array([MIDDLE, 62.0])


@dataclass(frozen=True, eq=False)
class Head:
    """What :func:`neutral_head` works out once for an identity.

    Attributes
    ----------
    landmarks:
        float64 ``(68, 3)``: the points of the neutral face, lips closed.
    outline:
        float64 ``(721,)``: distance of the outline (jaw and skull) from :attr:`centre` for each half degree,
        from the +x axis towards +y.
    centre:
        float64 ``(2,)``.
    mouth:
        Half width of the mouth, thickness of the upper and of the lower lip and the height of the lip line.
    lip_depth:
        float64 ``(20,)``: z of the mouth points at rest.
    fields:
        float64 ``(27, 6, 3)``: :func:`skin_fields` at jaw and brows (points 0-26).
    """

    identity: Identity
    landmarks: np.ndarray
    outline: np.ndarray
    centre: np.ndarray
    mouth: tuple[float, float, float, float]
    lip_depth: np.ndarray
    fields: np.ndarray

    def radius(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from the centre to the outline in the direction of each point."""
        degrees = np.rad2deg(np.arctan2(y - self.centre[1], x - self.centre[0])) % 360
        return np.interp(degrees, np.linspace(0, 360, len(self.outline)), self.outline)

    def inside(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far each point lies inside the outline along the ray from the centre; negative outside."""
        return self.radius(x, y) - np.hypot(x - self.centre[0], y - self.centre[1])

    def contour(self, n_points: int = 180) -> np.ndarray:
        """float64 ``(n_points, 2)``: the outline as a closed polygon."""
        angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
        radius = np.interp(np.rad2deg(angle), np.linspace(0, 360, len(self.outline)), self.outline)
        return self.centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """z of the skin at ``(x, y)`` of the neutral face; also defined a little way around the head.

        Its slope stays below 2, so that no part of it folds over another within 25° of yaw.
        """
        person = self.identity
        u, v = np.asarray(x, float) - MIDDLE, np.asarray(y, float)
        across = np.abs(u) / (45.5 * person.face_width)
        round_part = np.sqrt(1 - np.minimum(across, 0.8) ** 2)
        z = 37.0 * (round_part - 0.85 * np.clip(across - 0.8, 0, 0.6))
        z -= 0.028 * np.clip(14 - v, 0, 30) ** 2 + 0.02 * np.maximum(v - 107, 0) ** 2
        spread = person.eye_spread
        z += _bump(u, v, 0, 92, 16, 13, 4.0) + _bump(u, v, 0, 112 + 0.6 * person.chin_drop, 9, 6, 3.2)
        for side in (-1, 1):
            z += _bump(u, v, side * (20 + spread), 49, 9.5, 6.5, -4.2) + _bump(
                u, v, side * 27, 63, 10, 8, 2.4
            )
            z += _bump(u, v, side * 17, 37, 13, 5.5, 2.0)
            z += _bump(u, v, side * 8.2 * person.nose_width, 76.5 + person.nose_length, 3.8, 3.8, 4.2)
        z += self._nose(u, v)
        inside = self.inside(x, y)
        return z - 5.0 * np.exp(-((np.maximum(inside, 0) / 7.0) ** 2)) + 0.35 * np.clip(inside, -16, 0)

    def _nose(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        person = self.identity
        tip = 73.5 + person.nose_length
        along = np.clip((v - 42) / (tip - 42), 0, 1)
        height = 12.5 * person.nose_depth * along**1.35
        height = height * np.where(v > tip, np.exp(-(((v - tip) / 5.2) ** 2)), 1.0)
        return height * np.exp(-0.5 * (u / ((4.4 + 2.4 * along) * person.nose_width)) ** 2)


def _bump(
    u: np.ndarray, v: np.ndarray, x: float, y: float, wide: float, high: float, height: float
) -> np.ndarray:
    return height * np.exp(-0.5 * (((u - x) / wide) ** 2 + ((v - y) / high) ** 2))


@lru_cache(maxsize=64)
def neutral_head(identity: Identity) -> Head:
    """The neutral head of an identity; worked out once for each."""
    flat = np.zeros((68, 2))
    flat[:17] = _jaw(identity)
    flat[17:27] = _brows(identity)
    flat[27:36] = _nose_points(identity)
    flat[36:48] = _eyes(identity)
    shift = identity.mouth_drop + 0.5 * identity.nose_length + 0.12 * identity.chin_drop
    mouth = (
        18.2 * identity.mouth_width * (1 + 0.05 * identity.smile),
        3.7 * identity.upper_lip,
        5.5 * identity.lower_lip,
        92.4 + float(np.clip(shift, -2.0, 1.4)),
    )
    head = Head(
        identity, np.zeros((68, 3)), _outline(flat[:17], identity), _CENTRE, mouth, np.zeros(20), np.zeros(0)
    )
    landmarks = np.concatenate([flat, head.depth(flat[:, 0], flat[:, 1])[:, None]], axis=1)
    rest_y = mouth[3] + _LIP_REST * np.where(_LIP_REST < 0, mouth[1], mouth[2])
    lip_depth = head.depth(MIDDLE + mouth[0] * _LIP_X, rest_y) + 2.2 * (1 - np.abs(_LIP_X)) - 1.0
    head = replace(head, lip_depth=lip_depth, fields=skin_fields(head, *landmarks[:27].T))
    landmarks[48:] = lip_points(head, np.zeros((1, 7)))[0]
    return replace(head, landmarks=landmarks)


def _jaw(person: Identity) -> np.ndarray:
    drop = person.chin_drop * np.maximum(_JAW_Y - 52, 0) / 67
    lower = np.clip((_JAW_Y - 66) / 40, 0, 1)
    half = _JAW_HALF_WIDTH * person.face_width * (1 + (person.jaw_width - 1) * lower)
    half = half * (1 + 0.025 * person.fullness * np.exp(-(((_JAW_Y - 84) / 16) ** 2)))
    corner = np.array([0, 0, 0, 0.005, 0.03, 0.06, 0.08, 0.09, 0])
    half = half * (1 + (person.squareness - 0.4) * corner)
    y = _JAW_Y + drop
    left = np.stack([MIDDLE - half, y], axis=1)
    return np.concatenate([left, np.stack([MIDDLE + half, y], axis=1)[-2::-1]])


def _brows(person: Identity) -> np.ndarray:
    reach = np.array([0.2, 0.7, 1.0, 0.6, 0.1])
    y = _BROW_Y - person.brow_lift - 1.3 * (person.brow_arch - 0.6) * reach
    y = y + person.brow_tilt * (np.arange(5) - 2) * 0.35
    x = _BROW_X - person.eye_spread
    left = np.stack([MIDDLE + x, y], axis=1)
    return np.concatenate([left, np.stack([MIDDLE - x, y], axis=1)[::-1]])


def _nose_points(person: Identity) -> np.ndarray:
    points = TEMPLATE[:9].astype(float)
    along = (points[:, 1] - 48) / 32
    points[:, 1] += person.nose_length * along
    points[4:, 0] = MIDDLE + (points[4:, 0] - MIDDLE) * person.nose_width
    return points


def _eyes(person: Identity) -> np.ndarray:
    points = TEMPLATE[9:].astype(float)
    for eye, side in ((slice(0, 6), -1), (slice(6, 12), 1)):
        centre = np.array([MIDDLE + 20 * side, EYE_HEIGHT])
        offset = (points[eye] - centre) * person.eye_scale
        offset[:, 1] = np.where(offset[:, 1] < -1.5, offset[:, 1] * person.eye_open, offset[:, 1])
        offset[:, 1] -= person.eye_tilt * offset[:, 0] * side / 8
        points[eye] = centre + offset + [person.eye_spread * side, 0]
    return points


def _outline(jaw: np.ndarray, person: Identity) -> np.ndarray:
    crown = -15.0 + person.crown
    half = (jaw[16, 0] - jaw[0, 0]) / 2
    turn = np.linspace(0, np.pi, 13)[1:-1]
    skull = np.stack(
        [
            MIDDLE
            + half * (1 + 0.045 * np.sin(turn) ** 2) * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.86,
            jaw[0, 1] - (jaw[0, 1] - crown) * np.sin(turn) ** 0.92,
        ],
        axis=1,
    )
    ring = np.concatenate([jaw[::-1], skull[::-1]]) - _CENTRE
    degrees = np.rad2deg(np.arctan2(ring[:, 1], ring[:, 0])) % 360
    order = np.argsort(degrees)
    degrees, radius = degrees[order], np.hypot(*ring[order].T)
    spline = CubicSpline(
        np.append(degrees, degrees[0] + 360), np.append(radius, radius[0]), bc_type="periodic"
    )
    return spline(np.linspace(0, 360, 721))


def skin_fields(head: Head, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Displacement of the skin per unit of each movement in :data:`FIELDS`.

    The jaw turns about the axis through its two joints (small-angle rotation), fading out towards the cheeks;
    the other fields are local.

    Parameters
    ----------
    x, y, z:
        Points of the neutral face, any one shape ``(...)``.

    Returns
    -------
    float64 ``(..., 6, 3)``, template pixels.
    """
    half_width, _, _, line = head.mouth
    u = x - MIDDLE
    centre = np.exp(-((u / (half_width + 4)) ** 4))
    follow = centre * _step(y, line - 6, line + 7) + (1 - centre) * _step(y, line - 24, line + 18)
    lip_z = 44.0
    turn = JAW_DROP / (lip_z - HINGE[1]) * follow
    fields = np.zeros((*np.shape(x), len(FIELDS), 3))
    fields[..., 0, 1] = turn * (z - HINGE[1])
    fields[..., 0, 2] = -0.6 * turn * (y - HINGE[0])  # the cheeks drag on the chin
    fields[..., 1, 1] = 2.6 * np.exp(-((u / 15) ** 2) - ((y - line - 7) / 7) ** 2)
    fields[..., 2, 1] = -1.8 * np.exp(-((u / 14) ** 2) - ((y - line + 4) / 5) ** 2)
    edge = np.exp(-(((np.abs(u) - half_width - 2) / 9) ** 2) - ((y - line) / 12) ** 2)
    fields[..., 3, 0] = 2.6 * np.sign(u) * edge
    for column, side in ((4, -1), (5, 1)):
        fields[..., column, 1] = -3.4 * np.exp(-(((u - 21 * side) / 15) ** 2) - ((y - 34) / 10) ** 2)
    return fields


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def lip_points(head: Head, articulation: np.ndarray) -> np.ndarray:
    """The 20 mouth points under the 7 articulation channels, before the pose.

    Parameters
    ----------
    articulation:
        ``(T, 7)``: jaw, width, rounding, upper_lip, lower_lip, tongue, teeth.

    Returns
    -------
    float64 ``(T, 20, 3)``, template pixels, points 48..67. Where the lips touch, 61, 62, 63 and 67, 66, 65
    coincide.
    """
    person = head.identity
    half_width, upper, lower, line = head.mouth
    jaw, width, rounding, lift, drop, _, teeth = np.asarray(articulation, float).T
    press, tuck = np.maximum(-lift, 0), np.maximum(-drop, 0)
    half = (
        half_width * (1 + np.where(width > 0, 0.15, 0.16) * width) * (1 - 0.22 * rounding) * (1 - 0.06 * jaw)
    )
    spread = np.maximum(width, 0)
    raised = 1.1 * jaw + 2.0 * np.maximum(lift, 0) - 0.8 * press + 2.5 * teeth * tuck
    lowered = JAW_DROP * jaw + 2.4 * np.maximum(drop, 0) - 3.0 * tuck
    gap = np.maximum(raised + lowered, 0)
    # lips that round are pushed forward and swell; lips that spread are drawn thin over the teeth
    thick_up = upper * (1 - 0.34 * press) * (1 + 0.2 * rounding) * (1 - 0.12 * jaw) * (1 - 0.1 * spread)
    thick_low = lower * (1 - 0.34 * tuck) * (1 + 0.18 * rounding) * (1 - 0.1 * jaw) * (1 - 0.06 * spread)
    bow = person.bow * (1 - 0.6 * rounding)
    rise = 2.3 * person.smile * (1 - 0.7 * rounding) + 2.0 * spread
    top, bottom = line - raised, line - raised + gap
    corner = line - rise + (0.3 + 0.15 * rounding) * gap
    points = np.empty((len(jaw), 20, 3))
    x, y = points[..., 0], points[..., 1]
    x[:] = MIDDLE + half[:, None] * _LIP_X
    # an oval where the lips spread, a ring where they round: its flanks close sooner and stand nearer
    flank = 0.92 - 0.24 * rounding
    x[:, (13, 15, 17, 19)] -= 0.2 * rounding[:, None] * (x[:, (13, 15, 17, 19)] - MIDDLE)
    y[:, (0, 6, 12, 16)] = corner[:, None]
    y[:, (1, 5)] = (line - 0.72 * raised - 0.66 * thick_up - 0.3 * rise)[:, None]
    y[:, (2, 4)] = (top - thick_up - 0.7 * bow)[:, None]
    y[:, 3] = top - thick_up + 0.7 * bow
    y[:, (7, 11)] = (corner + 0.8 * (bottom - corner) + 0.74 * thick_low - 0.065 * rise)[:, None]
    y[:, (8, 10)] = (bottom + 0.97 * thick_low)[:, None]
    y[:, 9] = bottom + thick_low
    inner_side = line - 0.15 * rise - 0.2 * bow
    high_side = inner_side - raised + 0.5 * (1 - flank) * gap
    y[:, (13, 15)] = high_side[:, None]
    y[:, 14] = top + 0.25 * bow
    y[:, (17, 19)] = (high_side + flank * gap)[:, None]
    y[:, 18] = top + 0.25 * bow + gap
    x[:, (12, 16)] += (_SIGN[[12, 16]] * 0.04 * half[:, None]) * np.clip(gap / 8, 0, 1)[:, None]
    points[..., 2] = head.lip_depth
    below = _LIP_BELOW * JAW_DROP / (44.0 - HINGE[1])
    points[..., 2] -= 0.6 * jaw[:, None] * below * (line - HINGE[0])
    touching = 1 - np.clip(gap, 0, 1)[:, None]
    points[:, [17, 18, 19], 2] += touching * (points[:, [15, 14, 13], 2] - points[:, [17, 18, 19], 2])
    points[..., 2] += 4.5 * rounding[:, None] * (1 - 0.75 * np.abs(_LIP_X))
    return points


_LIP_X = np.array(
    [-1, -0.635, -0.265, 0, 0.265, 0.635, 1, 0.65, 0.29, 0, -0.29, -0.65,
     -0.87, -0.29, 0, 0.29, 0.87, 0.29, 0, -0.29]
)  # fmt: skip
_LIP_REST = np.array([0, -0.6, -1, -1, -1, -0.6, 0, 0.7, 1, 1, 1, 0.7, 0, 0, 0, 0, 0, 0, 0, 0])
_LIP_BELOW = np.array([0.3, 0, 0, 0, 0, 0, 0.3, 0.75, 1, 1, 1, 0.75, 0.3, 0, 0, 0, 0.3, 1, 1, 1])
_SIGN = np.sign(_LIP_X)
