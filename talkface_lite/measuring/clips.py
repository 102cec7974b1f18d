"""One clip and what was made of it → its figures, row by row."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from talkface_lite.clip import CROP_SIZE, Clip
from talkface_lite.landmarks import apply_transform, magnify
from talkface_lite.measuring.baselines import COPY, MEAN_PICTURE, WARP, WARPED
from talkface_lite.measuring.drift import drift, pose_spread, upper_face, zoom_spread
from talkface_lite.measuring.landmarks import measure_landmarks
from talkface_lite.measuring.lip_reading import LipJudge, WordsRead
from talkface_lite.measuring.lips import (
    AMPLITUDES,
    MOVEMENTS,
    compare_lips,
    describe_lips,
    ratio,
    sounding_frames,
)
from talkface_lite.measuring.pictures import (
    FindPoints,
    as_array,
    measure_pictures,
    points_distance,
    points_in,
    remembering,
)
from talkface_lite.systems.base import FROM_SPEECH, WITH_TRUTH, Shown

Key = tuple[str, str]
"""A system and its row; the system of a baseline is ``""``."""

REAL: Key = ("", "")
"""The clip itself."""

SEEN = "seen_"
"""Begins the name of a figure of the lips that a detector saw in the film, and in the clip alike."""

ABOVE_WARP = "is_above_warp"
"""1 where the mouth box is nearer to the truth than the unlearned warp's, 0 where not."""


class ClipFigures(NamedTuple):
    """What was measured on one clip.

    Parameters
    ----------
    identity, source, frames:
        Of the clip.
    photograph:
        Which of its frames was shown.
    rows:
        Row → figure → value, NaN where there is none.
    """

    identity: str
    source: str
    frames: int
    photograph: int
    rows: dict[Key, dict[str, float]]


def measure_clip(
    clip: Clip,
    shown: int,
    rows: Mapping[Key, Shown],
    *,
    find_points: FindPoints | None = None,
    judge: LipJudge | None = None,
    frame_step: int = 1,
) -> ClipFigures:
    """All figures of one clip, see :func:`talkface_lite.measuring.evaluation.evaluate`.

    Parameters
    ----------
    clip:
        With pictures where a row has some.
    shown:
        The frame that is the photograph.
    rows:
        What systems and baselines made.
    find_points:
        A detector; it looks once at each picture, however often that is shown.
    judge:
        Reads words off lips.
    frame_step:
        SSIM and detector look at every such frame.
    """
    sounds = sounding_frames(clip)
    measures = [_Lips(clip.landmarks, clip.landmarks[shown], sounds)]
    found: dict[Key, dict[str, float]] = {REAL: {}}
    detect = read = None
    if find_points is not None and any(row.frames is not None for row in rows.values()):
        detect = remembering(find_points)
        truth = points_in(clip.frames[::frame_step], detect)
        (photograph,) = as_array(points_in(clip.frames[shown : shown + 1], detect))
        turns = pose_spread(as_array(truth))
        found[REAL] |= {f"{SEEN}zoom_spread": zoom_spread(as_array(truth)), f"{SEEN}pose_spread": turns}
        measures.append(_Lips(as_array(truth), photograph, sounds[::frame_step], SEEN, frame_step == 1))
    for measure in measures:
        found[REAL] |= {measure.prefix + name: value for name, value in measure.real.items()}
    if clip.frames is not None:
        scale = clip.frames.shape[2] / CROP_SIZE
        places = apply_transform(clip.landmarks, magnify(scale))
        box = upper_face(places, scale)
        found[REAL]["drift"] = drift(clip.frames, clip.frames[shown], box)
        if judge is not None:
            read = WordsRead(judge, clip)
            found[REAL] |= read.of(clip.frames)
    for key, row in rows.items():
        its = found[key] = {}
        if row.landmarks is not None:
            its |= measure_landmarks(row.landmarks, clip.landmarks)
            its |= {name: it for name, it in measures[0].of(row.landmarks).items() if name not in its}
        if row.frames is not None:
            its |= measure_pictures(row.frames, clip.frames, places, frame_step=frame_step)
            its["drift"] = drift(row.frames, clip.frames[shown], box)
            its |= read.of(row.frames) if read else {}
            if detect is not None:
                film = points_in(row.frames[::frame_step], detect)
                its |= points_distance(film, truth) | measures[1].of(as_array(film))
                its[f"{SEEN}zoom_spread"] = zoom_spread(as_array(film))
                its[f"{SEEN}pose_spread"] = pose_spread(as_array(film))
                its[f"{SEEN}pose_spread_over_real"] = ratio(its[f"{SEEN}pose_spread"], turns)
    _compare(found)
    return ClipFigures(clip.identity, clip.source, len(clip), shown, found)


class _Lips:
    """Real lips, seen in one way, to hold made ones against that are seen in the same."""

    def __init__(
        self,
        real: np.ndarray,
        photograph: np.ndarray,
        sounds: np.ndarray,
        prefix: str = "",
        every_frame: bool = True,
    ) -> None:
        self.prefix, self._points, self._photograph = prefix, real, photograph
        self._sounds, self._every_frame = sounds, every_frame
        self.real = self._described(real)

    def of(self, made: np.ndarray) -> dict[str, float]:
        described = self._described(made)
        named = compare_lips(made, self._points, photograph=self._photograph) | described
        for name in (*AMPLITUDES, *MOVEMENTS):
            if name in described:
                named[f"{name}_over_real"] = ratio(described[name], self.real[name])
        if not self.prefix:
            return named
        found = {self.prefix + name: value for name, value in named.items()}
        found["lmd_over_copy"] = found.pop(f"{self.prefix}mouth_landmark_distance_over_copy")
        return found

    def _described(self, landmarks: np.ndarray) -> dict[str, float]:
        return describe_lips(
            landmarks, photograph=self._photograph, sounds=self._sounds, every_frame=self._every_frame
        )


def _compare(found: Mapping[Key, dict[str, float]]) -> None:
    """Add what the mouth box gains over the copy's, the mean picture's and the unlearned warp's."""
    if "mouth_psnr" not in found["", COPY]:
        return  # nobody asked for pictures
    for (system, name), its in found.items():
        if "mouth_psnr" not in its or (system, name) == ("", COPY):
            continue
        its["mouth_gain"] = _gain(its, found["", COPY])
        if system and ("", MEAN_PICTURE) in found:
            its["gain_over_mean_picture"] = _gain(its, found["", MEAN_PICTURE])
        warp = {FROM_SPEECH: (system, WARPED), WITH_TRUTH: ("", WARP)}.get(name)
        if system and warp in found:
            gain = its["gain_over_warp"] = _gain(its, found[warp])
            its[ABOVE_WARP] = float(gain > 0) if not np.isnan(gain) else float("nan")


def _gain(row: Mapping[str, float], other: Mapping[str, float]) -> float:
    with np.errstate(invalid="ignore"):  # both infinite
        return float(np.subtract(row["mouth_psnr"], other["mouth_psnr"]))
