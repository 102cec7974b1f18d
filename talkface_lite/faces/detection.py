"""A photograph to the 68 points of the face in it, by one of two :mod:`~talkface_lite.faces.backends`."""

import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.faces.backends import (
    INSTALL,
    Backend,
    dlib_backend,
    dlib_model,
    face_alignment_backend,
    fetch_missing,
    weights_cache,
)
from talkface_lite.faces.boxes import SAME_FACE, Face, around, overlap, width
from talkface_lite.landmarks import align, warp_crop
from talkface_lite.runtime import device

DETECTORS = ("auto", "face-alignment", "dlib")

SMALLEST_FACE = 40
"""Pixels. Below it the mouth is some 12 px wide, and its points are guesses."""


def detect_landmarks(image: np.ndarray, detector: str = "auto") -> np.ndarray:
    """Find the 68 points of the largest face in a photograph.

    Parameters
    ----------
    image:
        uint8 RGB ``(H, W, 3)`` or grey ``(H, W)``.
    detector:
        ``"face-alignment"``, ``"dlib"``, or ``"auto"``: face-alignment where its weights are in torch.hub's
        cache or can be fetched, else dlib.

    Returns
    -------
    float32 ``(68, 2)``: x right, y down, in pixels of the image, pixel centres at integers, dlib/iBUG order.

    Warns
    -----
    UserWarning
        When there are several faces; the largest is taken.

    Raises
    ------
    InputError
        When the image is not a picture or is too small, has no face, or only one under 40 px; and when
        neither detector can be had.
    """
    image = _check_image(image)
    backend = _backend(detector)
    box = _largest(_find(backend.find, image))
    return _points(backend, image, box)


def detect_faces(image: np.ndarray, detector: str = "auto") -> np.ndarray:
    """Find the faces in a photograph.

    Parameters
    ----------
    image, detector:
        As in :func:`detect_landmarks`.

    Returns
    -------
    float32 ``(N, 4)``: left, top, right, bottom in pixels, the largest face first; N may be 0.
    """
    image = _check_image(image)
    return _find(_backend(detector).find, image)


