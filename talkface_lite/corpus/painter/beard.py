"""Beards and stubble on the skin; they move with the skin, and so with the jaw."""

import numpy as np

from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import blend, darken, distance_inside, noise, ramp, soften, symmetric
from talkface_lite.corpus.painter.hair import Fibres
from talkface_lite.corpus.painter.skin import HEAD

_TRIM = 1.5
"""Template pixels of skin that a trimmed beard leaves around the lips; without them dlib takes hair
for lips.
"""
_COVER, _COVER_ABOVE = 0.7, 0.42
"""How much of the skin a beard hides, and a moustache: under a dense one dlib loses the upper lip."""


def paint_beard(
    colour: np.ndarray, alpha: np.ndarray, head: Head, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint the beard over the face's colour; a full one reaches a little past the chin."""
    person = head.identity
    if person.beard == "none":
        return colour, alpha
    x, y = HEAD.grid()
    fibres = Fibres(head)
    flow = np.arctan2(x - MIDDLE, y - 58) * 66
    ragged = fibres(flow * 0.6, 0.7)
    inside = distance_inside(HEAD, _moustache(head))
    from_lips = -distance_inside(HEAD, _clearing(head))
    if person.beard == "full":
        inside = np.maximum(inside, distance_inside(HEAD, _cheeks(head, 2.0)))
    elif person.beard == "goatee":
        inside = np.maximum(inside, distance_inside(HEAD, _goatee(head)))
    elif person.beard == "stubble":
        inside = np.maximum(inside, np.minimum(distance_inside(HEAD, _cheeks(head, -0.4)), from_lips))
    if person.beard != "stubble":
        trim = (0.8 if person.beard == "moustache" else _TRIM) - 0.3 * person.moustache_hang
        inside = np.minimum(inside, from_lips - trim)
    base = np.array(person.beard_colour, np.float32)
    if person.beard == "stubble":
        mask = ramp(inside + 0.6 * noise(x.shape, 4, rng), -1.5, 4.0)
        dots = np.clip(0.5 + 0.5 * soften(rng.standard_normal(x.shape).astype(np.float32), 0.7) * 1.9, 0, 1)
        return blend(colour, base * 0.9, mask * (0.20 + 0.26 * dots) * alpha), alpha
    line = head.mouth[3]
    above = ramp(y, line + 3, line - 2) * ramp(from_lips, 15, 9)
    mask = ramp(inside + 0.6 * ragged, -1.2, 1.3)
    strand = 0.6 * fibres(flow, 1.1) + 0.5 * fibres(flow + 91, 2.8)
    volume = 1 - np.exp(-np.maximum(inside, 0) / 4)
    tone = (0.66 + 0.34 * volume) * (1 + (0.16 if base.mean() > 70 else 0.26) * strand)
    tone = tone + 0.06 * np.clip((x - MIDDLE) * person.light[0] / 25, -1, 1)
    shade = soften(ramp(inside, -0.5, 0.5), 1.6 * HEAD.scale)
    colour = darken(colour, 0.25 * shade)
    colour = blend(
        colour, base * np.clip(tone, 0.3, 1.5)[..., None], mask * (_COVER - (_COVER - _COVER_ABOVE) * above)
    )
    return colour, np.maximum(alpha, mask)


def _cheeks(head: Head, beyond: float) -> np.ndarray:
    jaw = head.landmarks[8:17, :2][::-1] - [MIDDLE, 0]  # from beside the eye to the chin
    centre = np.array([0, 62.0])
    out = [
        tuple(p + beyond * (p - centre) / np.linalg.norm(p - centre) * min(1, k / 4))
        for k, p in enumerate(jaw)
    ]
    half, _, _, line = head.mouth
    top = [
        (0, line - 12),
        (12, line - 11),
        (half + 3, line - 6),
        (half + 10, line - 10),
        (jaw[1, 0] - 5, 72),
        (jaw[0, 0] - 3.6, 56),
    ]
    return symmetric([*top, (jaw[0, 0] - 0.5, 52), *out[1:]], 90)


def _clearing(head: Head) -> np.ndarray:
    """The lips at rest."""
    half, upper, lower, line = head.mouth
    return symmetric(
        [
            (0, line - upper - 0.4),
            (half * 0.6, line - 0.7 * upper - 0.4),
            (half + 1.0, line - 0.8),
            (half * 0.66, line + lower * 0.82 + 0.4),
            (half * 0.3, line + lower + 0.4),
            (0, line + lower + 0.5),
        ]
    )


def _moustache(head: Head) -> np.ndarray:
    half, upper, _, line = head.mouth
    low = line - upper - 0.5
    long = head.identity.beard in ("full", "goatee")
    tail = (half + 2.5, line + 4.5) if long else (half + 1.0, line - 0.6)
    return symmetric(
        [
            (0, low - 5.2),
            (5, low - 6.4),
            (10.5, low - 5.0),
            (half - 1.5, line - 5.4),
            (tail[0] + 1.6, tail[1] - 1.6),
            tail,
            (half - 1.0, line - 2.0),
            (half * 0.6, line - 0.74 * upper - 0.5),
            (3.8, low - 0.6),
            (0, low + 0.2),
        ]
    )


def _goatee(head: Head) -> np.ndarray:
    half, _, lower, line = head.mouth
    chin = head.landmarks[8, 1]
    return symmetric(
        [
            (0, line + lower),
            (9, line + lower + 0.5),
            (half - 2.5, line + 3),
            (half + 3.2, line + 1),
            (half + 2.5, line + 10),
            (half - 3, chin - 5),
            (10, chin + 1.2),
            (0, chin + 2.0),
        ]
    )
