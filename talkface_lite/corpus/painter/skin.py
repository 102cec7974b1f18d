"""The skin of the head, painted once for an identity: colour, light, folds, nose, freckles and brows."""

import cv2
import numpy as np

from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import Canvas, blend, curve, darken, noise, ramp, soften, tint

HEAD = Canvas.over(MIDDLE - 82, -70, MIDDLE + 82, 136, 2.1)
"""What the head is painted on: template pixels of the neutral face."""


def paint_skin(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The bare face with brows, without eyes and lips.

    Returns
    -------
    colour:
        float32 ``(H, W, 3)``, 0..255, on :data:`HEAD`.
    alpha:
        float32 ``(H, W)``, 1 inside the outline of the head.
    """
    person = head.identity
    normal = _normals(head)
    colour = _albedo(head, rng)
    colour = _light(colour, normal, head)
    colour = _features(colour, head)
    if person.freckles:
        colour = _freckle(colour, head, rng)
    colour = paint_brows(colour, head, rng)
    alpha = HEAD.fill(head.contour(), blur=0.25)
    return colour, alpha


def _normals(head: Head) -> np.ndarray:
    """float32 ``(3, H, W)`` unit normals of the skin, worked out at half the resolution."""
    half = Canvas(HEAD.x, HEAD.y, HEAD.width // 2, HEAD.height // 2, HEAD.scale / 2)
    x, y = half.grid()
    z = head.depth(x, y).astype(np.float32)
    u = x - MIDDLE
    _, _, lower, line = head.mouth
    z -= 1.2 * np.exp(-((u / 1.9) ** 2) - ((y - line + 8.5) / 3.2) ** 2)  # the groove under the nose
    z -= 2.0 * np.exp(-((u / 10) ** 2) - ((y - line - lower - 4.5) / 3.2) ** 2)  # the groove above the chin
    z = cv2.GaussianBlur(z, (0, 0), 1.6)
    z = cv2.resize(z, (HEAD.width, HEAD.height), interpolation=cv2.INTER_CUBIC)
    slope_y, slope_x = np.gradient(z, 1 / HEAD.scale)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    return np.stack([-slope_x / length, -slope_y / length, 1 / length]).astype(np.float32)


def _albedo(head: Head, rng: np.random.Generator) -> np.ndarray:
    person = head.identity
    skin = np.array(person.skin, np.float32)
    shape = (HEAD.height, HEAD.width)
    mottle = 1 + 0.012 * noise(shape, 22, rng) + 0.008 * noise(shape, 5, rng)
    colour = skin * mottle[..., None]
    warm = skin * np.array([1.03, 0.80, 0.78], np.float32)
    for side in (-1, 1):
        x = MIDDLE + side * 26
        colour = blend(colour, warm, HEAD.spot(x, 70, 10, 8) * (0.16 + 0.46 * person.blush))
        lid = HEAD.spot(MIDDLE + side * (20 + person.eye_spread), 44.5, 8.5, 3.6)
        colour = blend(colour, skin * np.array([0.93, 0.84, 0.84], np.float32), lid * 0.5)
        if person.shadow:
            paint = np.array(person.lip_colour, np.float32) * 0.5 + np.array([70, 56, 74], np.float32) * 0.5
            colour = blend(colour, paint, lid * (0.42 * person.shadow))
        bag = HEAD.spot(MIDDLE + side * (20 + person.eye_spread), 56.5, 7.5, 2.4)
        colour = blend(
            colour, skin * np.array([0.84, 0.78, 0.82], np.float32), bag * (0.28 + _old(head) * 0.25)
        )
    colour = blend(colour, warm, HEAD.spot(MIDDLE, 74 + person.nose_length, 7, 4.5) * 0.38)
    return blend(colour, warm, HEAD.spot(MIDDLE, 115, 9, 6) * 0.22)


def _old(head: Head) -> float:
    return float(np.clip((head.identity.age - 40) / 35, 0, 1))


def _light(colour: np.ndarray, normal: np.ndarray, head: Head) -> np.ndarray:
    person = head.identity
    light = np.array(person.light, np.float32)
    facing = np.tensordot(light, normal, axes=1)
    lit = np.clip((facing + 0.3) / 1.3, 0, 1)
    tone = 0.45 + 0.57 * lit
    x, y = HEAD.grid()
    inside = head.inside(x[::3, ::3], y[::3, ::3]).astype(np.float32)
    inside = cv2.resize(inside, (HEAD.width, HEAD.height), interpolation=cv2.INTER_LINEAR)
    tone *= 1 - 0.2 * np.exp(-((np.maximum(inside, 0) / 4.5) ** 2))  # the skin turns away at the rim
    # shadows on skin are warm: green and blue fall off faster than red
    colour = colour * np.stack([tone, tone**1.14, tone**1.2], axis=-1)
    half = light + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(np.tensordot(half, normal, axes=1), 0, 1)
    gloss = (10 + 26 * person.skin_depth) * shine**26 + (5 + 5 * person.skin_depth) * shine**7
    return colour + gloss[..., None] * np.array([1.0, 0.96, 0.9], np.float32)


def _shade(colour: np.ndarray, mask: np.ndarray, strength: float) -> np.ndarray:
    """Darken as a warm shadow does."""
    return darken(colour, np.minimum(mask * np.float32(strength), 1), (0.80, 0.92, 0.95))


def _features(colour: np.ndarray, head: Head) -> np.ndarray:
    colour = _nose(colour, head)
    colour = _eye_sockets(colour, head)
    person = head.identity
    half_width, _, lower, line = head.mouth
    old = _old(head)
    colour = _shade(colour, HEAD.spot(MIDDLE, line + lower + 2.6, 7.5, 1.7), 0.2)
    folds = []
    for side in (-1, 1):
        ala = 11.5 * person.nose_width
        path = [(ala, 77), (16.5, 82.5), (half_width + 4.5, line - 1.5), (half_width + 5.5, line + 4)]
        folds.append(_mirrored(path, side))
    colour = _shade(colour, HEAD.stroke(*folds, width=1.6, blur=1.3), 0.14 + 0.3 * old)
    if old > 0.25:
        lines = [
            curve([(40, y + 1.5), (52, y - 0.5), (64, y + 0.3), (76, y - 0.5), (88, y + 1.5)])
            for y in (15, 21, 27)
        ]
        colour = _shade(colour, HEAD.stroke(*lines, width=0.7, blur=0.6), 0.2 * old)
        feet = []
        for side in (-1, 1):
            for dy in (-3.0, 0.5, 4.0):
                feet.append(_mirrored([(31, 50 + 0.3 * dy), (34, 50 + 0.8 * dy), (37, 50 + 1.5 * dy)], side))
            feet.append(_mirrored([(12, 56), (18, 59.5), (26, 58.5)], side))
        colour = _shade(colour, HEAD.stroke(*feet, width=0.7, blur=0.6), 0.34 * old)
    return colour


def _mirrored(path: list[tuple[float, float]], side: int, n_points: int = 24) -> np.ndarray:
    points = np.array(path, float)
    return curve(np.stack([MIDDLE + side * points[:, 0], points[:, 1]], axis=1), n_points)


def _nose(colour: np.ndarray, head: Head) -> np.ndarray:
    person = head.identity
    # dlib reads the points of the nose a little below the creases that mark it
    wide, long = person.nose_width, person.nose_length - 1.1
    x_light = person.light[0]
    dark = 1 - 0.5 * person.skin_depth  # the darker the skin, the less a shadow takes away
    colour = _shade(colour, HEAD.spot(MIDDLE, 80.8 + long, 6.2 * wide, 1.5), 0.26 * dark)
    creases, holes = [], []
    for side in (-1, 1):
        away = 1 + 0.5 * np.clip(-side * x_light * 2, -1, 1)
        flank = HEAD.spot(MIDDLE + side * 7.0, 62, 2.6, 10)
        colour = _shade(colour, flank, 0.09 * away)
        points = [(7.6, 71.5), (10.4, 73.6), (10.9, 76.6), (9.0, 79.2)]
        creases.append(_mirrored([(a * wide, b + long) for a, b in points], side))
        hole = [(2.2, 79.3), (4.0, 77.9), (6.6, 77.9), (7.6, 79.0), (5.2, 79.9)]
        holes.append(_mirrored([(a * wide, b + long) for a, b in hole], side))
        root = HEAD.spot(MIDDLE + side * 8.2, 46, 3.4, 5.5)
        colour = _shade(colour, root, 0.16 * away)
    colour = _shade(colour, HEAD.stroke(*creases, width=1.1, blur=0.75), 0.42 * dark)
    hole = HEAD.fill(*holes, blur=0.45)
    colour = blend(colour, np.array(person.skin) * np.array([0.27, 0.16, 0.15]), hole * (0.9 * dark))
    gleam = HEAD.spot(MIDDLE + 2.0 * x_light, 71.5 + long, 2.1, 2.3) + 0.55 * HEAD.spot(
        MIDDLE + 1.2 * x_light, 60, 1.5, 7
    )
    return colour + gleam[..., None] * np.array([20, 18, 16], np.float32)


def _eye_sockets(colour: np.ndarray, head: Head) -> np.ndarray:
    person, old = head.identity, _old(head)
    creases, bags = [], []
    for first, side in ((36, -1), (42, 1)):
        eye = head.landmarks[first : first + 6, :2]
        upper = eye[[0, 1, 2, 3]] if side < 0 else eye[[3, 2, 1, 0]]
        lift = person.lid * np.array([0.9, 2.4, 2.5, 1.5])[:, None] * np.array([0, -1])
        creases.append(curve(upper + lift + np.array([[-1.5 * -side * -1, 1.2], [0, 0], [0, 0], [0, 0]]), 24))
        lower = eye[[0, 5, 4, 3]] if side < 0 else eye[[3, 4, 5, 0]]
        bags.append(curve(lower + np.array([[0.5 * side, 1.0], [0, 3.2], [0, 3.4], [0, 2.4]]), 24))
        centre = eye.mean(0)
        colour = _shade(colour, HEAD.spot(centre[0], centre[1] - 3.5, 9.5, 3.6), 0.16)
    colour = _shade(colour, HEAD.stroke(*creases, width=0.8, blur=0.5), 0.34 + 0.12 * person.lid)
    return _shade(colour, HEAD.stroke(*bags, width=0.9, blur=0.9), 0.12 + 0.3 * old)


def _freckle(colour: np.ndarray, head: Head, rng: np.random.Generator) -> np.ndarray:
    person = head.identity
    mask = np.zeros((HEAD.height, HEAD.width), np.uint8)
    n_spots = int(90 + 110 * person.freckles)
    x = MIDDLE + np.where(rng.random(n_spots) < 0.5, -1, 1) * np.abs(rng.normal(16, 12, n_spots))
    y = rng.normal(65, 7, n_spots)
    for px, radius, depth in zip(
        HEAD.pixels(np.stack([x, y], 1)), rng.uniform(0.4, 1.0, n_spots), rng.uniform(90, 230, n_spots)
    ):
        centre = tuple(int(v) for v in np.rint(px * 16))
        cv2.circle(mask, centre, int(radius * 0.55 * HEAD.scale * 16), int(depth), -1, cv2.LINE_AA, 4)
    spots = soften(mask.astype(np.float32) / 255, 0.7)
    return blend(colour, np.array(person.skin) * np.array([0.74, 0.56, 0.44]), spots * 0.62 * person.freckles)


def paint_brows(colour: np.ndarray, head: Head, rng: np.random.Generator) -> np.ndarray:
    """Brows as hairs that lean outwards, over a soft ground; thick at the inner third, thin at the tail."""
    person = head.identity
    weight = person.brow_weight
    ground, strands = [], []
    for points, side in ((head.landmarks[17:22, :2], -1), (head.landmarks[22:27, :2][::-1], 1)):
        spine = curve(points, 40)  # from the tail to the inner end
        along = np.linspace(0, 1, 40)
        thick = weight * (0.75 + 3.5 * np.minimum(1, along / 0.62) ** 0.8) * np.where(along > 0.93, 0.82, 1)
        top = spine + np.stack([np.zeros(40), 0.9 - 0.36 * thick], 1)
        low = spine + np.stack([np.zeros(40), 0.9 + 0.62 * thick], 1)
        ground.append(np.concatenate([top, low[::-1]]))
        n_hairs = int(95 * weight)
        at = rng.uniform(0.02, 1, n_hairs)
        index = np.minimum((at * 39).astype(int), 39)
        root = low[index] + (top[index] - low[index]) * rng.uniform(0.0, 0.85, n_hairs)[:, None]
        lean = np.deg2rad(9 + 26 * ramp(at, 0.55, 1.0) + rng.normal(0, 5, n_hairs))
        tangent = np.gradient(spine, axis=0)[index]
        tangent = -tangent / np.linalg.norm(tangent, axis=1, keepdims=True)  # towards the tail
        normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1) * -side
        normal *= np.where(normal[:, 1:] > 0, -1, 1)
        reach = (1.6 + 1.5 * rng.random(n_hairs)) * (0.6 + 0.4 * weight)
        tip = root + reach[:, None] * (np.cos(lean)[:, None] * tangent + np.sin(lean)[:, None] * normal)
        middle = (root + tip) / 2 + 0.25 * normal
        strands.extend(np.stack([root, middle, tip], axis=1))
    base = np.array(person.brow_colour, np.float32)
    soft = HEAD.fill(*ground, blur=0.8)
    colour = blend(colour, base, soft * (0.5 + 0.2 * min(weight, 1.1)))
    fine = HEAD.stroke(*strands, width=0.36)
    return blend(colour, np.array(tint(tuple(base), 0.72)), fine * 0.6)
