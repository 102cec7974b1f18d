"""A photograph to the 68 points of the face in it, by face-alignment's networks or by dlib's trees.

face-alignment (Bulat and Tzimiropoulos 2017) finds faces with S3FD and points with FAN; its weights, about
180 MB, lie in torch.hub's cache or are fetched there once. dlib finds faces with histograms of gradients and
points with regression trees (Kazemi and Sullivan 2014); the model file that a package carries is licensed for
non-commercial use.
"""

import sys
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

from talkface_lite.clip import CROP_SIZE
from talkface_lite.errors import InputError
from talkface_lite.faces.boxes import SAME_FACE, Face, around, lay_box, overlap, shrunk, width
from talkface_lite.files import whole_file
from talkface_lite.landmarks import align, apply_transform, compose, invert_transform, magnify, warp_crop
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


@dataclass(frozen=True)
class _Backend:
    """A detector: a picture to scored boxes, a picture and a box to points."""

    name: str
    find: Callable[[np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` to ``(N, 5)``: left, top, right, bottom, score."""
    points: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` and a box ``(4,)`` to ``(68, 2)``."""
    glance: Callable[[np.ndarray], np.ndarray] | None = None
    """As ``find``, but cheap, and blind to small faces; None where ``find`` has no cheaper form."""
    again: Callable[[np.ndarray, Face], Face | None] | None = None
    """A frame and a face of the frame before to that face now (see :meth:`FilmFaces.again`), in fewer looks
    than ``find`` and ``points``; None where those have to do."""


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


def _points(backend: _Backend, image: np.ndarray, box: np.ndarray) -> np.ndarray:
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


def _backend(detector: str) -> _Backend:
    return _dlib() if choose_detector(detector) == "dlib" else _face_alignment(device(), _cache())


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
        return _choose(_cache())
    if detector == "dlib":
        return _dlib().name
    _fetch_missing(_cache())
    return detector


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
_FILM_BOXES = (((64, 71), 98), ((61.5, 73), 92), ((66.5, 69), 104))
"""As many as a film has time for. Points tremble by 0.08 px of the crop instead of 0.04, and a mean over time
follows."""
_FAST = 0.03
"""Mean shift in distances between the outer corners of the eyes from which the boxes are laid anew."""
_REGION = magnify(2) @ np.array([[1, 0, 24], [0, 1, 24], [0, 0, 1]])
_REGION_SIDE = 2 * (CROP_SIZE + 2 * 24)
"""From the aligned crop to the part of a film's frame that is searched: 24 px more all round, doubled."""
_DOUBT = -0.25
"""The least score of a face that was there one frame ago; a face found out of nothing has 0 or more."""


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

    def find(image: np.ndarray, magnified: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
        image, factor = shrunk(image, 1024)
        # its window is 80 px: faces of 40 and of 20 px need the picture at 2 and 4 times its size
        for upsample in magnified:
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
        found = [in_box(image, lay_box(to_image, c, w)) for c in _BOX_CENTRES for w in _BOX_WIDTHS]
        return np.mean(found, axis=0)

    def glance(image: np.ndarray) -> np.ndarray:
        return find(image, (0,))

    def again(image: np.ndarray, face: Face) -> Face | None:
        # laid as the last points say, the face is upright, in the middle and of one size: the detector has
        # little to search, and a head may lean further than in a photograph
        part, corner = around(image, face.box)
        if part.size == 0:
            return None
        to_region = compose(_REGION, align(face.points - np.float32(corner))[1])
        as_crop = compose(invert_transform(magnify(_REGION_SIDE / CROP_SIZE)), to_region)
        region = warp_crop(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), as_crop, _REGION_SIDE)
        half = cv2.resize(region, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        seen, _, _ = detector.run(half, 0, _DOUBT)
        boxes = np.array([(b.left(), b.top(), b.right(), b.bottom()) for b in seen], float).reshape(-1, 4)
        expected = lay_box(_REGION, _BOX_CENTRES[0], _BOX_WIDTHS[1])
        if not (overlap(2 * boxes + 0.5, expected) >= SAME_FACE).any():
            return None
        before = apply_transform(face.points - np.float32(corner), to_region)
        for _ in range(2):
            to_face = invert_transform(align(before)[1])
            found = np.mean([in_box(region, lay_box(to_face, *place)) for place in _FILM_BOXES], axis=0)
            shift = np.linalg.norm(found - before, axis=-1).mean() / np.linalg.norm(before[45] - before[36])
            if shift < _FAST:
                break
            before = found
        points = apply_transform(found, invert_transform(to_region)) + corner
        box = lay_box(invert_transform(align(points)[1]), _BOX_CENTRES[0], _BOX_WIDTHS[1])
        return Face(box, points.astype(np.float32))

    return _Backend("dlib", find, points, glance, again)


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
    with urllib.request.urlopen(url, timeout=20) as response, whole_file(path) as file:
        while block := response.read(1 << 20):
            file.write(block)
        size, expected = file.tell(), response.headers.get("Content-Length")
        if expected is not None and int(expected) != size:
            raise ValueError(f"{size} of {expected} bytes")


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
        image, factor = shrunk(image, 640)
        boxes = np.array(model.face_detector.detect_from_image(image), np.float64).reshape(-1, 5)
        return boxes * (factor, factor, factor, factor, 1)

    def points(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        # plain floats: it writes them into torch tensors, which take no float32 of NumPy's
        return model.get_landmarks_from_image(image, detected_faces=[[float(edge) for edge in box]])[0]

    return _Backend("face-alignment", find, points)
