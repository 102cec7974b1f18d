"""What stays in the camera view while the head moves: background, neck, shoulders and clothes."""

import cv2
import numpy as np

from talkface_lite.corpus.face import CAMERA_CENTRE, CAMERA_SCALE, CAMERA_SIZE, FOCUS
from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import (
    Canvas,
    blend,
    curve,
    darken,
    layer,
    noise,
    ramp,
    soften,
    symmetric,
    tint,
)

SCENE = Canvas.over(MIDDLE - 140, FOCUS[1] - 128, MIDDLE + 140, FOCUS[1] + 154, 1.25)
"""The whole camera view and a little more, in template pixels of a head at neutral pose."""


def scene_to_camera() -> np.ndarray:
    """float64 ``(2, 3)``: pixels of :data:`SCENE` to pixels of the camera view."""
    scale = CAMERA_SCALE / SCENE.scale
    shift = CAMERA_CENTRE + CAMERA_SCALE * (np.array([SCENE.x, SCENE.y]) - FOCUS)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def paint_background(head: Head, rng: np.random.Generator) -> np.ndarray:
    """uint8 ``(H, W, 4)`` on :data:`SCENE`, opaque."""
    person = head.identity
    wall, accent = np.array(person.wall, np.float32), np.array(person.accent, np.float32)
    shape = (SCENE.height, SCENE.width)
    x, y = SCENE.grid()
    colour = np.broadcast_to(wall, (*shape, 3)).astype(np.float32)
    left = 0.5 + (x - MIDDLE) / CAMERA_SIZE * np.sign(person.light[0] + 1e-6)
    if person.background == "gradient":
        colour = blend(colour, accent, ramp(y, -60, 200))
    elif person.background == "discs":
        for _ in range(7):
            cx, cy = MIDDLE + rng.uniform(-130, 130), rng.uniform(-60, 180)
            disc = ramp(np.hypot(x - cx, y - cy), (r := rng.uniform(16, 46)) + 4, r - 4)
            colour = blend(
                colour,
                accent if rng.random() < 0.6 else np.minimum(wall * 1.12, 255),
                disc * rng.uniform(0.25, 0.6),
            )
    elif person.background == "bands":
        slope = rng.uniform(-0.7, 0.7)
        at = y + slope * (x - MIDDLE)
        for edge in rng.uniform(-50, 190, 3):
            colour = blend(colour, accent, ramp(at, edge - 3, edge + 3) * 0.32)
    elif person.background == "window":
        for cx in (-92, -34, 62, 120):
            pane = ramp(np.abs(x - MIDDLE - cx), 27, 22) * ramp(np.abs(y - 20), 74, 68)
            colour = blend(colour, np.minimum(accent * 0.35 + 172, 255), pane * 0.75)
        colour = np.dstack([soften(np.ascontiguousarray(colour[..., k]), 5) for k in range(3)])
    elif person.background == "leaves":
        green = accent * 0.45 + np.array([72, 96, 70], np.float32) * 0.55
        mask = np.zeros(shape, np.uint8)
        for _ in range(46):
            centre = SCENE.pixels(np.array([MIDDLE + rng.uniform(-135, 135), rng.uniform(-64, 200)]))
            axes = (rng.uniform(9, 22), rng.uniform(4, 9))
            turn = rng.uniform(0, 180)
            cv2.ellipse(
                mask,
                (tuple(centre), (2 * axes[0], 2 * axes[1]), turn),
                int(rng.uniform(60, 200)),
                -1,
                cv2.LINE_AA,
            )
        colour = blend(colour, green, soften(mask.astype(np.float32) / 255, 2.2) * 0.55)
    glow = 0.93 + 0.10 * left - 0.06 * ((x - MIDDLE) ** 2 + (y - 60) ** 2) / 140**2
    colour = colour * glow[..., None] + 0.7 * noise(shape, 2.5, rng)[..., None]
    return layer(colour, np.ones(shape, np.float32))


