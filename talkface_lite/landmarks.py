"""The 68 points: groups, alignment to one frame, crops, drawing, and the lip opening.

Points are in dlib/iBUG order, x to the right and y down, in pixels; a pixel's centre lies at integer
coordinates (OpenCV's convention). The one face frame of the package is a 128 x 128 crop in which a similarity
transform has laid points 27-47 (nose and eyes) of each frame on :data:`TEMPLATE`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE, N_POINTS
from talkface_lite.errors import InputError

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", np.ndarray, "torch.Tensor")

GROUPS: Mapping[str, slice] = MappingProxyType(
    {
        "jaw": slice(0, 17),
        "right_brow": slice(17, 22),
        "left_brow": slice(22, 27),
        "nose_bridge": slice(27, 31),
        "nostrils": slice(31, 36),
        "right_eye": slice(36, 42),
        "left_eye": slice(42, 48),
        "outer_lips": slice(48, 60),
        "inner_lips": slice(60, 68),
    }
)
"""Where each part lies among the 68 points. Right and left are the person's: the right eye is on the left in
the picture."""

MOUTH = slice(48, 68)
"""The 20 points of the lips."""

ANCHORS = slice(27, 48)
"""The 21 points of nose and eyes that alignment rests on: those that speech moves least."""

LINES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("jaw", tuple(range(17))),
    ("right_brow", (17, 18, 19, 20, 21)),
    ("left_brow", (22, 23, 24, 25, 26)),
    ("nose_bridge", (27, 28, 29, 30)),
    ("nostrils", (31, 32, 33, 34, 35)),
    ("right_eye", (36, 37, 38, 39)),
    ("right_eye", (39, 40, 41, 36)),
    ("left_eye", (42, 43, 44, 45)),
    ("left_eye", (45, 46, 47, 42)),
    ("outer_lips", (48, 49, 50, 51, 52, 53, 54)),
    ("outer_lips", (54, 55, 56, 57, 58, 59, 48)),
    ("inner_lips", (60, 61, 62, 63, 64)),
    ("inner_lips", (64, 65, 66, 67, 60)),
)
"""The lines of a drawn face as ``(group, points)``; eyes and lips have two lines each."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "jaw": (120, 120, 120),
        "right_brow": (204, 121, 167),
        "left_brow": (204, 121, 167),
        "nose_bridge": (0, 158, 115),
        "nostrils": (0, 158, 115),
        "right_eye": (0, 114, 178),
        "left_eye": (0, 114, 178),
        "outer_lips": (213, 94, 0),
        "inner_lips": (230, 159, 0),
    }
)
"""RGB of each group's lines, from the palette of Okabe and Ito."""


def _frozen(values: list, dtype: type) -> np.ndarray:
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


# fmt: off
TEMPLATE: np.ndarray = _frozen(
    [
        (64, 48), (64, 56), (64, 64), (64, 72),                           # 27-30 bridge of the nose
        (55, 77), (59.3, 78.6), (64, 80), (68.7, 78.6), (73, 77),         # 31-35 nostrils
        (36, 49), (41, 45.6), (47, 45.6), (52, 49.6), (47, 52), (41, 52), # 36-41 right eye
        (76, 49.6), (81, 45.6), (87, 45.6), (92, 49), (87, 52), (81, 52), # 42-47 left eye
    ],
    np.float32,
)
"""float32 ``(21, 2)``: where points 27-47 lie in the 128 x 128 crop; the outer corners of the eyes are 56 px
apart. Ours: ATVGnet's own template is not needed for anything else to agree."""

JAW_FOLLOWS: Mapping[int, float] = MappingProxyType({
    **dict.fromkeys((56, 57, 58, 65, 66, 67), 1.0), **dict.fromkeys((8, 55, 59), 0.8), 7: 0.75, 9: 0.75,
    6: 0.6, 10: 0.6, 5: 0.4, 11: 0.4, **dict.fromkeys((48, 54, 60, 64), 0.3), 4: 0.2, 12: 0.2,
})
"""Ours: how far each point goes down as the jaw opens the lips by 1 px, or up as it closes them."""


class Template(NamedTuple):
    """Where a crop has which points of a face: a slice of the 68, and ``(n, 2)`` pixels of the crop."""

    points: slice
    places: np.ndarray


OURS = Template(ANCHORS, TEMPLATE)
"""The template of every crop, unless weights learned from crops on another."""

MIRRORED: np.ndarray = _frozen(
    [
        *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
    ],
    np.int64,
)
# fmt: on
"""int64 ``(68,)``: the point that each point becomes when the picture is mirrored."""


