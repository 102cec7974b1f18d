"""A photograph to the 68 points of the face in it, by face-alignment's networks or by dlib's trees.

face-alignment (Bulat and Tzimiropoulos 2017) finds faces with S3FD and points with FAN; its weights, about
180 MB, lie in torch.hub's cache or are fetched there once. dlib finds faces with histograms of gradients and
points with regression trees (Kazemi and Sullivan 2014); the model file that a package carries is licensed for
non-commercial use.
"""

import os
import sys
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.landmarks import align, apply_transform, invert_transform, warp_crop
from talkface_lite.runtime import device

DETECTORS = ("auto", "face-alignment", "dlib")

SMALLEST_FACE = 40
"""Pixels. Below it the mouth is some 12 px wide, and its points are guesses."""

INSTALL = "pip install 'talkface_lite[dlib]', or a network connection to fetch face-alignment's weights once"


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
    box = _largest(_find(backend, image))
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
    return _find(_backend(detector), image)


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


@dataclass(frozen=True)
class _Backend:
    """A detector: a picture to scored boxes, a picture and a box to points."""

    name: str
    find: Callable[[np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` to ``(N, 5)``: left, top, right, bottom, score."""
    points: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` and a box ``(4,)`` to ``(68, 2)``."""


def _find(backend: _Backend, image: np.ndarray) -> np.ndarray:
    """Faces, the largest first. Those far less certain than the best one are more likely folds of cloth."""
    found = np.asarray(backend.find(image), np.float32).reshape(-1, 5)
    if len(found):
        found = found[found[:, 4] >= 0.25 * found[:, 4].max()]
    return found[np.argsort(-_width(found), kind="stable"), :4]


def _width(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0] + boxes[..., 3] - boxes[..., 1]) / 2


def _largest(boxes: np.ndarray) -> np.ndarray:
    if len(boxes) == 0:
        raise InputError("image", "no face", "a photograph of a face that looks at the camera")
    width = float(_width(boxes[0]))
    if width < SMALLEST_FACE:
        raise InputError("image", f"a face {width:.0f} px wide", f"a face of at least {SMALLEST_FACE} px")
    if len(boxes) > 1:
        warnings.warn(f"{len(boxes)} faces found; taking the largest, {width:.0f} px wide", stacklevel=3)
    return boxes[0]


def _points(backend: _Backend, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The points of the face in ``box``, found at one size whatever the photograph's.

    Both back ends round to whole pixels, so a small face is magnified first; a large one is shrunk, because
    both sample without smoothing.
    """
    magnification = 400 / _width(box)
    reach = 0.9 * _width(box)
    left, top = (int(max(0, np.floor(edge - reach))) for edge in box[:2])
    right, bottom = (int(np.ceil(edge + reach)) for edge in box[2:])
    region = image[top:bottom, left:right]
    size = [max(1, round(n * magnification)) for n in (region.shape[1], region.shape[0])]
    factor = np.array(size) / (region.shape[1], region.shape[0])
    way = cv2.INTER_AREA if magnification < 1 else cv2.INTER_CUBIC
    place = (box.reshape(2, 2) - (left, top) + 0.5) * factor - 0.5
    points = backend.points(
        np.ascontiguousarray(cv2.resize(region, size, interpolation=way)), place.reshape(4)
    )
    return ((points + 0.5) / factor - 0.5 + (left, top)).astype(np.float32)


def _shrunk(image: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """The image with no side over ``longest`` px, and how many old pixels a new one spans."""
    factor = max(1.0, max(image.shape[:2]) / longest)
    if factor == 1:
        return image, 1.0
    size = [max(1, round(n / factor)) for n in (image.shape[1], image.shape[0])]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


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


def _backend(detector: str) -> _Backend:
    if detector not in DETECTORS:
        raise InputError("detector", repr(detector), f"one of {', '.join(DETECTORS)}")
    if detector == "auto":
        detector = _choose(_cache())
    return _dlib() if detector == "dlib" else _face_alignment(device(), _cache())


@lru_cache
def _choose(cache: Path) -> str:
    try:
        _fetch_missing(cache)
        return "face-alignment"
    except InputError:
        if _dlib_model() is None or find_spec("dlib") is None:
            raise InputError(
                "detector 'auto'", "neither face-alignment's weights nor dlib", INSTALL
            ) from None
    return "dlib"


# --- dlib ---

_BOX_CENTRES = ((64, 71), (61, 71), (67, 71), (64, 68), (64, 74))
_BOX_WIDTHS = (90, 98, 106)
"""Where dlib's own boxes lie in the aligned crop: mean and about one deviation each way over 36 boxes of nine
photographs and film frames."""


def _dlib_model() -> Path | None:
    """dlib's 68-point model in ``face_recognition_models``; importing that would need pkg_resources."""
    found = find_spec("face_recognition_models")
    for folder in (found.submodule_search_locations if found else None) or ():
        path = Path(folder) / "models" / "shape_predictor_68_face_landmarks.dat"
        if path.is_file():
            return path
    return None


@lru_cache
def _dlib() -> _Backend:
    model = _dlib_model()
    if find_spec("dlib") is None or model is None:
        raise InputError(
            "detector 'dlib'", "no dlib or no 68-point model", "pip install 'talkface_lite[dlib]'"
        )
    import dlib

    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))

    def find(image: np.ndarray) -> np.ndarray:
        image, factor = _shrunk(image, 1024)
        # its window is 80 px: faces of 40 and of 20 px need the picture at 2 and 4 times its size
        for upsample in (0, 1, 2):
            boxes, scores, _ = detector.run(image, upsample, 0)
            if boxes:
                edges = [(b.left(), b.top(), b.right(), b.bottom()) for b in boxes]
                return np.column_stack([np.array(edges) * factor, scores])
        return np.empty((0, 5))

    def in_box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        shape = predictor(image, dlib.rectangle(*(int(edge) for edge in np.rint(box))))
        return np.array([(point.x, point.y) for point in shape.parts()], np.float64)

    def points(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        # the detector's boxes jump with its grid, and the trees follow: look again in boxes laid on the face
        # that was found, and take the mean; a shifted or resized photograph then gives the same points
        to_image = invert_transform(align(in_box(image, box))[1])
        scale = np.sqrt(np.linalg.det(to_image[:, :2]))
        found = []
        for centre in apply_transform(np.array(_BOX_CENTRES, np.float64), to_image):
            for width in _BOX_WIDTHS:
                half = np.array([width * scale / 2] * 2)
                found.append(in_box(image, np.concatenate([centre - half, centre + half])))
        return np.mean(found, axis=0)

    return _Backend("dlib", find, points)


# --- face-alignment ---


def _cache() -> Path:
    """Where face-alignment and torch.hub keep weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _weights(cache: Path) -> dict[str, tuple[str, Path]]:
    """Address and place of the weights of face detector and landmark network."""
    from face_alignment.api import models_urls as fan
    from face_alignment.detection.sfd.sfd_detector import models_urls as sfd

    addresses = {"faces": sfd["s3fd"], "points": fan["2DFAN-4"]}
    return {name: (url, cache / url.rsplit("/", 1)[-1]) for name, url in addresses.items()}


def _fetch_missing(cache: Path) -> None:
    """Bring weights that are not in the cache, or raise InputError soon where there is no network."""
    for url, path in _weights(cache).values():
        if path.is_file():
            continue
        if not _reachable(url):
            raise InputError(f"face-alignment's weights {path.name}", "no file and no network", INSTALL)
        print(f"fetching {path.name} into {cache}, once", file=sys.stderr)
        try:
            _fetch(url, path)
        except (OSError, ValueError) as error:
            raise InputError(url, f"a download that broke off ({error})", INSTALL) from error


def _reachable(url: str, seconds: float = 5) -> bool:
    answer: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                answer.append(True)
        except OSError:
            answer.append(False)

    # looking up a name has no time limit of its own, so it is left behind in a thread when it takes too long
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answer == [True]


def _fetch(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(url, timeout=20) as response:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                while block := response.read(1 << 20):
                    file.write(block)
                size = file.tell()
            expected = response.headers.get("Content-Length")
            if expected is not None and int(expected) != size:
                raise ValueError(f"{size} of {expected} bytes")
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


@lru_cache
def _face_alignment(device: str, cache: Path) -> _Backend:
    import pickle

    from face_alignment import FaceAlignment, LandmarksType

    _fetch_missing(cache)
    try:
        model = FaceAlignment(
            LandmarksType.TWO_D,
            device=device,
            face_detector="sfd",
            # by path it is loaded as plain tensors; without one it would be unpickled
            face_detector_kwargs={"path_to_detector": str(_weights(cache)["faces"][1])},
            compile=False,
        )
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        got = f"weights that do not load ({str(error).splitlines()[0]})"
        raise InputError(cache, got, "face-alignment's own; delete them to fetch them again") from error

    def find(image: np.ndarray) -> np.ndarray:
        image, factor = _shrunk(image, 640)
        boxes = np.array(model.face_detector.detect_from_image(image), np.float64).reshape(-1, 5)
        return boxes * (factor, factor, factor, factor, 1)

    def points(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        # plain floats: it writes them into torch tensors, which take no float32 of NumPy's
        return model.get_landmarks_from_image(image, detected_faces=[[float(edge) for edge in box]])[0]

    return _Backend("face-alignment", find, points)