def paint_body(head: Head, rng: np.random.Generator) -> np.ndarray:
    """uint8 ``(H, W, 4)`` on :data:`SCENE`: neck, shoulders and clothes."""
    person = head.identity
    broad = 1 - 0.16 * person.femininity
    skin = np.array(person.skin, np.float32)
    x, y = SCENE.grid()
    u = x - MIDDLE
    neck_half = 27.5 * broad * person.face_width
    neck = symmetric(
        [(neck_half, 60), (neck_half, 112), (neck_half + 1, 128), (neck_half + 9, 142), (62, 158), (62, 200)]
    )
    neck_mask = SCENE.fill(neck, blur=0.5)
    lit = (
        0.88
        + 0.10 * np.clip(person.light[0] * u / 25, -1, 1)
        - 0.16 * (np.abs(u) / neck_half).clip(0, 1.2) ** 3
    )
    chin = 119 + person.chin_drop
    under = ramp(y, chin + 24, chin - 2) * ramp(np.abs(u + 4 * person.light[0]), 46, 14)
    lit = lit * (1 - 0.40 * under)
    colour = skin * np.stack([lit, lit**1.15, lit**1.22], -1)
    for side in (-1, 1):
        cord = SCENE.stroke(
            curve(
                [(MIDDLE + side * 21 * broad, 112), (MIDDLE + side * 13, 132), (MIDDLE + side * 4, 147)], 20
            ),
            width=3,
            blur=2,
        )
        colour = darken(colour, 0.10 * cord)
        bone = SCENE.stroke(
            curve([(MIDDLE + side * 6, 149), (MIDDLE + side * 24, 147), (MIDDLE + side * 46, 143)], 20),
            width=2,
            blur=1.5,
        )
        colour = darken(colour, 0.13 * bone)
    cloth_mask, cloth = _clothes(head, rng, x, y, broad, skin)
    colour = blend(colour, cloth, cloth_mask)
    return layer(colour, np.maximum(neck_mask, cloth_mask))


def _clothes(
    head: Head, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, broad: float, skin: np.ndarray
):
    person = head.identity
    u = x - MIDDLE
    kind = person.clothes
    high = {"turtleneck": 124, "shirt": 136, "hoodie": 137, "crew_neck": 139, "blazer": 139, "v_neck": 140}[
        kind
    ]
    reach = 104 * broad
    body = symmetric(
        [(24 * broad, high), (40 * broad, high + 7), (72 * broad, 153), (reach, 172), (reach + 12, 230)]
    )
    mask = SCENE.fill(body, blur=0.4)
    main, second = np.array(person.cloth, np.float32), np.array(person.cloth_second, np.float32)
    shape = u.shape
    shade = 0.93 + 0.10 * np.clip(person.light[0] * u / 70, -1, 1) - 0.20 * ramp(np.abs(u), 50, 118)
    shade = shade - 0.06 * ramp(y, 170, 215) + 0.006 * noise(shape, 4, rng)
    for _ in range(5):
        fx, side = rng.uniform(12, 76), rng.choice([-1, 1])
        fold = curve(
            [
                (MIDDLE + side * fx, 160 + rng.uniform(0, 14)),
                (MIDDLE + side * (fx + 4), 188),
                (MIDDLE + side * (fx - 4), 216),
            ],
            16,
        )
        shade = shade - 0.09 * SCENE.stroke(fold, width=3, blur=2.4)
    colour = main * shade[..., None]
    if person.striped and kind in ("crew_neck", "v_neck", "turtleneck"):
        bow = y - high - 0.0022 * u**2 * np.sign(150 - high)
        colour = blend(
            colour, second * shade[..., None], ramp(np.abs((bow % 15) - 7.5), 2.6, 3.4) * (bow > 12)
        )
    if kind in ("crew_neck", "v_neck"):
        dip = (13, 17) if kind == "crew_neck" else (10, 40)
        hole = symmetric(
            [
                (0, 118),
                (30 * broad, 118),
                (29 * broad, high),
                (24 * broad, high + 7),
                (dip[0], high + dip[1] - 3),
                (0, high + dip[1]),
            ]
        )
        rim = SCENE.stroke(hole, width=4.2, closed=True, blur=0.4)
        colour = blend(colour, main * 0.80, rim * 0.8)
        mask = mask * (1 - SCENE.fill(hole, blur=0.3))
    elif kind == "turtleneck":
        roll = symmetric([(0, 122), (28.5 * broad, 121), (29.5 * broad, 131), (30 * broad, 140), (0, 146)])
        colour = blend(
            colour, main * 0.9 * (0.9 + 0.1 * np.cos(u / 1.5))[..., None], SCENE.fill(roll, blur=0.8)
        )
        mask = np.maximum(mask, SCENE.fill(roll, blur=0.4))
        edge = SCENE.stroke(
            curve([(MIDDLE - 30, 138), (MIDDLE, 147), (MIDDLE + 30, 138)], 20), width=1.6, blur=0.8
        )
        colour = darken(colour, 0.3 * edge)
    elif kind == "hoodie":
        hole = symmetric([(0, 116), (31 * broad, 118), (29 * broad, 140), (15, 157), (0, 163)])
        shirt = SCENE.fill(symmetric([(0, 147), (27 * broad, 140), (16, 157), (0, 164)]), blur=0.3)
        hood = symmetric(
            [(33 * broad, 119), (41 * broad, 124), (46 * broad, 142), (34, 158), (12, 168), (0, 170)]
        )
        mask = np.maximum(mask, SCENE.fill(hood, blur=0.6))
        colour = blend(colour, main * 0.80 * shade[..., None], SCENE.fill(hood, blur=1.2) * 0.55)
        mask = np.maximum(mask * (1 - SCENE.fill(hole, blur=0.4)), shirt)
        colour = blend(colour, second * 0.9, shirt)
        for side in (-1, 1):
            cord = curve(
                [(MIDDLE + side * 10, 165), (MIDDLE + side * 11.5, 182), (MIDDLE + side * 10.5, 196)], 16
            )
            colour = blend(
                colour, np.array(tint(tuple(main), 1.9), np.float32), SCENE.stroke(cord, width=1.8)
            )
    elif kind in ("shirt", "blazer"):
        colour, mask = _collar(colour, mask, shade, main, second, kind, broad)
    return mask, colour


