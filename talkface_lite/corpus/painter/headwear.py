"""Headscarf, turban, cap and beanie."""

import numpy as np

from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import (
    Canvas,
    blend,
    curve,
    darken,
    noise,
    ramp,
    soften,
    symmetric,
    tint,
)
from talkface_lite.corpus.painter.skin import HEAD

HEADWEAR = ("headscarf", "turban", "cap", "beanie")


def _cloth(canvas: Canvas, head: Head, colour: tuple, rng: np.random.Generator) -> np.ndarray:
    """Fabric lit from the identity's light, with a faint weave."""
    x, y = canvas.grid()
    person = head.identity
    shade = 0.94 + 0.12 * np.clip((x - MIDDLE) * person.light[0] / 40, -1, 1)
    shade = shade - 0.22 * ramp(np.abs(x - MIDDLE), 30, 56) + 0.05 * np.exp(-(((y + 8) / 16) ** 2))
    shade = shade + 0.015 * noise(x.shape, 3, rng)
    return np.array(colour, np.float32) * shade[..., None]


def _folds(
    canvas: Canvas, colour: np.ndarray, lines: list[np.ndarray], width: float, strength: float
) -> np.ndarray:
    """Each fold is a dark groove with a lighter ridge beside it."""
    dark = canvas.stroke(*lines, width=width, blur=width * 0.55)
    light = canvas.stroke(
        *[line - np.array([0, 1.1 * width]) for line in lines], width=width, blur=width * 0.6
    )
    return colour * (1 - strength * dark + 0.55 * strength * light)[..., None]


def _drop_shadow(colour: np.ndarray, mask: np.ndarray, strength: float) -> np.ndarray:
    shade = np.roll(soften(mask, 2.4 * HEAD.scale), round(2.4 * HEAD.scale), axis=0)
    return darken(colour, strength * shade, (0.82, 0.95, 1.0))


