"""Paint a drawn person, frame by frame: layers, back to front, each painted once and moved in every frame.

Background and body stand still in the camera view. Hair behind the head, ears and glasses are flat layers
that keep their distance from the face as the head turns. The face itself bends with its depth
(:mod:`talkface_lite.corpus.painter.warp`). Eyes and mouth are painted anew in every frame at the landmarks.
Pictures are painted at twice their size and averaged down.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE, FRAMING_OF
from talkface_lite.corpus.face import CAMERA_SIZE, FaceGeometry, Identity
from talkface_lite.corpus.head import neutral_head
from talkface_lite.corpus.painter.beard import paint_beard
from talkface_lite.corpus.painter.brush import Canvas, lay_over, layer, touched
from talkface_lite.corpus.painter.eyes import eye_curves, paint_eyes
from talkface_lite.corpus.painter.glasses import paint_glasses, paint_temples
from talkface_lite.corpus.painter.hair import paint_front_hair
from talkface_lite.corpus.painter.mouth import mouth_curves, paint_mouth
from talkface_lite.corpus.painter.scene import paint_background, paint_body, scene_to_camera
from talkface_lite.corpus.painter.sides import paint_back_hair, paint_sides
from talkface_lite.corpus.painter.skin import HEAD, paint_skin
from talkface_lite.corpus.painter.warp import CELL, fine_map, head_maps, plane_transforms, relief
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform

SUPERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat layer: its picture, where it lies and at which depth it stands."""

    picture: np.ndarray
    canvas: Canvas
    depth: float

    @classmethod
    def trimmed(cls, picture: np.ndarray, canvas: Canvas, depth: float) -> "Flat":
        """A layer without its empty margins."""
        part = touched(picture[..., 3])
        part = tuple(slice(max(cut.start - 1, 0), cut.stop + 1) for cut in part)
        part = (
            slice(part[0].start, min(part[0].stop, canvas.height)),
            slice(part[1].start, min(part[1].stop, canvas.width)),
        )
        return cls(np.ascontiguousarray(picture[part]), canvas.cut(part), depth)


@dataclass(frozen=True, eq=False)
class Layers:
    """What of an identity is painted once. Without hair behind the head the body is on the background."""

    background: np.ndarray
    body: np.ndarray | None
    back: Flat | None
    sides: Flat
    head: np.ndarray
    glasses: Flat | None
    relief: np.ndarray


@lru_cache(maxsize=4)
def paint_layers(identity: Identity) -> Layers:
    """Paint the layers of an identity (some tens of milliseconds); the last few are kept."""
    head = neutral_head(identity)
    rng = np.random.default_rng([identity.seed, 0xA27])
    skin, alpha = paint_skin(head, rng)
    colour, alpha = paint_beard(skin.copy(), alpha, head, rng)
    colour, alpha = paint_front_hair(colour, alpha, head, rng)
    back = paint_back_hair(head, rng)
    sides = paint_sides(head, skin, rng)
    glasses = paint_glasses(head)
    background, body = paint_background(head, rng), paint_body(head, rng)
    if back is None:
        lay_over(background, body)
        body = None
    return Layers(
        background=background,
        body=body,
        back=None if back is None else Flat.trimmed(*back),
        sides=Flat.trimmed(*sides),
        head=layer(colour, alpha),
        glasses=None if glasses is None else Flat.trimmed(*glasses),
        relief=relief(head),
    )


def paint(
    identity: Identity, geometry: FaceGeometry, t: int, view: str = "crop", size: int | None = None
) -> np.ndarray:
    """Paint one frame.

    Parameters
    ----------
    identity, geometry:
        Who, and how the face moves (:func:`talkface_lite.corpus.face.face_points`).
    t:
        The frame.
    view:
        ``"crop"``: the aligned face, in the coordinates of ``geometry.landmarks``. ``"head"``: the whole head
        in one frame for all of the geometry, in those of ``geometry.head_landmarks``. ``"camera"``: head and
        shoulders, in those of ``geometry.camera_landmarks``.
    size:
        Side of the picture in pixels, a multiple of 4; default 256 for the camera, 128 for the others.
        Another size shows the same view magnified.

    Returns
    -------
    uint8 RGB ``(size, size, 3)``

    Raises
    ------
    InputError
        When the frame, the view or the size is not one of those.
    """
    if not 0 <= t < len(geometry):
        raise InputError("frame", t, f"0..{len(geometry) - 1}")
    return next(_frames(identity, geometry, range(t, t + 1), view, size))


def paint_clip(
    identity: Identity, geometry: FaceGeometry, view: str = "crop", size: int | None = None
) -> np.ndarray:
    """Paint all frames, as :func:`paint` does: uint8 RGB ``(T, size, size, 3)``."""
    return np.stack(list(_frames(identity, geometry, range(len(geometry)), view, size)))


