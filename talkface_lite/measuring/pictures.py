"""How good the pictures are: a system's film beside what the camera saw, and beside the copied photograph.

PSNR and SSIM are those of :mod:`talkface_lite.metrics`: float64, a stated range, no resizing. The mouth has a
row of its own, because most of a talking face does not move and a copy of the photograph has it right.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.landmarks import MOUTH, apply_transform, invert_transform, magnify
from talkface_lite.metrics import mouth_landmark_distance, psnr, ssim

PICTURE_METRICS: tuple[str, ...] = (
    "psnr",
    "ssim",
    "mouth_psnr",
    "mouth_sharpness_over_real",
    "change_over_real",
    "jitter_over_real",
    "lmd",
)
"""dB over the whole crop, index, dB in the mouth box, three ratios, pixels of the crop."""

MOUTH_MARGIN = 6
"""The mouth box reaches so many pixels beyond the 20 true mouth points of its frame."""

FindPoints = Callable[[np.ndarray], np.ndarray | None]
"""uint8 ``(128, 128, 3)`` → the 68 points that a detector sees in it, or None."""


def measure_pictures(
    film: np.ndarray, truth: np.ndarray, landmarks: np.ndarray, *, frame_step: int = 1
) -> dict[str, float]:
    """PSNR, SSIM, mouth PSNR, sharpness and liveliness of one clip.

    Parameters
    ----------
    film, truth:
        uint8 RGB ``(T, H, W, 3)``.
    landmarks:
        True, ``(T, 68, 2)``, pixels of these pictures: they say where the mouth is.
    frame_step:
        SSIM looks at every such frame.

    Returns
    -------
    :data:`PICTURE_METRICS` but for the last. ``change_over_real``: the mean absolute change from each frame
    to the next, over that of the truth. A still picture has 0, a film that trembles more than 1; NaN where
    the truth does not change. ``jitter_over_real``: the same of what changes in that change, so that what
    moves evenly counts little. ``mouth_sharpness_over_real``: :func:`sharpness` of the mouth boxes, over the
    truth's; a blurred mouth is below 1.
    """
    margin = round(MOUTH_MARGIN * truth.shape[2] / CROP_SIZE)
    boxes = [mouth_box(points, margin, truth.shape[1:3]) for points in landmarks]
    mouths = [
        np.concatenate([frames[t][box].reshape(-1) for t, box in enumerate(boxes)])
        for frames in (film, truth)
    ]
    sharp = [np.mean([sharpness(frames[t][box]) for t, box in enumerate(boxes)]) for frames in (film, truth)]
    similar = [ssim(film[t], truth[t], data_range=255) for t in range(0, len(truth), frame_step)]
    return {
        "psnr": psnr(film, truth, data_range=255),
        "ssim": float(np.mean(similar)),
        "mouth_psnr": psnr(*mouths, data_range=255),
        "mouth_sharpness_over_real": _over(*sharp),
        "change_over_real": _over(change(film), change(truth)),
        "jitter_over_real": _over(jitter(film), jitter(truth)),
    }


def _over(made: float, real: float) -> float:
    return float(made / real) if real else float("nan")


def sharpness(picture: np.ndarray) -> float:
    """Mean squared difference of neighbouring pixels' brightness, of 255², across and down: what blur takes
    away first. uint8 RGB ``(H, W, 3)``."""
    grey = picture.astype(np.float64).mean(axis=-1)
    steps = [np.diff(grey, axis=axis) for axis in (0, 1)]
    return float(sum((step**2).mean() for step in steps if step.size))


def jitter(film: np.ndarray) -> float:
    """Mean absolute second difference from frame ``(T, H, W, 3)`` to frame, of 255; 0 for fewer than 3."""
    triples = zip(film, film[1:], film[2:])
    bends = (np.abs(a.astype(np.int16) - 2 * b.astype(np.int16) + c).mean() for a, b, c in triples)
    return float(sum(bends) / max(len(film) - 2, 1))


def change(film: np.ndarray) -> float:
    """Mean absolute difference from each frame ``(T, H, W, 3)`` to the next, of 255; 0 for a single one."""
    steps = (np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(film))
    return float(sum(steps) / max(len(film) - 1, 1))


def mouth_box(
    points: np.ndarray, margin: int = MOUTH_MARGIN, size: tuple[int, int] = (CROP_SIZE, CROP_SIZE)
) -> tuple[slice, slice]:
    """Rows and columns of a picture ``size`` (height, width) around the 20 mouth points of ``(68, 2)``."""
    low = np.floor(points[MOUTH].min(axis=0)).astype(int) - margin
    high = np.ceil(points[MOUTH].max(axis=0)).astype(int) + margin + 1
    last = np.array(size)[::-1]
    (left, top), (right, bottom) = low.clip(0, last - 1), high.clip(1, last)
    return slice(top, bottom), slice(left, right)


def dlib_in_crop() -> FindPoints:
    """dlib's detector and points, on the crop enlarged to 256×256.

    Raises
    ------
    InputError
        When dlib or its model is not installed.
    """
    import cv2

    from talkface_lite.faces.detection import FilmFaces

    faces, size = FilmFaces("dlib"), 2 * CROP_SIZE
    back = invert_transform(magnify(size / CROP_SIZE))

    def find(picture: np.ndarray) -> np.ndarray | None:
        large = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
        boxes = faces.find(large, small=False)
        return apply_transform(faces.points(large, boxes[0]), back) if len(boxes) else None

    return find


def points_in(frames: np.ndarray, find_points: FindPoints | None) -> list[np.ndarray | None]:
    """What a detector sees in each frame; nothing without one."""
    return [] if find_points is None else [find_points(frame) for frame in frames]


def remembering(find_points: FindPoints) -> FindPoints:
    """The same detector, which looks at each picture once: a photograph held still costs one look."""
    known: dict[bytes, np.ndarray | None] = {}

    def find(picture: np.ndarray) -> np.ndarray | None:
        key = hashlib.blake2b(np.ascontiguousarray(picture), digest_size=16).digest()
        if key not in known:
            known[key] = find_points(picture)
        return known[key]

    return find


def as_array(points: Sequence[np.ndarray | None]) -> np.ndarray:
    """float64 ``(T, 68, 2)``, NaN in frames where the detector saw no face."""
    array = np.full((len(points), N_POINTS, 2), np.nan)
    for frame, its in zip(array, points):
        if its is not None:
            frame[:] = its
    return array


def points_distance(film: list[np.ndarray | None], truth: list[np.ndarray | None]) -> dict[str, float]:
    """``lmd`` and ``missed`` of one clip, see :func:`talkface_lite.measuring.evaluation.evaluate`."""
    pairs = [(a, b) for a, b in zip(film, truth) if a is not None and b is not None]
    distance = float("nan")
    if pairs:
        distance = float(mouth_landmark_distance(*(np.stack(points) for points in zip(*pairs))).mean())
    return {"lmd": distance, "missed": 1 - len(pairs) / len(truth)}