def paint_front_headwear(
    colour: np.ndarray, alpha: np.ndarray, head: Head, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The part that is on the head itself: new colour and alpha on the head's canvas."""
    painter = {"headscarf": _scarf, "turban": _turban, "cap": _cap, "beanie": _beanie}[head.identity.hair]
    cloth, mask = painter(head, rng)
    colour = _drop_shadow(colour, mask, 0.42)
    return blend(colour, cloth, mask), np.maximum(alpha, mask)


def _half_and_crown(head: Head) -> tuple[float, float]:
    return float(head.landmarks[16, 0] - MIDDLE), -15.0 + head.identity.crown


def _scarf(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half, crown = _half_and_crown(head)
    jaw = head.landmarks[8:17, :2][::-1]  # from beside the eye down to the chin
    outer = symmetric(
        [
            (0, crown - 7),
            (20, crown - 4),
            (36, crown + 10),
            (half + 6, 30),
            (half + 7, 60),
            (half + 4, 90),
            (34, 119),
            (16, 129),
            (0, 131),
        ]
    )
    edge = [(0, 7.5), (16, 9.0), (28, 15), (35.5, 27), (half - 4.0, 42)]
    edge += [
        (float(x - MIDDLE) - 1.4 * (k < 6), float(y) - 0.6)
        for k, (x, y) in enumerate(jaw)
        if k in (1, 2, 3, 4, 5, 6, 7)
    ]
    edge += [(0, float(jaw[8, 1]) - 0.4)]
    opening = symmetric(edge, 90)
    cloth = _cloth(HEAD, head, head.identity.cloth_second, rng)
    folds = []
    for side in (-1, 1):
        for k, start in enumerate((4, 12, 21)):
            path = [
                (start, crown - 4 + k),
                (half * 0.72 + 2 * k, crown + 17 + 2 * k),
                (half + 1 + k, 44),
                (half + 2 - k, 82),
                (half - 8 - 3 * k, 112),
            ]
            folds.append(curve([(MIDDLE + side * a, b) for a, b in path], 40))
    cloth = _folds(HEAD, cloth, folds, 1.9, 0.13)
    hem = HEAD.stroke(opening, width=2.2, blur=0.7, closed=True)
    cloth = darken(cloth, 0.22 * hem)
    mask = HEAD.fill(outer, blur=0.3) * (1 - HEAD.fill(opening, blur=0.3))
    return cloth, mask


def _turban(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half, crown = _half_and_crown(head)
    outer = symmetric(
        [
            (0, crown - 19),
            (20, crown - 17),
            (40, crown - 4),
            (half + 9, crown + 18),
            (half + 8, 20),
            (half + 4, 34),
            (half - 1, 42),
            (half - 6, 40),
            (0, 40),
        ]
    )
    opening = symmetric(
        [
            (0, 4),
            (10, 8),
            (22, 15.5),
            (33, 24),
            (half - 4, 34),
            (half, 44),
            (half + 30, 46),
            (half + 30, 80),
            (0, 80),
        ]
    )
    cloth = _cloth(HEAD, head, head.identity.cloth_second, rng)
    wraps = []
    for k in range(6):
        rise = 8.2 * k
        wraps.append(
            curve(
                [
                    (MIDDLE - half - 8, 37 - 0.92 * rise),
                    (MIDDLE - 22, 18 - rise),
                    (MIDDLE + 2, 3.5 - 0.95 * rise),
                ],
                40,
            )
        )
        wraps.append(
            curve(
                [
                    (MIDDLE + half + 8, 37 - 0.92 * rise),
                    (MIDDLE + 22, 18 - rise),
                    (MIDDLE - 2, 3.5 - 0.95 * rise),
                ],
                40,
            )
        )
    cloth = _folds(HEAD, cloth, wraps, 2.0, 0.22)
    mask = HEAD.fill(outer, blur=0.3) * (1 - HEAD.fill(opening, blur=0.3))
    return cloth, mask


def _cap(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half, crown = _half_and_crown(head)
    dome = symmetric(
        [
            (0, crown - 8),
            (20, crown - 5.5),
            (37, crown + 8),
            (half + 2.5, 16),
            (half + 2, 26),
            (half - 3, 27),
            (30, 15),
            (0, 9),
        ]
    )
    cloth = _cloth(HEAD, head, head.identity.cloth_second, rng)
    seams = [
        curve([(MIDDLE + a, crown - 7), (MIDDLE + 2.0 * a, crown + 8), (MIDDLE + 2.6 * a, 14)], 24)
        for a in (-9, 0, 9)
    ]
    cloth = _folds(HEAD, cloth, seams, 0.8, 0.22)
    brim = symmetric([(0, 3), (20, 5), (35, 11), (half - 1.5, 21), (half - 8, 23.5), (24, 20), (0, 18.5)])
    brim_mask = HEAD.fill(brim, blur=0.3)
    x, y = HEAD.grid()
    lid = (
        np.array(tint(head.identity.cloth_second, 0.78), np.float32) * (1.1 - 0.3 * ramp(y, 4, 22))[..., None]
    )
    cloth = blend(cloth * (1 - 0.3 * HEAD.fill(brim - [0, 2], blur=2)[..., None]), lid, brim_mask)
    edge = HEAD.stroke(
        curve(
            [
                (MIDDLE - half + 3, 22),
                (MIDDLE - 22, 19.4),
                (MIDDLE, 18),
                (MIDDLE + 22, 19.4),
                (MIDDLE + half - 3, 22),
            ],
            40,
        ),
        width=1.0,
        blur=0.3,
    )
    cloth = cloth * (1 + 0.25 * edge[..., None])
    button = ramp(np.hypot(x - MIDDLE, (y - crown + 8.5) * 1.6), 3.2, 2.2)
    cloth = darken(cloth, 0.12 * button)
    return cloth, np.maximum(HEAD.fill(dome, blur=0.3), np.maximum(brim_mask, button * (y < crown)))


def _beanie(head: Head, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    half, crown = _half_and_crown(head)
    dome = symmetric(
        [
            (0, crown - 14),
            (18, crown - 11),
            (35, crown + 3),
            (half + 3.5, 8),
            (half + 5, 20),
            (half + 3.5, 33),
            (half - 3, 31),
            (30, 20),
            (0, 15),
        ]
    )
    cloth = _cloth(HEAD, head, head.identity.cloth_second, rng)
    x, y = HEAD.grid()
    u = x - MIDDLE
    across = np.arcsin(np.clip(u / (half + 7), -1, 1)) * 30
    rib = np.cos(across * 1.35)
    band_top = 4.0 + 0.0062 * u**2
    band = ramp(y, band_top - 0.5, band_top + 0.5)
    cloth = cloth * (1 + (0.05 + 0.05 * band) * rib)[..., None]
    fold = np.exp(-(((y - band_top) / 1.3) ** 2))
    cloth = cloth * (1 - 0.30 * fold * (y < band_top + 0.8))[..., None]
    cloth = cloth * (1 + 0.06 * band)[..., None]
    return cloth, HEAD.fill(dome, blur=0.35)


def paint_side_headwear(
    colour: np.ndarray, alpha: np.ndarray, canvas: Canvas, head: Head, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The part beside the head: what a turn brings into view, the drape of a scarf, hair under a hat."""
    person = head.identity
    half, crown = _half_and_crown(head)
    cloth = _cloth(canvas, head, person.cloth_second, rng)
    if person.hair == "headscarf":
        drape = symmetric(
            [
                (0, crown - 6),
                (34, crown + 9),
                (half + 6, 30),
                (half + 7, 62),
                (half + 5, 92),
                (half - 1, 114),
                (half + 6, 136),
                (62, 156),
                (70, 172),
                (52, 188),
                (24, 196),
                (0, 199),
            ],
            110,
        )
        folds = []
        for side in (-1, 1):
            for a, b, c in ((26, 30, 10), (34, 40, 26), (41, 50, 40), (16, 16, 0)):
                folds.append(
                    curve(
                        [
                            (MIDDLE + side * a, 118),
                            (MIDDLE + side * (b - 8), 138),
                            (MIDDLE + side * (b - 4), 160),
                            (MIDDLE + side * c, 190),
                        ],
                        30,
                    )
                )
        folds.append(curve([(MIDDLE - 34, 126), (MIDDLE - 10, 143), (MIDDLE + 26, 134)], 30))
        cloth = _folds(canvas, cloth, folds, 2.2, 0.16)
        x, y = canvas.grid()
        under = ramp(np.abs(x - MIDDLE), 40, 18) * ramp(y, 140, 112)
        cloth = cloth * (1 - 0.34 * under)[..., None]
        mask = canvas.fill(drape, blur=0.4)
    else:
        low = {"turban": 44, "cap": 27, "beanie": 33}[person.hair]
        reach = {"turban": 7, "cap": 2.5, "beanie": 4}[person.hair]
        band = symmetric(
            [
                (0, crown - reach * 2),
                (34, crown + 4),
                (half + reach, 10),
                (half + reach, low - 6),
                (half + reach * 0.4, low),
                (half - 10, low),
                (0, low),
            ]
        )
        mask = canvas.fill(band, blur=0.4)
        cloth = cloth * 0.86
    return blend(colour, cloth, mask), np.maximum(alpha, mask)
