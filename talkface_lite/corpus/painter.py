"""Paint a drawn person, frame by frame: layers, back to front, each painted once and moved in every frame.

Background and body stand still in the camera view. Hair behind the head, ears and glasses are flat layers that keep
their distance from the face as the head turns. The face itself bends with its depth
(:mod:`talkface_lite.corpus.painter_warp`). Eyes and mouth are painted anew in every frame at the landmarks. Pictures
are painted at twice their size and averaged down.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from talkface_lite.clip import CROP_SIZE
from talkface_lite.corpus.brush import Canvas, layer, lay_over
from talkface_lite.corpus.face import CAMERA_SIZE, FaceGeometry, Identity
from talkface_lite.corpus.head import neutral_head
from talkface_lite.corpus.painter_beard import paint_beard
from talkface_lite.corpus.painter_eyes import eye_curves, paint_eyes
from talkface_lite.corpus.painter_hair import paint_back_hair, paint_front_hair, paint_sides
from talkface_lite.corpus.painter_glasses import paint_glasses, paint_temples
from talkface_lite.corpus.painter_mouth import mouth_curves, paint_mouth
from talkface_lite.corpus.painter_scene import SCENE, paint_background, paint_body, scene_to_camera
from talkface_lite.corpus.painter_skin import HEAD, paint_skin
from talkface_lite.corpus.painter_warp import CELL, fine_map, head_maps, plane_transforms, relief
from talkface_lite.errors import InputError
from talkface_lite.landmarks import apply_transform

SUPERSAMPLING = 2
VIEWS = ("crop", "camera")


@dataclass(frozen=True, eq=False)
class Flat:
    """A flat layer: its picture, where it lies and at which depth it stands."""

    picture: np.ndarray
    canvas: Canvas
    depth: float


@dataclass(frozen=True, eq=False)
class Layers:
    """Everything of an identity that is painted once."""

    background: np.ndarray
    body: np.ndarray
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
    colour, alpha = paint_beard(skin, alpha, head, rng)
    colour, alpha = paint_front_hair(colour, alpha, head, rng)
    back = paint_back_hair(head, rng)
    sides = paint_sides(head, skin, rng)
    glasses = paint_glasses(head)
    return Layers(
        background=paint_background(head, rng),
        body=paint_body(head, rng),
        back=None if back is None else Flat(*back),
        sides=Flat(*sides),
        head=layer(colour, alpha),
        glasses=None if glasses is None else Flat(*glasses),
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
        ``"crop"``: the aligned face, in the coordinates of ``geometry.landmarks``. ``"camera"``: head and
        shoulders, in the coordinates of ``geometry.camera_landmarks``.
    size:
        Side of the picture in pixels, a multiple of 4; default 128 for the crop and 256 for the camera. Another
        size shows the same view magnified.

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
    if view not in VIEWS:
        raise InputError("view", repr(view), " or ".join(map(repr, VIEWS)))
    if size < 32 or size % 4:
        raise InputError("size", size, "a multiple of 4, at least 32")
    first = geometry.matrix if view == "crop" else np.repeat(np.eye(2, 3)[None], len(geometry), axis=0)
    factor = size / (CROP_SIZE if view == "crop" else CAMERA_SIZE)
    scaled = factor * first
    scaled[..., 2] += (factor - 1) / 2
    return scaled


def _frames(identity: Identity, geometry: FaceGeometry, frames: range, view: str, size: int | None):  # noqa: ANN202
    size = size or (CROP_SIZE if view == "crop" else CAMERA_SIZE)
    side = size * SUPERSAMPLING
    views = view_transforms(geometry, view, size)[frames.start : frames.stop] * SUPERSAMPLING
    views[..., 2] += (SUPERSAMPLING - 1) / 2
    part = _cut(geometry, frames)
    layers = paint_layers(identity)

    def to_view(points: np.ndarray) -> np.ndarray:
        return apply_transform(part.project(points), views)

    points = to_view(part.points)
    mouth = mouth_curves(part, points[:, 48:], to_view)
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
            lay_over(picture, cv2.warpAffine(layers.back.picture, flats["back"][t], (side, side)))
        lay_over(picture, cv2.warpAffine(layers.body, scene[t], (side, side)))
        lay_over(picture, cv2.warpAffine(layers.sides.picture, flats["sides"][t], (side, side)))
        lay_over(picture, cv2.remap(layers.head, fine_map(maps[t], side), None, cv2.INTER_LINEAR))
        paint_eyes(picture, identity, eyes, t)
        paint_mouth(picture, identity, mouth, t, part.articulation[t])
        if layers.glasses is not None:
            paint_temples(picture, part, t, to_view)
            lay_over(picture, cv2.warpAffine(layers.glasses.picture, flats["glasses"][t], (side, side)))
        yield cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)[..., :3]


def _chain(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The affine maps that do ``first`` and then each of ``second``."""
    linear = second[..., :2] @ first[..., :2]
    shift = second[..., :2] @ first[..., 2:] + second[..., 2:]
    return np.concatenate([linear, shift], axis=-1)


def _cut(geometry: FaceGeometry, frames: range) -> FaceGeometry:
    if len(frames) == len(geometry):
        return geometry
    return geometry[frames.start : frames.stop]
