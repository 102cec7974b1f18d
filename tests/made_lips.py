"""Mouths of known opening, and which keys of a report are of lips."""

import numpy as np

from talkface_lite.clip import Clip, Interval
from talkface_lite.measuring.lips import AMPLITUDES, BACK, LIP_FIGURES, MOVEMENTS

LOWER = (55, 56, 57, 58, 59, 65, 66, 67)
"""The points that go down when :func:`lips` open."""


def lip_keys() -> set[str]:
    """Every key of a row that is of lips, as landmarks say it and as a detector sees it."""
    names = {*LIP_FIGURES, *AMPLITUDES, *MOVEMENTS, BACK}
    names |= {f"{name}_over_real" for name in (*AMPLITUDES, *MOVEMENTS)}
    names |= {"share_back_at_rest", "share_of_onsets_within_real"}
    seen = {f"seen_{name}" for name in (*names, "lip_opening_correlation")}
    return names | seen - {"seen_mouth_landmark_distance_over_copy"} | {"lmd_over_copy"}


def face() -> np.ndarray:
    """float64 ``(68, 2)``: a face whose mouth is 30 px wide and shut."""
    points = np.random.default_rng(0).uniform(20, 60, (68, 2))
    x = np.array([50, 55, 60, 65, 70, 75, 80, 75, 70, 65, 60, 55, 52, 60, 65, 70, 78, 70, 65, 60], float)
    points[48:68, 0], points[48:68, 1] = x, 90
    points[49:54, 1], points[55:60, 1] = 86, 94
    return points


def lips(openings, *, wider=0.0) -> np.ndarray:
    """float32 ``(T, 68, 2)``: the lower lip so many pixels down in each frame, the corners so much apart."""
    openings = np.asarray(openings, float)
    points = np.repeat(face()[None], len(openings), axis=0)
    points[:, LOWER, 1] += openings[:, None]
    points[:, 48, 0] -= np.asarray(wider) / 2
    points[:, 54, 0] += np.asarray(wider) / 2
    return points.astype(np.float32)


def spoken(openings, *words, identity="", frames=None, wider=0.0) -> Clip:
    """A clip of such lips, in which words sound from frame to frame: ``(first, beyond the last)``."""
    landmarks = lips(openings, wider=wider)
    spans = tuple(Interval("a", start / 25, stop / 25) for start, stop in words)
    speech = np.zeros(len(landmarks) * 640, np.float32)
    return Clip(frames=frames, landmarks=landmarks, speech=speech, words=spans, identity=identity)
