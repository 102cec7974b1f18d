"""What is beside and behind the face: the skull, ears, hair that hangs down, the drape of a scarf."""

import cv2
import numpy as np

from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import Canvas, blend, curve, distance_inside, layer, ramp, symmetric
from talkface_lite.corpus.painter.hair import Fibres, Style, hair_colours, style_of
from talkface_lite.corpus.painter.headwear import HEADWEAR, paint_side_headwear
from talkface_lite.corpus.painter.skin import HEAD

SIDES = Canvas.over(MIDDLE - 100, -70, MIDDLE + 100, 216, 1.6)
"""Canvas of the layer beside the head: ears, the sides of the skull, hair that falls over the shoulders."""
BACK = Canvas.over(MIDDLE - 100, -80, MIDDLE + 100, 216, 1.3)
"""Canvas of the layer behind the head."""


def paint_back_hair(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, Canvas, float] | None:
    """Picture, canvas and depth of the hair behind the head, or None where the style has none."""
    person = head.identity
    style = style_of(head)
    half = head.landmarks[16, 0] - MIDDLE
    if person.hair == "bun":
        crown = -15.0 + person.crown
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack([MIDDLE + 16 * np.cos(turn), crown - 7 + 14.5 * np.sin(turn)], 1)
        style = Style(top=2, side=0, flow="pull", ragged=0.8)
    elif style is not None and style.reach is not None:
        low = min(style.reach - 8, 150)
        high = 16 if style.fringe == "hat" else -4
        wide = half + style.side
        ring = symmetric(
            [
                (0, high),
                (half - 12, high + 8),
                (wide - 5, 40),
                (wide - 1, 70),
                (wide + 2, low - 20),
                (half - 4, low),
                (0, low),
            ]
        )
    else:
        return None
    inside = distance_inside(BACK, ring)
    fibres = Fibres(head)
    x, _ = BACK.grid()
    inside = inside + 0.1 * style.ragged * fibres(x)
    colour = hair_colours(BACK, head, style, inside, rng, fibres)
    if person.hair == "bun":
        x, y = BACK.grid()
        crown = -15.0 + person.crown
        swirl = np.hypot(x - MIDDLE, (y - crown + 9) * 1.15) + 1.4 * np.arctan2(y - crown + 9, x - MIDDLE)
        colour = np.array(person.hair_colour, np.float32) * (0.82 + 0.2 * fibres(swirl, 0.8) * 0.6)[..., None]
        colour = colour * (0.6 + 0.4 * (1 - np.exp(-np.maximum(inside, 0) / 4)))[..., None]
        return layer(colour, ramp(inside, -0.5, 0.5)), BACK, -4.0
    return layer(colour * 0.62, ramp(inside, -0.6, 0.6)), BACK, -22.0


def paint_sides(head: Head, skin: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Canvas, float]:
    """Picture, canvas and depth of what is beside the face: the skull, ears, and hair that hangs down."""
    person = head.identity
    half = head.landmarks[16, 0] - MIDDLE
    colour = _skull_skin(skin)
    alpha = SIDES.fill(head.contour() * 0.98 + np.array([MIDDLE, 62]) * 0.02, blur=0.4)
    fibres = Fibres(head)
    style = style_of(head)
    if style is not None:
        skull, near = _skull_hair(head, style, fibres, rng)
        colour, alpha = blend(colour, skull, near), np.maximum(alpha, near)
    colour, alpha = _ears(colour, alpha, head, half)
    if style is not None and style.reach is not None:
        inside = _curtain(head, style, half, fibres)
        hair = hair_colours(SIDES, head, style, inside, rng, fibres)
        mask = ramp(inside, -0.5, 0.5)
        colour, alpha = blend(colour, hair, mask), np.maximum(alpha, mask)
    if person.hair in HEADWEAR:
        colour, alpha = paint_side_headwear(colour, alpha, SIDES, head, rng)
    return layer(colour, alpha), SIDES, -7.0