def similarity_transform(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that lay ``source`` on ``target`` with the least squared distance.

    In the plane Umeyama's solution (1991, eqs. 40-43) needs no SVD. With points as complex numbers and both
    sets centred, ``t = a s + b`` is an ordinary regression: ``a = sum(conj(s) t) / sum(|s|^2)``.

    Parameters
    ----------
    source, target:
        ``(..., N, 2)`` points, N at least 2; leading axes broadcast, so one call aligns a whole clip.

    Returns
    -------
    float64 ``(..., 2, 3)``: the matrix ``[[c, -s, x], [s, c, y]]`` that takes ``source`` to ``target``.

    Raises
    ------
    InputError
        When the shapes do not fit, a value is not finite, or all points of a source set coincide.
    """
    source, target = _check_points("source", source), _check_points("target", target)
    if source.shape[-2] != target.shape[-2] or source.shape[-2] < 2:
        raise InputError(
            "source and target", f"{source.shape} and {target.shape}", "the same 2 points or more"
        )
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    s, t = source - source_mean[..., None, :], target - target_mean[..., None, :]
    spread = (s**2).sum((-2, -1))
    if not (spread > 0).all():
        raise InputError("source", "points that all coincide", "at least 2 different points")
    real = (s * t).sum((-2, -1)) / spread
    imaginary = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / spread
    linear = np.stack([np.stack([real, -imaginary], -1), np.stack([imaginary, real], -1)], -2)
    shift = target_mean - (linear @ source_mean[..., None])[..., 0]
    return np.concatenate([linear, shift[..., None]], -1)


def apply_transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Move points by affine matrices.

    Parameters
    ----------
    points:
        ``(..., N, 2)``.
    matrix:
        ``(..., 2, 3)``, its leading axes broadcasting against those of ``points``.

    Returns
    -------
    ``(..., N, 2)`` in the points' own floating type (float64 where they were integers).
    """
    points, matrix = np.asarray(points), np.asarray(matrix, np.float64)
    if points.shape[-1:] != (2,) or points.ndim < 2:
        raise InputError("points", f"shape {points.shape}", "shape (..., N, 2)")
    if matrix.shape[-2:] != (2, 3):
        raise InputError("matrix", f"shape {matrix.shape}", "shape (..., 2, 3)")
    kind = points.dtype if np.issubdtype(points.dtype, np.floating) else np.dtype(np.float64)
    moved = points.astype(np.float64) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return moved.astype(kind)


def compose(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """``(2, 3)``: the affine matrix that does what ``before`` does and then what ``after`` does."""
    return after @ np.vstack([before, [0, 0, 1]])


def invert_transform(matrix: np.ndarray) -> np.ndarray:
    """float64 ``(..., 2, 3)``: the affine matrices that undo ``matrix`` ``(..., 2, 3)``."""
    matrix = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], -1)


def align(landmarks: np.ndarray, template: Template = OURS) -> tuple[np.ndarray, np.ndarray]:
    """Lay nose and eyes (points 27-47) of each face on a template by a similarity transform.

    Position, size and roll of the head vanish. What turns out of the picture plane (yaw, pitch) stays, and so
    do mouth, jaw and brows.

    Parameters
    ----------
    landmarks:
        ``(..., 68, 2)`` in pixels of any picture; each face is aligned by itself.
    template:
        Of the crop.

    Returns
    -------
    aligned:
        float32 ``(..., 68, 2)`` in pixels of the 128 x 128 crop.
    matrix:
        float64 ``(..., 2, 3)``, picture to crop; hand it to :func:`warp_crop`.

    Raises
    ------
    InputError
        When the shape is wrong, a value is not finite, or the points of the template all coincide.
    """
    landmarks = _check_points("landmarks", landmarks, N_POINTS)
    matrix = similarity_transform(landmarks[..., template.points, :], template.places)
    return apply_transform(landmarks, matrix).astype(np.float32), matrix


def warp_crop(image: np.ndarray, matrix: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """Cut the aligned face out of a picture, without aliasing when the picture is larger than the crop.

    Parameters
    ----------
    image:
        uint8 ``(H, W, 3)`` or ``(H, W)``.
    matrix:
        ``(2, 3)`` from picture to crop, as :func:`align` gives it.
    size:
        Side of the crop in pixels. At 256 the crop shows the same piece of the picture at twice the size.

    Returns
    -------
    uint8 ``(size, size, 3)`` (or ``(size, size)``); outside the picture its edge is continued.

    Raises
    ------
    InputError
        When the picture is not uint8 or the matrix cannot be inverted.
    """
    image, matrix = np.asarray(image), np.asarray(matrix, np.float64)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise InputError("image", f"{image.dtype} {image.shape}", "a uint8 picture (H, W, 3)")
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        raise InputError("matrix", matrix.tolist(), "an invertible 2 x 3 matrix")
    matrix = magnify(size / CROP_SIZE) @ np.vstack([matrix, [0, 0, 1]])
    shrink = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    # one sample per pixel of the picture, then the mean of each block: a crop that shrinks must not alias
    factor = int(np.clip(np.ceil(shrink - 1e-6), 1, 16))
    fine = magnify(factor) @ np.vstack([matrix, [0, 0, 1]])
    crop = cv2.warpAffine(
        image, fine, (size * factor, size * factor), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return crop if factor == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)


def magnify(factor: float) -> np.ndarray:
    """float64 ``(2, 3)``: coordinates in a picture resized by ``factor``, pixel centres at integers.

    The corner of the picture lies at (-1/2, -1/2) before and after.
    """
    return np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2]])


