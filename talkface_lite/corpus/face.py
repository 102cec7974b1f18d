"""From identity, articulation and motion to 68 points: the geometry of the drawn corpus, exact.

The neutral face (:mod:`talkface_lite.corpus.head`) is moved by the seven articulation channels, by blinks
and by brows, turned by the pose of the head, projected with mild perspective to the camera view, and aligned
frame by frame with the same similarity transform on nose and eyes (points 27-47) that filmed faces get.
"""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from talkface_lite.corpus.head import FIELDS, MIDDLE, Head, lip_points, neutral_head
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.motion import Motion
from talkface_lite.errors import InputError
from talkface_lite.framing import head_frame
from talkface_lite.landmarks import align, apply_transform

__all__ = ["CAMERA_SIZE", "FaceGeometry", "Identity", "Motion", "face_points"]

N_CHANNELS = 7
"""Articulation channels: jaw, width, rounding, upper_lip, lower_lip, tongue, teeth."""
CAMERA_SIZE = 256
"""Side of the camera view in which :attr:`FaceGeometry.camera_landmarks` are given, pixels."""
CAMERA_SCALE = 0.94
"""Pixels of the camera view to one template pixel at the depth of the neck."""
CAMERA_DISTANCE = 620.0
"""Of the viewer from the head, template pixels (about 1 m)."""
PIVOT = np.array([MIDDLE, 100.0, -14.0])
"""The head turns about this point, at the top of the neck."""
FOCUS = np.array([MIDDLE, 62.0])
"""The optical axis meets the neutral face here ..."""
CAMERA_CENTRE = np.array([127.5, 116.0])
"""... and the camera view here."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceGeometry:
    """The moving geometry of one clip.

    Attributes
    ----------
    landmarks:
        float32 ``(T, 68, 2)``, pixels of the aligned 128x128 crop.
    camera_landmarks:
        float32 ``(T, 68, 2)``, pixels of the 256x256 camera view.
    matrix:
        float64 ``(T, 2, 3)``: camera view to crop, a similarity for each frame.
    head_matrix:
        float64 ``(2, 3)``: camera view to the head's frame, the same for all frames of the clip
        (:func:`talkface_lite.framing.head_frame`).
    points:
        float64 ``(T, 68, 3)``: template pixels, moved but not yet turned.
    rotation:
        float64 ``(T, 3, 3)``.
    movement:
        float64 ``(T, 6)``: amounts of :data:`talkface_lite.corpus.head.FIELDS`.
    articulation, motion:
        What the points were moved by.
    """

    identity: Identity
    head: Head = field(repr=False)
    landmarks: np.ndarray
    camera_landmarks: np.ndarray
    matrix: np.ndarray
    head_matrix: np.ndarray
    points: np.ndarray
    rotation: np.ndarray
    movement: np.ndarray
    articulation: np.ndarray
    motion: Motion

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.landmarks)

    def __getitem__(self, frames: slice) -> "FaceGeometry":
        """The geometry of some of the frames."""
        moving = ("landmarks", "camera_landmarks", "matrix", "points", "rotation", "movement", "articulation")
        motion = Motion(**{item.name: getattr(self.motion, item.name)[frames] for item in fields(Motion)})
        return replace(self, motion=motion, **{name: getattr(self, name)[frames] for name in moving})

    @property
    def head_landmarks(self) -> np.ndarray:
        """float32 ``(T, 68, 2)``, pixels of the 128x128 frame in which the head moves."""
        return apply_transform(self.camera_landmarks, self.head_matrix)

    def project(self, points: np.ndarray, frames: slice | int = slice(None)) -> np.ndarray:
        """Points of the head ``(T, N, 3)`` or ``(N, 3)``, template px, to the camera view ``(T, N, 2)``."""
        return _project(points, self.rotation[frames], self.motion.shift[frames])


def face_points(identity: Identity, articulation: np.ndarray, motion: Motion) -> FaceGeometry:
    """Move, turn, project and align the 68 points of a face.

    Parameters
    ----------
    identity:
        Whose face.
    articulation:
        ``(T, 7)``: jaw 0..1, width -1..1, rounding 0..1, upper_lip -1..1, lower_lip -1..1, tongue 0..1,
        teeth 0..1. Zeros are a relaxed closed mouth. Values outside are clipped.
    motion:
        ``T`` frames of pose, blinks, gaze and brows.

    Returns
    -------
    FaceGeometry

    Raises
    ------
    InputError
        When the shapes do not fit or a value is not finite.
    """
    articulation = _check(articulation, len(motion))
    head = neutral_head(identity)
    movement = _movement(articulation, motion)
    points = np.repeat(head.landmarks[None], len(motion), axis=0)
    points[:, :27] += np.tensordot(movement, head.fields, axes=(1, 1))
    points[:, 36:48] = _close_eyes(head.landmarks[36:48], motion.blink)
    points[:, 48:] = lip_points(head, articulation)
    rotation = _rotation(motion.pose)
    camera = _project(points, rotation, motion.shift)
    aligned, matrix = align(camera)
    return FaceGeometry(
        identity=identity,
        head=head,
        landmarks=aligned.astype(np.float32),
        camera_landmarks=camera.astype(np.float32),
        matrix=matrix,
        head_matrix=head_frame(camera),
        points=points,
        rotation=rotation,
        movement=movement,
        articulation=articulation,
        motion=motion,
    )


def _check(articulation: np.ndarray, n_frames: int) -> np.ndarray:
    articulation = np.asarray(articulation, dtype=np.float64)
    if articulation.shape != (n_frames, N_CHANNELS):
        raise InputError("articulation", f"shape {articulation.shape}", f"shape ({n_frames}, {N_CHANNELS})")
    if not np.isfinite(articulation).all():
        raise InputError("articulation", "values that are NaN or infinite", "finite numbers")
    low = np.array([0, -1, 0, -1, -1, 0, 0])
    return np.clip(articulation, low, 1)


def _movement(articulation: np.ndarray, motion: Motion) -> np.ndarray:
    jaw, width, rounding, upper, lower, *_ = articulation.T
    columns = (jaw, lower, upper, width - 1.4 * rounding, motion.brows[:, 0], motion.brows[:, 1])
    movement = np.stack(columns, axis=1).astype(np.float64)
    assert movement.shape[1] == len(FIELDS)
    return movement


def _close_eyes(eyes: np.ndarray, blink: np.ndarray) -> np.ndarray:
    """``(T, 12, 3)``: the upper lids come down to where the lower lids have risen a little."""
    closed = np.repeat(eyes[None], len(blink), axis=0)
    for column, first in ((0, 0), (1, 6)):
        upper, lower = [first + 1, first + 2], [first + 5, first + 4]
        amount = blink[:, column].astype(float)[:, None, None]
        meeting = eyes[upper] + 0.84 * (eyes[lower] - eyes[upper])
        closed[:, upper] += amount * (meeting - eyes[upper])
        closed[:, lower] += amount * (meeting - eyes[lower])
    return closed


def _rotation(pose: np.ndarray) -> np.ndarray:
    """``(T, 3, 3)``: turn by yaw, then nod by pitch, then tilt by roll."""
    cos_yaw, cos_pitch, cos_roll = np.cos(pose.astype(np.float64)).T
    sin_yaw, sin_pitch, sin_roll = np.sin(pose.astype(np.float64)).T
    turn, nod, tilt = np.zeros((3, len(pose), 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = cos_yaw
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = sin_yaw, -sin_yaw, 1
    nod[:, 1, 1] = nod[:, 2, 2] = cos_pitch
    nod[:, 1, 2], nod[:, 2, 1], nod[:, 0, 0] = sin_pitch, -sin_pitch, 1
    tilt[:, 0, 0] = tilt[:, 1, 1] = cos_roll
    tilt[:, 1, 0], tilt[:, 0, 1], tilt[:, 2, 2] = sin_roll, -sin_roll, 1
    return tilt @ nod @ turn


def _project(points: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points - PIVOT, -1, 0)
    turn = rotation[..., None]
    across, down, near = (
        turn[..., row, 0, :] * x + turn[..., row, 1, :] * y + turn[..., row, 2, :] * z + PIVOT[row]
        for row in range(3)
    )
    scale = CAMERA_SCALE * CAMERA_DISTANCE / (CAMERA_DISTANCE - near)
    right = CAMERA_CENTRE[0] + scale * (across - FOCUS[0]) + CAMERA_SCALE * shift[..., 0, None]
    low = CAMERA_CENTRE[1] + scale * (down - FOCUS[1]) + CAMERA_SCALE * shift[..., 1, None]
    return np.stack([right, low], axis=-1)
