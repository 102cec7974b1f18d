"""Do sound and lips agree? Measurements on a clip alone, so films can be held to them too."""

import numpy as np

from talkface_lite.clip import FRAMES_PER_SECOND, SAMPLES_PER_FRAME, Clip
from talkface_lite.errors import InputError
from talkface_lite.landmarks import lip_opening

BILABIALS = ("p", "b", "m")
"""The sounds that cannot be made with open lips."""
MAX_LAG = 5
"""Frames; a syllable lasts about six, and beyond that the next vowel may fit a mouth better than its own."""


def closures(clip: Clip, *, margin: int = 1) -> np.ndarray:
    """The smallest opening of the lips during each /p b m/.

    Parameters
    ----------
    clip:
        A clip with phonemes in IPA.
    margin:
        Frames before and after the phoneme in which the lips may close.

    Returns
    -------
    float64, one opening in pixels for each bilabial: near 0 where the lips meet.
    """
    opening = lip_opening(clip.landmarks)
    reach = margin / FRAMES_PER_SECOND
    smallest = []
    for label, start, end in clip.phonemes:
        if label.strip("ˈˌː") in BILABIALS:
            near = (clip.frame_times >= start - reach) & (clip.frame_times <= end + reach)
            if near.any():
                smallest.append(float(opening[near].min()))
    return np.array(smallest)


def envelope(speech: np.ndarray) -> np.ndarray:
    """Root mean square of each frame of speech: ``(640 * T,)`` → ``(T,)``."""
    return np.sqrt(np.mean(speech.reshape(-1, SAMPLES_PER_FRAME).astype(np.float64) ** 2, axis=1))


def lag_curve(clip: Clip, *, max_lag: int = MAX_LAG) -> np.ndarray:
    """Correlation of the lips' opening with the speech's envelope, shifted against each other.

    Parameters
    ----------
    clip:
        A clip longer than ``2 * max_lag + 2`` frames.
    max_lag:
        Largest shift in frames.

    Returns
    -------
    float64 ``(2 * max_lag + 1,)``: Pearson's r at lags ``-max_lag .. max_lag``. At lag k the sound of frame
    ``t + k`` is held against the mouth of frame t: the best lag is positive where the sound comes late.

    Raises
    ------
    InputError
        When the clip is too short, or the mouth or the sound never changes.
    """
    n_frames = len(clip)
    if n_frames < 2 * max_lag + 3:
        raise InputError("clip", f"{n_frames} frames", f"at least {2 * max_lag + 3}")
    opening = lip_opening(clip.landmarks).astype(np.float64)
    loudness = envelope(clip.speech)
    middle = slice(max_lag, n_frames - max_lag)
    if np.std(opening[middle]) == 0 or np.std(loudness[middle]) == 0:
        raise InputError("clip", "a mouth or a sound that never changes", "speech")
    shifted = [loudness[max_lag + lag : n_frames - max_lag + lag] for lag in range(-max_lag, max_lag + 1)]
    return np.array([np.corrcoef(opening[middle], one)[0, 1] for one in shifted])


def best_lag(clip: Clip, *, max_lag: int = MAX_LAG) -> int:
    """The lag in frames at which mouth and sound agree best: 0 in step, positive where the sound is late."""
    return int(lag_curve(clip, max_lag=max_lag).argmax()) - max_lag
