"""Heads that nod as they speak: on stressed syllables, before them or after, each person in their own way.

"Human head may move before or after the corresponding utterance", say Wang et al. of why a head is hard to
predict from what is heard at the same time ({cite}`wang2020attentional`, section 1). Films do not tell by how
much. Here it is known: a person nods on every syllable with the primary stress, by an angle and with a lag of
their own, and a measure of lags (:mod:`talkface_lite.measuring.head_motion`) can be held against them.

One nod is a Gaussian bump, down and up again in about half a second. Of its energy 98 % lie below
:data:`~talkface_lite.corpus.motion.POSE_BAND_HZ`, where the other movements of drawn heads end. How large and
how late nods are is ours, by eye, and no statistics of films.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from talkface_lite.clip import Interval, frame_times
from talkface_lite.corpus.identity import Identity
from talkface_lite.corpus.motion import PITCH_LIMIT, Motion
from talkface_lite.errors import InputError

STRESS = "ˈ"
"""Marks the primary stress in the label of a phoneme, in front of the vowel: ``"ˈeɪ"``."""
NOD_SECONDS = 0.11
"""Standard deviation of one nod in time."""
LONGEST_LAG = 0.24
"""Seconds between the middle of a stressed vowel and the lowest point of the head, at most."""
LEAST_DEPTH, ORDINARY_DEPTH, MOST_DEPTH = np.deg2rad([2.5, 5.0, 8.0]).tolist()
"""How far people nod, radians."""
DEPTH_SPREAD = 0.3
"""Standard deviation of the logarithm of the depth among people."""

_PITCH = 1
"""Column of :attr:`Motion.pose`."""
_NEARLY_ALL = 1 - 1e-6
"""Of the limit: the furthest a head counts as bowed. At the limit itself tanh cannot be undone, and float32
would round up to beyond it."""


@dataclass(frozen=True, kw_only=True)
class NodHabit:
    """How a person nods.

    Parameters
    ----------
    lag:
        Seconds from the middle of the stressed vowel to the lowest point of the nod; positive: the head comes
        after the syllable, negative: before it.
    depth:
        Radians that a single nod lowers the nose, of a head held upright; near the limit of the pitch less.
    """

    lag: float
    depth: float

    @classmethod
    def draw(cls, identity: Identity) -> Self:
        """The person's own, in all clips: a lag within ±0.24 s; a depth of 2.5° to 8°, often about 5°."""
        rng = np.random.default_rng([identity.seed, 0x40D5])
        lag = rng.uniform(-LONGEST_LAG, LONGEST_LAG)
        depth = np.exp(rng.normal(np.log(ORDINARY_DEPTH), DEPTH_SPREAD))
        return cls(lag=float(lag), depth=float(np.clip(depth, LEAST_DEPTH, MOST_DEPTH)))


def stressed_times(phonemes: Iterable[Interval]) -> np.ndarray:
    """When syllables are stressed: float64 ``(N,)``, seconds, the middles of phonemes with primary stress.

    Parameters
    ----------
    phonemes:
        Labelled in IPA with stress marks, such as those of drawn clips; ``"ˌ"``, the secondary stress, does
        not count. N is 0 where no label has the mark.
    """
    return np.array([(start + end) / 2 for label, start, end in phonemes if STRESS in label], np.float64)


def stress_signal(phonemes: Iterable[Interval], n_frames: int) -> np.ndarray:
    """Stress as a curve: float64 ``(n_frames,)``, at the centres of frames, with a bump for each stress.

    The bumps have the shape of a nod and height 1, so that a head which nods with a lag of 0 follows the
    curve; where they overlap they add up.

    Parameters
    ----------
    phonemes:
        See :func:`stressed_times`.
    n_frames:
        Length in frames, at least 1.

    Raises
    ------
    InputError
        When ``n_frames`` is less than 1.
    """
    if n_frames < 1:
        raise InputError("n_frames", n_frames, "at least 1")
    return _bumps(stressed_times(phonemes), n_frames)


def nodding(motion: Motion, phonemes: Iterable[Interval], habit: NodHabit) -> Motion:
    """The same motion with a nod for each stressed syllable; all but the pitch is as it was.

    Nods that overlap, and those of a head that is bowed already, grow smaller: the pitch stays within
    :data:`~talkface_lite.corpus.motion.PITCH_LIMIT` and is the old one where nobody nods.

    Parameters
    ----------
    motion:
        Of the clip, without nods, moving or still. A pitch beyond the limit is brought within it.
    phonemes:
        See :func:`stressed_times`.
    habit:
        Whose nods: their lag and their depth.
    """
    nods = habit.depth * _bumps(stressed_times(phonemes) + habit.lag, len(motion))
    # Motion.draw bends the pitch by tanh; unbend it, so that nods are added to what was straight
    bent = np.clip(motion.pose[:, _PITCH].astype(np.float64) / PITCH_LIMIT, -_NEARLY_ALL, _NEARLY_ALL)
    pose = motion.pose.copy()
    pose[:, _PITCH] = PITCH_LIMIT * np.minimum(np.tanh(np.arctanh(bent) + nods / PITCH_LIMIT), _NEARLY_ALL)
    return replace(motion, pose=pose)


def _bumps(times: np.ndarray, n_frames: int) -> np.ndarray:
    """``(n_frames,)``: bumps of height 1 at some times, seconds, added up."""
    away = frame_times(n_frames)[:, None] - times
    return np.exp(-0.5 * (away / NOD_SECONDS) ** 2).sum(axis=1)