def normalise(landmarks: Array) -> Array:
    """Pixels of the 128 x 128 crop to the units networks see: ``(px - 64) / 64``; the crop spans [-1, 1].

    NumPy arrays and torch tensors of any shape.
    """
    return (landmarks - CROP_SIZE / 2) / (CROP_SIZE / 2)


def denormalise(landmarks: Array) -> Array:
    """Undo :func:`normalise`: network units to pixels of the crop. NumPy arrays and torch tensors."""
    return landmarks * (CROP_SIZE / 2) + CROP_SIZE / 2


def mirror(landmarks: Array, width: int = CROP_SIZE) -> Array:
    """The landmarks of the mirrored picture: ``x -> width - 1 - x``, and left and right points change names.

    Parameters
    ----------
    landmarks:
        ``(..., 68, 2)`` in pixels, NumPy or torch.
    width:
        Width of the picture in pixels.
    """
    mirrored = landmarks[..., MIRRORED.tolist(), :]
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def lip_opening(landmarks: Array) -> Array:
    """How far the lips are apart: the mean vertical gap of the inner lips at 61-67, 62-66 and 63-65.

    Parameters
    ----------
    landmarks:
        ``(..., 68, 2)``, NumPy or torch, in pixels of the aligned crop.

    Returns
    -------
    ``(...)`` in the units of the landmarks; 0 for closed lips, negative where the lower lies over the upper.
    """
    return (landmarks[..., [67, 66, 65], 1] - landmarks[..., [61, 62, 63], 1]).mean(-1)


def mouth_centred(landmarks: Array) -> Array:
    """``(..., 20, 2)``: the mouth points of ``(..., 68, 2)`` landmarks minus their mean. NumPy or torch."""
    mouth = landmarks[..., MOUTH, :]
    return mouth - mouth.mean(-2)[..., None, :]


def draw_landmarks(
    landmarks: np.ndarray,
    size: int = CROP_SIZE,
    *,
    image: np.ndarray | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    colours: Mapping[str, tuple[int, int, int]] = COLOURS,
    thickness: float = 1.2,
) -> np.ndarray:
    """Draw faces as smooth coloured lines.

    Parameters
    ----------
    landmarks:
        ``(..., 68, 2)`` in pixels of the 128 x 128 crop.
    size:
        Side of each drawing in pixels; the crop is magnified to fill it.
    image:
        uint8 ``(..., size, size, 3)`` to draw on instead of ``background``; it is not changed.
    background:
        RGB.
    colours:
        RGB of each group of :data:`GROUPS`.
    thickness:
        Of the lines, in pixels of the 128 x 128 crop.

    Returns
    -------
    uint8 ``(..., size, size, 3)``.
    """
    landmarks = _check_points("landmarks", landmarks, N_POINTS)
    shape = (*landmarks.shape[:-2], size, size, 3)
    if image is not None and (image.dtype != np.uint8 or image.shape != shape):
        raise InputError("image", f"{image.dtype} {image.shape}", f"uint8 {shape}")
    drawings = np.empty(shape, np.uint8)
    drawings[...] = background if image is None else image
    # OpenCV antialiases thin lines poorly: draw at twice the size, then average blocks
    fine = 2
    places = apply_transform(landmarks, magnify(fine * size / CROP_SIZE)).reshape(-1, N_POINTS, 2)
    width = max(1, round(thickness * fine * size / CROP_SIZE))
    for drawing, points in zip(drawings.reshape(-1, size, size, 3), places):
        canvas = cv2.resize(drawing, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
        for group, indices in LINES:
            curve = np.rint(smooth_curve(points[list(indices)]) * 2**_SHIFT).astype(np.int32)
            cv2.polylines(canvas, [curve], False, colours[group], width, cv2.LINE_AA, _SHIFT)
        drawing[...] = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return drawings


def smooth_curve(points: np.ndarray, per_segment: int = 6) -> np.ndarray:
    """``((N - 1) * per_segment + 1, 2)``: a Catmull-Rom curve through ``(N, 2)`` points, with them on it."""
    points = np.asarray(points, np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    u = np.arange(per_segment)[:, None] / per_segment
    curve = 0.5 * (
        2 * start
        + (end - before) * u
        + (2 * before - 5 * start + 4 * end - after) * u**2
        + (3 * start - before - 3 * end + after) * u**3
    )
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


_SHIFT = 4
"""Bits after the point in the coordinates that OpenCV draws with."""


def _check_points(name: str, points: np.ndarray, count: int | None = None) -> np.ndarray:
    points = np.asarray(points, np.float64)
    wanted = "N" if count is None else count
    if points.ndim < 2 or points.shape[-1] != 2 or (count is not None and points.shape[-2] != count):
        raise InputError(name, f"shape {points.shape}", f"shape (..., {wanted}, 2)")
    if not np.isfinite(points).all():
        raise InputError(name, "values that are NaN or infinite", "finite numbers")
    return points