def _collar(colour, mask, shade, main, second, kind: str, broad: float):  # noqa: ANN001
    neck = 29 * broad
    hole = symmetric([(0, 112), (neck, 118), (neck, 134), (8, 158), (0, 164)])
    inner = main if kind == "shirt" else np.maximum(second, 150) * 0.5 + 118
    if kind == "blazer":
        shirt = SCENE.fill(symmetric([(0, 140), (28, 136), (26, 158), (8, 206), (0, 222)]))
        colour = blend(colour, inner * shade[..., None], shirt)
    mask = mask * (1 - SCENE.fill(hole, blur=0.3))
    for side in (-1, 1):
        leaf = np.array(
            [(neck - 1.5, 126), (neck + 5, 131), (neck + 9, 147), (15, 169), (5, 161), (neck - 10, 148)],
            float,
        )
        leaf = np.stack([MIDDLE + side * leaf[:, 0], leaf[:, 1]], 1)
        leaf_mask = SCENE.fill(leaf, blur=0.3)
        colour = darken(colour, 0.22 * SCENE.fill(leaf + np.array([0, 2.5]), blur=2))
        colour = blend(colour, np.minimum(inner * 1.07, 255), leaf_mask)
        mask = np.maximum(mask, leaf_mask)
        if kind == "blazer":
            lapel = np.array(
                [(neck + 6, 139), (46, 164), (40, 170), (44, 174), (10, 224), (4, 224), (16, 176)], float
            )
            lapel = np.stack([MIDDLE + side * lapel[:, 0], lapel[:, 1]], 1)
            colour = darken(colour, 0.25 * SCENE.stroke(lapel, width=2.4, blur=1.4, closed=True))
            colour = blend(colour, main * 0.94 * shade[..., None], SCENE.fill(lapel, blur=0.3))
    if kind == "shirt":
        line = SCENE.stroke(np.array([(MIDDLE, 162), (MIDDLE, 224)], float), width=1.2, blur=0.4)
        colour = darken(colour, 0.22 * line)
        for cy in (176, 196):
            colour = blend(colour, np.array([236, 232, 226]), SCENE.spot(MIDDLE + 2.8, cy, 0.9, 0.9))
    return colour, mask
