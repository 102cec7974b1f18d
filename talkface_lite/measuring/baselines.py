"""What needs no learning: rows that stand beside every system, so that a figure has something to be held to.

The photograph held still; the mean face; a jaw that loudness opens; the clip's own mean picture, which only
an oracle has; and the photograph warped to landmarks by thin plates, the inside of the mouth dark.
"""

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.landmarks import JAW_FOLLOWS
from talkface_lite.networks.thin_plate import unlearned_warp
from talkface_lite.speech import loudness
from talkface_lite.systems.base import Shown

COPY, MEAN_MOUTH, LOUDNESS = "copy_photo", "mean_mouth", "loudness"
"""The photograph, unmoved; for landmarks the mean face of the training corpus; a jaw that loudness opens."""

MEAN_PICTURE = "mean_picture"
"""The mean of the clip's own pictures, held still: nobody could know it, and it says nothing. What is nearer
to the truth has moved with the speech."""

WARP = "warp_with_truth"
"""The unlearned warp of the photograph to the true landmarks."""

WARPED = "warped"
"""The same, to the landmarks that a system makes of the speech: a row of the system's."""

LOUD_DB, QUIET_DB = -3.0, -33.0
"""Of :func:`loudness_mouth`: from so much below the loudest frame of the clip on, the jaw is open as far as
it goes; at so much below, it is shut."""

SILENT_DB = -60.0
"""A clip whose loudest frame is below says nothing."""

WIDEST_OPENING = 5.0
"""How far the lower lip then is below where the photograph has it, pixels of the crop: about what real mouths
open at open vowels."""

SMOOTHED = np.array([0.25, 0.5, 0.25])
"""Weights of a frame and its neighbours."""


def baselines(clip: Clip, shown: int, mean_face: np.ndarray, pictures: bool, warp: bool) -> dict[str, Shown]:
    """The rows of one clip.

    Parameters
    ----------
    clip:
        With pictures where ``pictures`` are asked for.
    shown:
        The frame that is the photograph.
    mean_face:
        ``(68, 2)``, that of the training corpus.
    pictures:
        Whether those are wanted that have any.
    warp:
        Whether those too that are warped.
    """
    still = np.broadcast_to(clip.landmarks[shown], clip.landmarks.shape)
    opened = loudness_mouth(clip.landmarks[shown], clip.speech)
    rows = {
        MEAN_MOUTH: Shown(np.broadcast_to(mean_face, clip.landmarks.shape)),
        COPY: Shown(still, np.broadcast_to(clip.frames[shown], clip.frames.shape) if pictures else None),
        LOUDNESS: Shown(opened),
    }
    if pictures:
        mean = np.rint(clip.frames.mean(axis=0)).astype(np.uint8)
        rows[MEAN_PICTURE] = Shown(None, np.broadcast_to(mean, clip.frames.shape))
    if warp:
        rows[LOUDNESS] = Shown(opened, warped(clip, shown, opened))
        rows[WARP] = Shown(None, warped(clip, shown, clip.landmarks))
    return rows


def can_warp(clip: Clip) -> bool:
    """Whether the clip's pictures have the side that the warp knows."""
    return clip.frames is not None and clip.frames.shape[1:3] == (CROP_SIZE, CROP_SIZE)


def warped(clip: Clip, shown: int, landmarks: np.ndarray) -> np.ndarray:
    """The photograph moved to landmarks: uint8 ``(T, 128, 128, 3)``; where these are no numbers, unmoved."""
    known = np.isfinite(landmarks).all(axis=(1, 2))[:, None, None]
    landmarks = np.where(known, landmarks, clip.landmarks[shown])
    return unlearned_warp(clip.frames[shown], clip.landmarks[shown], landmarks)


def loudness_mouth(photograph: np.ndarray, speech: np.ndarray) -> np.ndarray:
    """Lips from loudness alone: the louder a frame beside the loudest, the farther the jaw is down.

    ``opening = WIDEST_OPENING * clip((level - loudest - QUIET_DB) / (LOUD_DB - QUIET_DB), 0, 1)``, with
    :func:`talkface_lite.speech.loudness` as the level, smoothed over three frames. A fixed rule: nothing in
    it is fitted, and it hears no difference between vowels.

    Parameters
    ----------
    photograph:
        ``(68, 2)``, pixels of the crop.
    speech:
        float32 ``(640·T,)``.

    Returns
    -------
    float32 ``(T, 68, 2)``: the photograph's face with its jaw so far down; in silence the photograph's.
    """
    level = loudness(speech)
    if level.max() < SILENT_DB:
        return np.repeat(photograph[None].astype(np.float32), len(level), axis=0)
    share = ((level - level.max() - QUIET_DB) / (LOUD_DB - QUIET_DB)).clip(0, 1)
    share = np.convolve(np.pad(share, 1, mode="edge"), SMOOTHED, mode="valid")
    moved = np.repeat(photograph[None].astype(np.float32), len(level), axis=0)
    for point, follows in JAW_FOLLOWS.items():
        moved[:, point, 1] += follows * WIDEST_OPENING * share
    return moved