def face_crop(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Align a face and cut it out.

    Parameters
    ----------
    image:
        uint8 ``(H, W, 3)``.
    landmarks:
        ``(68, 2)`` in pixels of the image, as :func:`detect_landmarks` gives them.

    Returns
    -------
    crop:
        uint8 ``(128, 128, 3)``.
    aligned:
        float32 ``(68, 2)`` in pixels of the crop.
    matrix:
        float64 ``(2, 3)``, image to crop.
    """
    aligned, matrix = align(landmarks)
    return warp_crop(image, matrix), aligned, matrix


class FilmFaces:
    """Faces of a film, frame by frame: cheaper than photographs, because a face stays about where it was.

    Nothing is remembered between calls; the caller hands over the face of the frame before.

    Parameters
    ----------
    detector:
        As in :func:`detect_landmarks`.

    Raises
    ------
    InputError
        When the detector cannot be had.
    """

    def __init__(self, detector: str = "auto") -> None:
        self._backend = _backend(detector)

    def find(self, image: np.ndarray, *, small: bool = True) -> np.ndarray:
        """Faces anywhere in the frame: float32 ``(N, 4)``, the largest first; N may be 0.

        ``small=False`` is many times faster where there is no face, and with dlib blind to faces under 80 px
        (in a picture over 1024 px, under 80 px when shrunk to that).
        """
        return _find(self._backend.find if small else self._backend.glance or self._backend.find, image)

    def first(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """The face in a box that :meth:`find` gave, or None where a second look does not see it."""
        return self.again(image, Face(box, _points(self._backend, image, box)))

    def points(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Landmarks of a box that :meth:`find` gave, without a second look: float32 ``(68, 2)``, pixels."""
        return _points(self._backend, image, box)

    def again(self, image: np.ndarray, face: Face) -> Face | None:
        """A face that is known from the frame before.

        Parameters
        ----------
        image:
            uint8 RGB ``(H, W, 3)``.
        face:
            The face in the frame before or after.

        Returns
        -------
        The face in this frame, or None where there is none at about that place and of about that size.
        """
        if self._backend.again is not None:
            return self._backend.again(image, face)
        region, (left, top) = around(image, face.box)
        if min(region.shape[:2]) < SMALLEST_FACE:
            return None
        boxes = _find(self._backend.find, np.ascontiguousarray(region)) + np.float32([left, top] * 2)
        same = overlap(boxes, face.box)
        if not (same >= SAME_FACE).any():
            return None
        box = boxes[same.argmax()]
        return Face(box, _points(self._backend, image, box))


def _find(find: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> np.ndarray:
    """Faces, the largest first. Those far less certain than the best one are more likely folds of cloth."""
    found = np.asarray(find(image), np.float32).reshape(-1, 5)
    if len(found):
        found = found[found[:, 4] >= 0.25 * found[:, 4].max()]
    return found[np.argsort(-width(found), kind="stable"), :4]


def _largest(boxes: np.ndarray) -> np.ndarray:
    if len(boxes) == 0:
        raise InputError("image", "no face", "a photograph of a face that looks at the camera")
    largest = float(width(boxes[0]))
    if largest < SMALLEST_FACE:
        raise InputError("image", f"a face {largest:.0f} px wide", f"a face of at least {SMALLEST_FACE} px")
    if len(boxes) > 1:
        warnings.warn(f"{len(boxes)} faces found; taking the largest, {largest:.0f} px wide", stacklevel=3)
    return boxes[0]


def _points(backend: Backend, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The points of the face in ``box``, found at one size whatever the photograph's.

    Both back ends round to whole pixels, so a small face is magnified first; a large one is shrunk, because
    both sample without smoothing.
    """
    magnification = 400 / width(box)
    region, (left, top) = around(image, box)
    size = [max(1, round(n * magnification)) for n in (region.shape[1], region.shape[0])]
    factor = np.array(size) / (region.shape[1], region.shape[0])
    way = cv2.INTER_AREA if magnification < 1 else cv2.INTER_CUBIC
    place = (box.reshape(2, 2) - (left, top) + 0.5) * factor - 0.5
    points = backend.points(
        np.ascontiguousarray(cv2.resize(region, size, interpolation=way)), place.reshape(4)
    )
    return ((points + 0.5) / factor - 0.5 + (left, top)).astype(np.float32)


def _check_image(image: np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        raise InputError("image", type(image).__name__, "a uint8 RGB array (H, W, 3)")
    if image.dtype == np.uint8 and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError("image", f"{image.dtype} {image.shape}", "a uint8 RGB array (H, W, 3)")
    if min(image.shape[:2]) < SMALLEST_FACE:
        got = f"a picture of {image.shape[1]} x {image.shape[0]} px"
        raise InputError("image", got, f"at least {SMALLEST_FACE} px each way")
    return np.ascontiguousarray(image)


def _backend(detector: str) -> Backend:
    return (
        dlib_backend()
        if choose_detector(detector) == "dlib"
        else face_alignment_backend(device(), weights_cache())
    )


def choose_detector(detector: str = "auto") -> str:
    """``"face-alignment"`` or ``"dlib"``: what ``detector`` stands for on this machine, sure to be there.

    Raises
    ------
    InputError
        As :func:`detect_landmarks`, when it cannot be had.
    """
    if detector not in DETECTORS:
        raise InputError("detector", repr(detector), f"one of {', '.join(DETECTORS)}")
    if detector == "auto":
        return _choose(weights_cache())
    if detector == "dlib":
        return dlib_backend().name
    fetch_missing(weights_cache())
    return detector


@lru_cache
def _choose(cache: Path) -> str:
    try:
        fetch_missing(cache)
        return "face-alignment"
    except InputError:
        if dlib_model() is None:
            raise InputError(
                "detector 'auto'", "neither face-alignment's weights nor dlib", INSTALL
            ) from None
    return "dlib"
