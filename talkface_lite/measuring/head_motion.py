"""How does a head move, and does it nod in time with what is said?

Films are looked at in the head's frame (:mod:`talkface_lite.framing`), one for a whole film, in which the
head can be seen to move; in aligned crops place, size and tilt are gone. Only points that neither speech nor
blinks move are read: the nose and the corners of the eyes.

The lag between nods and stressed syllables is where their cross-correlation is greatest. What is correlated
are *speeds*: that of the nose downwards and that of the curve of stress
(:func:`talkface_lite.corpus.nods.stress_signal`). A head also wanders, slowly and far; differences from
frame to frame make little of what is slow. The nose as a whole serves better than the pitch of
:func:`head_pose`: a nod moves it more than twice as far in the picture as against the eyes, and the mean of
nine points is calmer than one of them.
"""

from collections.abc import Iterable

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, N_POINTS
from talkface_lite.errors import InputError
from talkface_lite.landmarks import similarity_transform

POSE = ("x", "y", "log_size", "roll", "yaw", "pitch")
"""The columns of :func:`head_pose`."""

LONGEST_LAG = 12
"""Frames, about half a second: as far as a lag is looked for. Further off a nod meets the stress of the words
beside its own."""

STILL = 1e-4
"""Root mean square of speeds, pixels or heights of the curve of stress a frame, below which nothing moves."""

