"""How the lips of a film move beside real ones: amplitude, onset, silence, and the way back to rest.

Every figure is of one clip. Landmarks come from a system or from a detector that looked at its film; a frame
in which the detector saw no face is NaN in all its points and counts nowhere. Distances are pixels of the
aligned 128×128 crop, and every mouth is moved to its own centre first, so that a head that stands elsewhere
costs nothing.
"""

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening, mouth_centred
from talkface_lite.metrics import correlation

LIP_FIGURES: tuple[str, ...] = (
    "opening_error",
    "opening_error_over_copy",
    "mouth_landmark_distance_over_copy",
    "motion_distance",
    "motion_distance_over_still",
)
"""How near: mean of ``|opening made - opening real|``, px, and over that of the photograph held still; the
mouth distance over the photograph's; the mouth distance after each clip's mean shape is taken off both (what
is left is motion), px, and over that of a mouth that stands still."""

AMPLITUDES: tuple[str, ...] = (
    "opening_mean",
    "opening_spread",
    "opening_p95",
    "width_mean",
    "width_spread",
)
"""How far: mean, standard deviation and 95th percentile over the clip of the lip opening, mean and standard
deviation of the mouth's width (48 to 54), px."""

MOVEMENTS: tuple[str, ...] = ("onset_jump", "silence_movement")
"""How the lips behave where no word is: the largest movement from one frame to the next within
:data:`ONSET_REACH` frames of the first sound, and the mean movement between frames in which nothing sounds,
px (mean over the 20 points)."""

BACK = "seconds_to_rest"
"""From the end of the last frame that sounds to the end of the first one after it whose mouth is within
:data:`AT_REST` px of the photograph's, seconds; none where the clip ends before."""

IS_BACK = "is_back_at_rest"
"""1 where it is back before the clip ends, 0 where not, none where the clip ends with the sound."""

AT_REST = 0.5
"""Mouth distance to the photograph below which a mouth is back, px."""

ONSET_REACH = 3
"""Frames before and after the first sound in which its jump is looked for."""

REST_WINDOW = 12
"""Frames, about half a second, among which :func:`rest_frame` chooses."""

_PIECE = SAMPLES_PER_FRAME // 2
SOUND_FLOOR, SOUND_QUANTILE, SOUND_ABOVE, SOUND_PIECES = -60.0, 0.2, 12.0, 3
"""The rule of :func:`sounding_frames`: dB, share, dB, and pieces of 20 ms."""


NOTHING = 1e-4
"""Pixels. What is less is how landmarks are rounded: a photograph held still misses a clip that does not move
by so much."""


def rest_frame(landmarks: np.ndarray) -> int:
    """The frame with the least lip opening among the first :data:`REST_WINDOW` of ``(T, 68, 2)``."""
    return int(np.argmin(lip_opening(landmarks[:REST_WINDOW])))


def mouth_width(landmarks: np.ndarray) -> np.ndarray:
    """``(...)``: distance of the corners of the mouth, 48 and 54 of ``(..., 68, 2)``, in their units."""
    return np.linalg.norm(landmarks[..., 54, :] - landmarks[..., 48, :], axis=-1)


def sounding_frames(clip: Clip) -> np.ndarray:
    """In which frames somebody speaks.

    Where the clip has words, a frame sounds that a word overlaps; else phonemes say so. Where it has neither,
    the sound does: its level in pieces of 20 ms, dB, is above the noise by :data:`SOUND_ABOVE` for at least
    :data:`SOUND_PIECES` pieces on end (60 ms; a click is shorter). The noise is the level that
    :data:`SOUND_QUANTILE` of the pieces do not exceed, and :data:`SOUND_FLOOR` at least. On 120 films of one
    GRID speaker that have word times, the first sound so found lies 0.07 s after the first word's beginning
    (median; 90 % within -0.02 and 0.28), and the last 0.05 s before the last word's end (-0.14 to 0.53:
    breath).

    Returns
    -------
    bool ``(T,)``.
    """
    spans = clip.words or clip.phonemes
    if spans:
        begins = np.arange(len(clip)) / FRAMES_PER_SECOND
        ends = begins + 1 / FRAMES_PER_SECOND
        overlaps = [(begins < span.end - 1e-6) & (ends > span.start + 1e-6) for span in spans]
        return np.any(overlaps, axis=0)
    pieces = clip.speech.reshape(-1, _PIECE).astype(np.float64)
    power = np.maximum(np.square(pieces).mean(axis=1), 1e-12)
    level = 10 * np.log10(power)
    loud = level > max(np.quantile(level, SOUND_QUANTILE), SOUND_FLOOR) + SOUND_ABOVE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < SOUND_PIECES:
            loud[start:stop] = False
    return loud.reshape(-1, 2).any(axis=1)


def movement(landmarks: np.ndarray) -> np.ndarray:
    """``(T - 1,)``: how far the mouth of ``(T, 68, 2)`` moves from frame to frame, mean over its points."""
    mouths = mouth_centred(np.asarray(landmarks, np.float64))
    return np.linalg.norm(np.diff(mouths, axis=0), axis=-1).mean(axis=-1)