def _skull_skin(skin: np.ndarray) -> np.ndarray:
    """The colours of the face, spread outwards a little: what a turn of the head brings into view."""
    x, y = SIDES.grid()
    column = ((MIDDLE + (x - MIDDLE) * 0.93) - HEAD.x) * HEAD.scale
    row = ((62 + (y - 62) * 0.95) - HEAD.y) * HEAD.scale
    spread = cv2.remap(
        skin,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.GaussianBlur(spread, (0, 0), 5) * np.array([0.93, 0.91, 0.90], np.float32)


def _skull_hair(
    head: Head, style: Style, fibres: Fibres, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    half = head.landmarks[16, 0] - MIDDLE
    crown = -15.0 + head.identity.crown
    low = 66 if style.reach is None else 72
    ring = [
        (0, crown + 5 - 0.4 * style.top),
        (30, crown + 16 - 0.4 * style.top),
        (half - 3.5 + style.side * 0.8, 28),
        (half - 0.5 + 0.7 * style.side, 48),
        (half - 2 + 0.4 * style.side, low),
        (half - 8, low + 4),
        (0, low + 4),
    ]
    if style.fringe == "bald":
        ring = [
            (0, 20),
            (half - 4, 16),
            (half + style.side * 0.9, 30),
            (half + 0.7 * style.side, 50),
            (half - 2, 66),
            (half - 8, 70),
            (0, 70),
        ]
    inside = distance_inside(SIDES, symmetric(ring))
    x, _ = SIDES.grid()
    inside = inside + 0.4 * style.ragged * fibres(x)
    colour = hair_colours(SIDES, head, style, inside, rng, fibres) * 0.88
    return colour, ramp(inside, -0.6, 0.6) * max(style.cover, 0.8)


def _curtain(head: Head, style: Style, half: float, fibres: Fibres) -> np.ndarray:
    """Signed distance into long hair that hangs beside the face and over the shoulders."""
    x, y = SIDES.grid()
    u = np.abs(x - MIDDLE)
    sway = style.wave * np.sin(y / 9.5 + 0.8 * np.sign(x - MIDDLE)) * ramp(y, 20, 70) * 0.55
    u = u + sway
    reach = style.reach
    spread = ramp(y, 50, reach)
    outer = half + style.side + (3 if reach < 130 else 7) * spread * (1 - 0.5 * ramp(y, reach - 16, reach))
    outer = outer - 0.008 * np.maximum(58 - y, 0) ** 2
    inner = (
        (half - 9)
        - (4 if reach > 130 else 2) * ramp(y, 60, 110)
        + (2 if reach > 130 else 7) * ramp(y, 120, reach)
    )
    end = reach - 0.10 * (u - half) ** 2 + 2.2 * fibres(x, 0.4)
    ragged = 0.45 * style.ragged * fibres(u + 300 * (x > MIDDLE), 0.5)
    return np.minimum(np.minimum(outer - u, u - inner) + ragged, np.minimum((end - y) * 0.6, y - 20)).astype(
        np.float32
    )


def _ears(colour: np.ndarray, alpha: np.ndarray, head: Head, half: float) -> tuple[np.ndarray, np.ndarray]:
    person = head.identity
    size = person.ear_size
    skin = np.array(person.skin, np.float32)
    shape = [
        (-4, 46),
        (0.6, 42.6),
        (4.6, 42.4),
        (7.2, 46),
        (7.0, 53),
        (5.2, 60),
        (4.0, 66),
        (1.6, 70),
        (-2, 70),
    ]
    ridge = [(0.8, 46.5), (3.8, 45.6), (5.2, 49), (4.4, 56), (2.6, 60.5)]
    for side in (-1, 1):
        middle = MIDDLE + side * half
        part = SIDES.part(middle - 14, 36, middle + 14, 86)
        canvas, ear_colour = SIDES.cut(part), colour[part]
        x, y = canvas.grid()

        def place(points: list, side: int = side) -> np.ndarray:
            return np.array([(MIDDLE + side * (half + a * size), 59 + (b - 56) * size) for a, b in points])

        mask = canvas.fill(curve(place(shape), 60, closed=True), blur=0.25)
        lit = 0.86 + 0.14 * np.clip(side * person.light[0] * 1.6, -1, 1) - 0.05 * ramp(y, 50, 72)
        blend(ear_colour, skin * np.stack([lit, lit**1.1 * 0.92, lit**1.2 * 0.90], -1), mask)
        groove = canvas.stroke(curve(place(ridge), 30), width=1.3, blur=0.6)
        blend(ear_colour, skin * np.array([0.62, 0.47, 0.44]), groove * 0.5)
        hole = canvas.spot(MIDDLE + side * (half + 0.9 * size), 61, 1.5, 3.4)
        blend(ear_colour, skin * np.array([0.46, 0.32, 0.30]), hole * mask * 0.6)
        if person.earrings:
            at = place([(2.2, 71.5)])[0]
            dot = ramp(np.hypot(x - at[0], y - at[1]), 2.0, 1.2)
            blend(ear_colour, np.array([226, 186, 96]), dot)
            glint = ramp(np.hypot(x - at[0] + 0.5, y - at[1] + 0.6), 0.9, 0.3)
            blend(ear_colour, np.array([255, 240, 200]), glint * 0.9)
            mask = np.maximum(mask, dot)
        alpha[part] = np.maximum(alpha[part], mask)
    return colour, alpha