def view_transforms(geometry: FaceGeometry, view: str, size: int) -> np.ndarray:
    """float64 ``(T, 2, 3)``: the 256x256 camera view to pixels of a view painted at ``size``."""
    if view not in FRAMING_OF:
        raise InputError("view", repr(view), " or ".join(map(repr, FRAMING_OF)))
    if size < 32 or size % 4:
        raise InputError("size", size, "a multiple of 4, at least 32")
    first = geometry.matrix
    if view != "crop":
        first = np.repeat((np.eye(2, 3) if view == "camera" else geometry.head_matrix)[None], len(first), 0)
    factor = size / (CAMERA_SIZE if view == "camera" else CROP_SIZE)
    scaled = factor * first
    scaled[..., 2] += (factor - 1) / 2
    return scaled


def _frames(identity: Identity, geometry: FaceGeometry, frames: range, view: str, size: int | None):
    size = size or (CAMERA_SIZE if view == "camera" else CROP_SIZE)
    side = size * SUPERSAMPLING
    views = view_transforms(geometry, view, size)[frames.start : frames.stop] * SUPERSAMPLING
    views[..., 2] += (SUPERSAMPLING - 1) / 2
    part = _cut(geometry, frames)
    layers = paint_layers(identity)

    def to_view(points: np.ndarray) -> np.ndarray:
        return apply_transform(part.project(points), views)

    points = to_view(part.points)
    mouth = mouth_curves(identity, part, points[:, 48:], to_view)
    eyes = eye_curves(part, points[:, 36:48], to_view)
    maps = head_maps(part, layers.relief, views, -(-side // CELL) * CELL, HEAD)
    scene = _chain(views, scene_to_camera())
    flats = {
        name: plane_transforms(part, flat.canvas, flat.depth, views)
        for name in ("back", "sides", "glasses")
        if (flat := getattr(layers, name)) is not None
    }
    for t in range(len(part)):
        picture = cv2.warpAffine(
            layers.background, scene[t], (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        if layers.back is not None:
            _lay_flat(picture, layers.back.picture, flats["back"][t])
            _lay_flat(picture, layers.body, scene[t])
        _lay_flat(picture, layers.sides.picture, flats["sides"][t])
        _lay_head(picture, layers.head, maps[t])
        paint_eyes(picture, identity, eyes, t)
        paint_mouth(picture, identity, mouth, t, part.articulation[t])
        if layers.glasses is not None:
            paint_temples(picture, part, t, to_view)
            _lay_flat(picture, layers.glasses.picture, flats["glasses"][t])
        yield cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)[..., :3]


def _lay_flat(picture: np.ndarray, top: np.ndarray, transform: np.ndarray) -> None:
    """Lay a flat layer over the part of the picture that it covers."""
    height, width = top.shape[:2]
    corners = transform[:, :2] @ np.array([[0, width, 0, width], [0, 0, height, height]]) + transform[:, 2:]
    low = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(1)).astype(int) + 2, picture.shape[1::-1])
    if (high <= low).any():
        return
    moved = transform - np.column_stack([np.zeros((2, 2)), low])
    covering = cv2.warpAffine(top, moved, tuple(int(v) for v in high - low))
    lay_over(picture[low[1] : high[1], low[0] : high[0]], covering)


def _lay_head(picture: np.ndarray, top: np.ndarray, coarse: np.ndarray) -> None:
    """Lay the head over the part of the picture whose coarse map leads onto its canvas."""
    side = len(picture)
    on_canvas = ((coarse > -1) & (coarse < (top.shape[1], top.shape[0]))).all(-1)
    rows, columns = (np.flatnonzero(on_canvas.any(axis)) for axis in (1, 0))
    if not len(rows):
        return
    # node j lies at (j - 1/2) * CELL: one more cell on each side catches what lies between the nodes
    (y0, y1), (x0, x1) = (
        (max(int(at[0]) - 2, 0) * CELL, min((int(at[-1]) + 1) * CELL, side)) for at in (rows, columns)
    )
    window = fine_map(coarse, side)[y0:y1, x0:x1]
    lay_over(picture[y0:y1, x0:x1], cv2.remap(top, window, None, cv2.INTER_LINEAR))


def _chain(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine maps that do ``first`` and then each of ``second``."""
    linear = second[..., :2] @ first[..., :2]
    shift = second[..., :2] @ first[..., 2:] + second[..., 2:]
    return np.concatenate([linear, shift], axis=-1)


def _cut(geometry: FaceGeometry, frames: range) -> FaceGeometry:
    if len(frames) == len(geometry):
        return geometry
    return geometry[frames.start : frames.stop]