def describe_lips(
    landmarks: np.ndarray, *, photograph: np.ndarray, sounds: np.ndarray, every_frame: bool = True
) -> dict[str, float]:
    """Amplitude and manner of one mouth, made or real.

    Parameters
    ----------
    landmarks:
        ``(T, 68, 2)``; frames that were not seen are NaN.
    photograph:
        ``(68, 2)``, the points of the frame that the film is made from.
    sounds:
        bool ``(T,)``, see :func:`sounding_frames`.
    every_frame:
        False where frames between these were left out: there is then no movement from one to the next, and
        :data:`MOVEMENTS`, :data:`BACK` and :data:`IS_BACK` are missing.

    Returns
    -------
    :data:`AMPLITUDES`, :data:`MOVEMENTS`, :data:`BACK`, :data:`IS_BACK`; NaN where nothing can be measured.

    Raises
    ------
    InputError
        When there are not as many ``sounds`` as frames.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if len(sounds) != len(landmarks):
        raise InputError(
            "sounds", f"{len(sounds)} frames", f"{len(landmarks)}, one for each of the landmarks"
        )
    opening, width = lip_opening(landmarks), mouth_width(landmarks)
    opening, width = opening[np.isfinite(opening)], width[np.isfinite(width)]
    nothing = float("nan")
    found = dict.fromkeys(AMPLITUDES, nothing)
    if len(opening):
        figures = (opening.mean(), opening.std(), np.quantile(opening, 0.95), width.mean(), width.std())
        found = dict(zip(AMPLITUDES, map(float, figures)))
    if not every_frame:
        return found
    moved = movement(landmarks)
    first = int(np.argmax(sounds)) if sounds.any() else 0
    near = moved[max(0, first - ONSET_REACH) : first + ONSET_REACH] if first else moved[:0]
    silent = moved[~sounds[:-1] & ~sounds[1:]]
    found["onset_jump"] = _over(np.max, near)
    found["silence_movement"] = _over(np.mean, silent)
    return found | _way_back(landmarks, photograph, sounds)


def _over(statistic: object, values: np.ndarray) -> float:
    """A statistic of the finite values, NaN where there is none."""
    values = values[np.isfinite(values)]
    return float(statistic(values)) if len(values) else float("nan")


def _way_back(landmarks: np.ndarray, photograph: np.ndarray, sounds: np.ndarray) -> dict[str, float]:
    nothing = {BACK: float("nan"), IS_BACK: float("nan")}
    last = len(sounds) - 1 - int(np.argmax(sounds[::-1]))
    away = _distance(landmarks[last + 1 :], photograph)
    if not sounds.any() or not np.isfinite(away).any():
        return nothing
    back = np.flatnonzero(away <= AT_REST)  # NaN compares as false
    if not len(back):
        return nothing | {IS_BACK: 0.0}
    return {BACK: float((back[0] + 1) / FRAMES_PER_SECOND), IS_BACK: 1.0}


def compare_lips(made: np.ndarray, real: np.ndarray, *, photograph: np.ndarray) -> dict[str, float]:
    """How near one mouth comes to the real one, and beside it the photograph held still and a still mouth.

    Parameters
    ----------
    made, real:
        ``(T, 68, 2)``; frames that are NaN in one of them are left out of both.
    photograph:
        ``(68, 2)``, seen as ``made`` and ``real`` are.

    Returns
    -------
    :data:`LIP_FIGURES` and ``lip_opening_correlation``; a perfect mouth has 0 in each of the former, the
    photograph held still 1 in each that is over the copy's. NaN where the real mouth never moves.
    """
    made, real = np.asarray(made, np.float64), np.asarray(real, np.float64)
    seen = np.isfinite(made).all(axis=(1, 2)) & np.isfinite(real).all(axis=(1, 2))
    if not seen.any():
        return dict.fromkeys((*LIP_FIGURES, "lip_opening_correlation"), float("nan"))
    made, real = made[seen], real[seen]
    error = np.abs(lip_opening(made) - lip_opening(real)).mean()
    error_of_copy = np.abs(lip_opening(photograph) - lip_opening(real)).mean()
    mouths = mouth_centred(made), mouth_centred(real)
    moving, truly = (mouth - mouth.mean(axis=0) for mouth in mouths)
    motion = np.linalg.norm(moving - truly, axis=-1).mean()
    still = np.linalg.norm(truly, axis=-1).mean()
    values = (
        float(error),
        ratio(error, error_of_copy),
        ratio(_distance(made, real).mean(), _distance(photograph, real).mean()),
        float(motion),
        ratio(motion, still),
    )
    return dict(zip(LIP_FIGURES, values)) | {
        "lip_opening_correlation": correlation(lip_opening(made), lip_opening(real))
    }


def ratio(value: float, to: float) -> float:
    """One figure over another, NaN where that is nothing: below :data:`NOTHING`."""
    return float(value / to) if to > NOTHING else float("nan")


def _distance(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The mouth distance of each frame, NaN where a frame is."""
    return np.linalg.norm(mouth_centred(made) - mouth_centred(real), axis=-1).mean(axis=-1)
