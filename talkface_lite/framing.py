"""How pictures of a face are cut: anew for each frame, or once for a clip, so that the head is seen to move.

Aligned crops (:func:`talkface_lite.landmarks.align`) lay nose and eyes of every frame on one template: place,
size and tilt of the head are gone, and what the lips do is left. The looser frame of this module is one
similarity for a whole clip: it lays the *mean* of nose and eyes on the template, shrinks by a third and shows
the whole head, whose movements stay. Wang et al. crop 300×300 pixels "around the talking head" and leave the
contour "without calibration" ({cite}`wang2020attentional`, sections 3.1 and 4.1).

Landmarks of either frame are in pixels of a 128×128 picture, whatever the side of the pictures.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from talkface_lite.clip import ALIGNED, CAMERA, CROP_SIZE, HEAD, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import (
    ANCHORS,
    OURS,
    TEMPLATE,
    Template,
    align,
    apply_transform,
    compose,
    magnify,
    similarity_transform,
    warp_crop,
)

HEAD_SCALE = 2 / 3
"""Pixels of the head's frame to one of the aligned crop."""
HEAD_CENTRE = (64.0, 56.0)
"""What the head's frame has in its middle, pixels of the aligned crop: room for hair above, neck below."""

TO_HEAD: np.ndarray = HEAD_SCALE * np.eye(2, 3)
"""float64 ``(2, 3)``: pixels of the aligned crop to those of the head's frame, for a head in mean pose."""
TO_HEAD[:, 2] = CROP_SIZE / 2 - HEAD_SCALE * np.array(HEAD_CENTRE)
TO_HEAD.flags.writeable = False

WHOLE_HEAD = Template(ANCHORS, apply_transform(TEMPLATE, TO_HEAD))
"""Where the head's frame has nose and eyes."""

TEMPLATES: Mapping[str, Template] = MappingProxyType({ALIGNED: OURS, HEAD: WHOLE_HEAD})
"""How a single photograph is cut, by the name of the framing."""


def head_frame(landmarks: np.ndarray) -> np.ndarray:
    """The looser frame of a clip: one similarity for all of its frames.

    Parameters
    ----------
    landmarks:
        ``(T, 68, 2)`` in pixels of any picture that does not move.

    Returns
    -------
    float64 ``(2, 3)``, picture to 128×128 frame; hand it to :func:`talkface_lite.landmarks.warp_crop`.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 3 or len(landmarks) == 0:
        raise InputError("landmarks", f"shape {landmarks.shape}", "(T, 68, 2), T at least 1")
    return similarity_transform(landmarks[:, WHOLE_HEAD.points].mean(axis=0), WHOLE_HEAD.places)


def in_frame(clip: Clip, framing: str, side: int | None = None) -> Clip:
    """A clip as another frame shows it.

    Parameters
    ----------
    clip:
        Its pictures must hold what is asked for: from an aligned clip no head's frame can be cut.
    framing:
        ``"aligned"`` or ``"head"``.
    side:
        Of the pictures, pixels; None: as large as the clip's, which a head's frame shows smaller.

    Returns
    -------
    The clip itself, where it is so already.

    Raises
    ------
    InputError
        When there is no such framing, or the clip has not what it shows.
    """
    if framing not in TEMPLATES:
        raise InputError("framing", repr(framing), " or ".join(TEMPLATES))
    has = None if clip.frames is None else clip.frames.shape[1]
    side = side or has
    if framing == clip.framing and side == has:
        return clip
    if framing == HEAD and clip.framing == ALIGNED:
        raise InputError("clip", "pictures of the aligned face alone", CUT_LOOSER)
    if framing == clip.framing:
        matrices = np.repeat(np.eye(2, 3)[None], len(clip), axis=0)
    elif framing == ALIGNED:
        _, matrices = align(clip.landmarks)
    else:
        matrices = np.repeat(head_frame(clip.landmarks)[None], len(clip), axis=0)
    frames = None
    if clip.frames is not None:
        # landmarks of a camera view are in its own pixels, others in those of a 128×128 picture
        frames = _cut(clip.frames, matrices, side, has if clip.framing == CAMERA else CROP_SIZE)
    landmarks = apply_transform(clip.landmarks, matrices).astype(np.float32)
    return replace(clip, frames=frames, landmarks=landmarks, framing=framing)


CUT_LOOSER = "clips that show the whole head (talkface corpus --view head, talkface prepare --view head)"
"""What is expected of clips where a head is to be seen to move."""


def aligned_film(frames: np.ndarray | None, landmarks: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """A film in the head's frame as aligned crops of 128×128, each frame by its own landmarks.

    Parameters
    ----------
    frames:
        uint8 RGB ``(T, side, side, 3)``, or None.
    landmarks:
        ``(T, 68, 2)``, pixels of the 128×128 frame.

    Returns
    -------
    frames, landmarks:
        uint8 ``(T, 128, 128, 3)`` or None; float32 ``(T, 68, 2)``.
    """
    moved, matrices = align(landmarks)
    if frames is None:
        return None, moved
    return _cut(frames, matrices, CROP_SIZE, CROP_SIZE), moved


def _cut(frames: np.ndarray, matrices: np.ndarray, side: int, known: int) -> np.ndarray:
    """Each frame cut out by its own matrix, which knows it as a picture of ``known`` pixels a side."""
    shrink = magnify(known / frames.shape[1])
    return np.stack([warp_crop(frame, compose(m, shrink), side) for frame, m in zip(frames, matrices)])