_NOSE, _NOSE_TIP = slice(27, 36), 30
_RIGHT_CORNERS, _LEFT_CORNERS = [36, 39], [42, 45]
_RIGID = [*range(27, 36), *_RIGHT_CORNERS, *_LEFT_CORNERS]


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Where a head is, how large, tilted and turned: float64 ``(T, 6)``, columns as in :data:`POSE`.

    x, y:
        The middle of the eyes, pixels of the frame.
    log_size:
        Logarithm of the size against the mean over the film: of the similarity that takes nose and corners of
        the eyes from their mean places to those of the frame. 0.01 is one per cent. Nods are seen in it: a
        nod of 5° brings the face nearer and makes it some 3 % larger.
    roll:
        Angle of the line through the eyes, radians, positive clockwise in the picture.
    yaw, pitch:
        By how much the tip of the nose departs along the line through the eyes and at right angles to it from
        where it is in the mean over the film, seen from the middle of the eyes, distances of the eyes.
        Positive to the right of the picture and down. *Not angles*, but about proportional to them, by a
        factor that is the person's own: noses are of different lengths.

    Parameters
    ----------
    landmarks:
        ``(T, 68, 2)`` in a frame that stays for the whole film, such as the head's. Frames with a NaN, where
        nobody saw a face, give rows of NaN.

    Raises
    ------
    InputError
        When the landmarks have another shape.
    """
    landmarks = _check(landmarks)
    pose = np.full((len(landmarks), len(POSE)), np.nan)
    seen = np.isfinite(landmarks).all(axis=(1, 2))
    if not seen.any():
        return pose
    points = landmarks[seen]
    right, left = points[:, _RIGHT_CORNERS].mean(axis=1), points[:, _LEFT_CORNERS].mean(axis=1)  # (T, 2)
    middle = (right + left) / 2
    across = (left - right) @ (1, 1j)  # (T,): the line through the eyes as a complex number
    nose = (points[:, _NOSE_TIP] - middle) @ (1, 1j) / across  # division undoes size and roll
    nose -= nose.mean()
    rigid = points[:, _RIGID]
    fitted = similarity_transform(rigid.mean(axis=0), rigid)[:, :, :2]  # (T, 2, 2)
    log_size = 0.5 * np.log(np.linalg.det(fitted))
    pose[seen] = np.column_stack([middle, log_size, np.angle(across), nose.real, nose.imag])
    return pose


def head_spread(landmarks: np.ndarray) -> dict[str, float]:
    """How much a head moves: the standard deviation over a film of each column of :func:`head_pose`, by name.

    Parameters
    ----------
    landmarks:
        See :func:`head_pose`. With fewer than two frames in which a face was seen all is NaN.
    """
    pose = head_pose(landmarks)
    seen = pose[np.isfinite(pose).all(axis=1)]
    spread = seen.std(axis=0) if len(seen) > 1 else np.full(len(POSE), np.nan)
    return dict(zip(POSE, spread.tolist()))


def nod_lag(landmarks: np.ndarray, stress: np.ndarray, longest: int = LONGEST_LAG) -> tuple[float, float]:
    """With what lag a head nods on what is stressed, and how faithfully.

    Parameters
    ----------
    landmarks:
        ``(T, 68, 2)``, see :func:`head_pose`. Frames in which nobody saw a face are filled in from their
        neighbours by straight lines.
    stress:
        ``(T,)``: a curve of bumps where syllables are stressed.
    longest:
        Lags up to so many frames before and after are tried, 1 to T - 1.

    Returns
    -------
    lag, correlation:
        Seconds, finer than a frame, positive where the head comes after the syllable; and the correlation
        there, -1..1. NaN and NaN where nothing is stressed or the head is still. At some lag the correlation
        is always greatest: in a clip of 3 s a drawn head that does not heed the speech reaches about 0.2, one
        in ten 0.5, one that nods about 0.9.

    Raises
    ------
    InputError
        When the shapes do not fit, the stress is not finite or ``longest`` is out of its range.
    """
    return peak_lag(*mean_cross_correlation([(landmarks, stress)], longest))


def mean_cross_correlation(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], longest: int = LONGEST_LAG
) -> tuple[np.ndarray, np.ndarray]:
    """The cross-correlation of nods and stress, mean over clips: what is chance in single ones averages out.

    Parameters
    ----------
    pairs:
        ``(landmarks, stress)`` of clips, see :func:`nod_lag`. Those without stress or motion do not count.
    longest:
        See :func:`nod_lag`.

    Returns
    -------
    lags, correlation:
        float64 ``(2 longest + 1,)`` each: seconds, positive where the head comes after the syllable, and the
        correlation, -1..1; NaN where no clip counts.

    Raises
    ------
    InputError
        See :func:`nod_lag`.
    """
    curves = [_cross_correlation(landmarks, stress, longest) for landmarks, stress in pairs]
    told = [curve for curve in curves if curve is not None]
    lags = np.arange(-longest, longest + 1) / FRAMES_PER_SECOND
    return lags, np.mean(told, axis=0) if told else np.full(len(lags), np.nan)


def peak_lag(lags: np.ndarray, correlation: np.ndarray) -> tuple[float, float]:
    """Where a curve such as :func:`mean_cross_correlation` is greatest, and how great.

    It is the top of the parabola through the greatest value and its two neighbours; at an end of the curve
    the value itself. NaN and NaN for a curve with a NaN.

    Parameters
    ----------
    lags, correlation:
        ``(N,)`` each, lags evenly spaced.
    """
    if not np.isfinite(correlation).all():
        return float("nan"), float("nan")
    at = int(correlation.argmax())
    if at in (0, len(correlation) - 1):
        return float(lags[at]), float(correlation[at])
    before, top, after = correlation[at - 1 : at + 2]
    # argmax takes the first of equals, so the curve bends down here and nothing divides by 0
    shift = 0.5 * (before - after) / (before - 2 * top + after)
    return float(lags[at] + shift * (lags[1] - lags[0])), float(top - 0.25 * (before - after) * shift)


def _cross_correlation(landmarks: np.ndarray, stress: np.ndarray, longest: int) -> np.ndarray | None:
    """``(2 longest + 1,)``: the correlation at each lag, where all beyond the ends of the film counts as 0.
    None without stress or motion."""
    landmarks, stress = _check(landmarks), np.asarray(stress, np.float64)
    n_frames = len(landmarks)
    if stress.shape != (n_frames,):
        raise InputError("stress", f"shape {stress.shape}", f"shape ({n_frames},), a value for each frame")
    if not np.isfinite(stress).all():
        raise InputError("stress", "values that are NaN or infinite", "finite numbers")
    if not 1 <= longest < n_frames:
        raise InputError("longest", longest, f"1 to {n_frames - 1} in a film of {n_frames} frames")
    nods, stresses = _speed(_nose_height(landmarks)), _speed(stress)
    size = np.sqrt((nods @ nods) * (stresses @ stresses))
    if not min(nods @ nods, stresses @ stresses) > n_frames * STILL**2:  # so that NaN counts as still
        return None
    # entry n_frames - 1 is lag 0; later ones have the head later
    return np.correlate(nods, stresses, "full")[n_frames - 1 - longest : n_frames + longest] / size


def _nose_height(landmarks: np.ndarray) -> np.ndarray:
    """``(T,)`` pixels, down: the mean of the nine points of the nose; NaN where no frame has a face."""
    height = landmarks[:, _NOSE, 1].mean(axis=1)
    seen = np.isfinite(landmarks).all(axis=(1, 2))
    if not seen.any():
        return height
    frames = np.arange(len(height))
    return np.interp(frames, frames[seen], height[seen])


def _speed(curve: np.ndarray) -> np.ndarray:
    """Central differences, which delay nothing, less their mean."""
    speed = np.gradient(curve)
    return speed - speed.mean()


def _check(landmarks: np.ndarray) -> np.ndarray:
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.ndim != 3 or landmarks.shape[1:] != (N_POINTS, 2):
        raise InputError("landmarks", f"shape {landmarks.shape}", f"(T, {N_POINTS}, 2)")
    return landmarks
