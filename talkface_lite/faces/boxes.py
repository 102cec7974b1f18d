"""Boxes round faces: how wide, how much of two is shared, what lies around one, and where to lay one.

A box is ``(4,)``: left, top, right, bottom in pixels of a picture.
"""

from typing import NamedTuple

import cv2
import numpy as np

from talkface_lite.landmarks import apply_transform

SAME_FACE = 0.35
"""Boxes that share this much of their joint area hold one face. A box that is off by a fifth of its width
each way shares 0.47; that of a neighbour, cheek to cheek, shares nothing."""


class Face(NamedTuple):
    """A face in a frame of a film: ``box`` float ``(4,)`` and ``points`` float32 ``(68, 2)``, pixels."""

    box: np.ndarray
    points: np.ndarray


def width(boxes: np.ndarray) -> np.ndarray:
    """``(...)``: mean of width and height of boxes ``(..., 4)``, pixels."""
    return (boxes[..., 2] - boxes[..., 0] + boxes[..., 3] - boxes[..., 1]) / 2


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """``(N,)``: the share of their joint area that boxes ``(N, 4)`` have in common with one, in [0, 1]."""
    shared = (np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])).clip(0).prod(-1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(-1) + (box[2:] - box[:2]).prod() - shared)


def around(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """What the image shows within nine tenths of a face's width round its box, and where that begins."""
    reach = 0.9 * width(box)
    left, top = (int(max(0, np.floor(edge - reach))) for edge in box[:2])
    right, bottom = (int(max(0, np.ceil(edge + reach))) for edge in box[2:])
    return image[top:bottom, left:right], (left, top)


def lay_box(matrix: np.ndarray, centre: tuple[float, float], side: float) -> np.ndarray:
    """``(4,)``: an upright square in the picture that ``matrix`` ``(2, 3)`` leads to from the aligned crop.

    ``centre`` and ``side`` say where it lies, and how wide it is, in the crop.
    """
    middle = apply_transform(np.array([centre], np.float64), matrix)[0]
    half = side / 2 * np.sqrt(np.linalg.det(matrix[:, :2]))
    return np.concatenate([middle - half, middle + half])


def shrunk(image: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """The image with no side over ``longest`` px, and how many old pixels a new one spans."""
    factor = max(1.0, max(image.shape[:2]) / longest)
    if factor == 1:
        return image, 1.0
    size = [max(1, round(n / factor)) for n in (image.shape[1], image.shape[0])]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor
