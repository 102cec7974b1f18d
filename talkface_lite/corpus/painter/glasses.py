"""Glasses: rims and lenses on a flat layer in front of the eyes, and temples that reach back to the ears."""

import cv2
import numpy as np

from talkface_lite.corpus.face import FaceGeometry
from talkface_lite.corpus.head import MIDDLE, Head
from talkface_lite.corpus.painter.brush import SHIFT, Canvas, curve, fixed, layer, tint

LENSES = Canvas.over(MIDDLE - 44, 32, MIDDLE + 44, 68, 2.4)
_DEPTH = 36.0


def _rims(head: Head) -> list[np.ndarray]:
    person = head.identity
    wide, high, power = {
        "round": (12.8, 11.6, 2.0),
        "square": (13.8, 10.4, 4.2),
        "half_rim": (13.8, 10.2, 3.2),
    }[person.glasses]
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power) * wide
    y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / power) * high
    return [np.stack([MIDDLE + side * (20.6 + x + person.eye_spread), 50.6 + y], 1) for side in (-1, 1)]


def paint_glasses(head: Head) -> tuple[np.ndarray, Canvas, float] | None:
    """Picture, canvas and depth of the glasses' layer, or None without glasses."""
    person = head.identity
    if person.glasses == "none":
        return None
    rims = _rims(head)
    base = np.array(person.glasses_colour, np.float32)
    x, y = LENSES.grid()
    glass = LENSES.fill(*rims)
    streak = np.clip(1 - np.abs(((x - MIDDLE) % 41.2) - 9 - 0.7 * (y - 50)) / 4.5, 0, 1)
    alpha = glass * (0.05 + 0.13 * streak)
    colour = np.full((LENSES.height, LENSES.width, 3), 250, np.float32)
    width = 1.9 if person.glasses == "square" else 1.5
    if person.glasses == "half_rim":
        frame = LENSES.stroke(*[rim[24:] for rim in rims], width=1.9)
        frame = np.maximum(frame, 0.5 * LENSES.stroke(*[rim[:25] for rim in rims], width=0.6))
    else:
        frame = LENSES.stroke(*rims, width=width, closed=True)
    inner = 20.6 + person.eye_spread - 12.9
    bridge = curve([(MIDDLE - inner, 49), (MIDDLE, 46.4), (MIDDLE + inner, 49)], 20)
    frame = np.maximum(frame, LENSES.stroke(bridge, width=width))
    shine = np.clip(LENSES.stroke(*[rim[30:40] - [0, 0.4] for rim in rims], width=0.6, blur=0.3), 0, 1)
    rim_colour = base + (np.array(tint(tuple(base), 1.9), np.float32) - base) * (0.6 * shine)[..., None]
    through = frame + alpha * (1 - frame)
    mixed = (rim_colour * frame[..., None] + colour * (alpha * (1 - frame))[..., None]) / np.maximum(
        through, 1e-3
    )[..., None]
    return layer(mixed, through), LENSES, _DEPTH


def paint_temples(picture: np.ndarray, geometry: FaceGeometry, t: int, to_view) -> None:  # noqa: ANN001
    """The two arms of frame ``t``, from the rims to the ears, over ``picture`` in place."""
    head = geometry.head
    person = head.identity
    half = 20.6 + person.eye_spread + 13.6
    ear = head.landmarks[16, 0] - MIDDLE + 1.0
    hinge = [
        [MIDDLE - half, 47, _DEPTH],
        [MIDDLE - ear, 47.5, 2.0],
        [MIDDLE + half, 47, _DEPTH],
        [MIDDLE + ear, 47.5, 2.0],
    ]
    ends = to_view(np.broadcast_to(np.array(hinge), (len(geometry), 4, 3)))[t]
    unit = np.linalg.norm(ends[2] - ends[0]) / (2 * half)
    arms = [fixed(ends[0:2]), fixed(ends[2:4])]
    colour = (*person.glasses_colour, 255)
    cv2.polylines(picture, arms, False, colour, max(1, round(1.3 * unit)), cv2.LINE_AA, SHIFT)
