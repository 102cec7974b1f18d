"""The record and the clock: every clip, drawn or filmed, is a :class:`~talkface_lite.clip.Clip`.

One clock: 25 frames/s, 16 kHz mono speech, a 10 ms hop between MFCC rows. One frame lasts 40 ms, which is
640 samples and 4 MFCC rows. Frame ``t`` is centred at ``(t + 1/2) * 40 ms``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np

from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_tensors

FRAMES_PER_SECOND = 25
SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
ROWS_PER_FRAME = 4
CROP_SIZE = 128
"""Side of the aligned face crop, pixels."""
N_POINTS = 68
"""Landmarks in dlib/iBUG order."""

ALIGNED, HEAD, CAMERA = "aligned", "head", "camera"
"""How pictures are cut: nose and eyes of each frame on a template; one looser frame for the whole clip, in
which the head moves (:mod:`talkface_lite.framing`); not at all."""
FRAMINGS = (ALIGNED, HEAD, CAMERA)
"""All of them."""
FRAMING_OF: Mapping[str, str] = MappingProxyType({"crop": ALIGNED, "head": HEAD, "camera": CAMERA})
"""What a clip says of its framing, by the view that was asked for when it was made."""
VIEW_OF: Mapping[str, str] = MappingProxyType({framing: view for view, framing in FRAMING_OF.items()})
"""The view that clips with such a framing are made in."""
CUT_VIEWS = tuple(view for view, framing in FRAMING_OF.items() if framing != CAMERA)
"""Views that are cut out around a face, from films too."""
SIDES = (CROP_SIZE, 2 * CROP_SIZE)
"""Of the pictures of such views, pixels."""

FORMAT = "talkface_lite clip 1"


class Interval(NamedTuple):
    """A labelled stretch of time: a word or a phoneme.

    ``start`` and ``end`` are seconds from the beginning of the clip.
    """

    label: str
    start: float
    end: float

    def holds(self, times: np.ndarray) -> np.ndarray:
        """bool, as many as ``times``, seconds: which of them lie in it, its end not."""
        return (self.start <= times) & (times < self.end)


@dataclass(frozen=True, eq=False, kw_only=True)
class Clip:
    """One person saying one thing: picture, points, sound and what was said.

    Parameters
    ----------
    frames:
        uint8 RGB ``(T, H, W, 3)``, or None for a clip that carries landmarks and speech but no picture.
    landmarks:
        float32 ``(T, 68, 2)``: x to the right and y down, dlib/iBUG order, in pixels of a picture of 128×128,
        also where the pictures are larger; those of a camera view in its own pixels.
    speech:
        float32 ``(640 * T,)`` in [-1, 1], 16 kHz mono.
    words, phonemes:
        Intervals ``(label, start_s, end_s)`` in order of their start.
    identity:
        Who is speaking, as text; clips of one person share it.
    source:
        Where the clip comes from, as text.
    framing:
        How its pictures are cut: one of :data:`FRAMINGS`.

    Raises
    ------
    InputError
        When a field is not as above; the message names the field, what it got and what it expected.
    """

    frames: np.ndarray | None
    landmarks: np.ndarray
    speech: np.ndarray
    words: tuple[Interval, ...] = ()
    phonemes: tuple[Interval, ...] = ()
    identity: str = ""
    source: str = ""
    framing: str = ALIGNED

    def __post_init__(self) -> None:
        _check_array("landmarks", self.landmarks, np.float32, (None, N_POINTS, 2))
        n_frames = len(self.landmarks)
        if n_frames == 0:
            raise InputError("Clip.landmarks", "0 frames", "at least 1 frame")
        _check_finite("landmarks", self.landmarks)
        if self.frames is not None:
            _check_array("frames", self.frames, np.uint8, (n_frames, None, None, 3))
        _check_array("speech", self.speech, np.float32, (SAMPLES_PER_FRAME * n_frames,))
        _check_finite("speech", self.speech)
        if n_frames and np.abs(self.speech).max() > 1:
            raise InputError(
                "Clip.speech", f"a peak of {np.abs(self.speech).max():.3g}", "samples in [-1, 1]"
            )
        for name in ("words", "phonemes"):
            intervals = tuple(Interval(str(i[0]), float(i[1]), float(i[2])) for i in getattr(self, name))
            object.__setattr__(self, name, intervals)
            _check_intervals(name, intervals, self.seconds)
        for name in ("identity", "source"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"Clip.{name}", type(getattr(self, name)).__name__, "text")
        if self.framing not in FRAMINGS:
            raise InputError("Clip.framing", repr(self.framing), " or ".join(FRAMINGS))

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.landmarks)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self) / FRAMES_PER_SECOND

    @property
    def frame_times(self) -> np.ndarray:
        """float64 ``(T,)``: the centre of each frame in seconds, ``(t + 1/2) * 40 ms``."""
        return frame_times(len(self))

    def save(self, path: str | os.PathLike) -> Path:
        """Write the clip to one file, whole or not at all (safetensors: numbers and text, no code).

        The same clip always gives the same bytes.
        """
        tensors = {"landmarks": self.landmarks, "speech": self.speech}
        if self.frames is not None:
            tensors["frames"] = self.frames
        record = {
            "identity": self.identity,
            "source": self.source,
            "words": self.words,
            "phonemes": self.phonemes,
        }
        if self.framing != ALIGNED:  # what clips were before there was another
            record["framing"] = self.framing
        return write_tensors(path, tensors, record, key="clip", text=FORMAT)

    @classmethod
    def load(cls, path: str | os.PathLike, *, frames: bool = True) -> Self:
        """Read a clip written by :meth:`save`.

        Parameters
        ----------
        path:
            The file.
        frames:
            False leaves the picture on disk (``clip.frames`` is then None).

        Raises
        ------
        InputError
            When the file is missing, is not a clip, is cut short or holds a wrong field.
        """
        record, arrays = read_tensors(
            path, key="clip", text=FORMAT, what="a clip file", wanted=lambda name: frames or name != "frames"
        )
        try:
            return cls(
                frames=arrays.get("frames"),
                landmarks=arrays["landmarks"],
                speech=arrays["speech"],
                words=tuple(record["words"]),
                phonemes=tuple(record["phonemes"]),
                identity=record["identity"],
                source=record["source"],
                framing=record.get("framing", ALIGNED),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(path, f"a clip without {error}", "every field of a clip") from error


def frame_times(n_frames: int) -> np.ndarray:
    """float64 ``(n_frames,)``: the centre of each frame in seconds, ``(t + 1/2) * 40 ms``."""
    return (np.arange(n_frames) + 0.5) / FRAMES_PER_SECOND


def check_photograph(
    photo: np.ndarray, example: np.ndarray, landmarks: np.ndarray, side: int = CROP_SIZE
) -> None:
    """Refuse what is no photograph that can be moved to landmarks.

    Parameters
    ----------
    photo:
        uint8 RGB ``(side, side, 3)``: a face that was cut out.
    example:
        ``(68, 2)``: the landmarks in it, in pixels of a picture of 128×128.
    landmarks:
        ``(T, 68, 2)``, T at least 1: where they are to go.
    side:
        Of the photograph, pixels.

    Raises
    ------
    InputError
        When one of them is something else; the message names it.
    """
    size, face = (side, side, 3), (N_POINTS, 2)
    if photo.dtype != np.uint8 or photo.shape != size:
        raise InputError("photo", f"{photo.dtype} {photo.shape}", f"uint8 {size}")
    if example.shape != face:
        raise InputError("example", f"shape {example.shape}", face)
    if landmarks.shape[1:] != face or len(landmarks) == 0:
        raise InputError("landmarks", f"shape {landmarks.shape}", f"(T, {N_POINTS}, 2), T at least 1")


def _check_array(name: str, array: object, dtype: type, shape: tuple[int | None, ...]) -> None:
    wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    if not isinstance(array, np.ndarray):
        raise InputError(f"Clip.{name}", type(array).__name__, f"a numpy array {np.dtype(dtype)} {wanted}")
    if array.dtype != dtype:
        raise InputError(f"Clip.{name}", array.dtype, np.dtype(dtype))
    fits = len(array.shape) == len(shape) and all(w is None or g == w for g, w in zip(array.shape, shape))
    if not fits:
        raise InputError(f"Clip.{name}", f"shape {array.shape}", f"shape {wanted}")


def _check_finite(name: str, array: np.ndarray) -> None:
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise InputError(f"Clip.{name}", f"{bad} values that are NaN or infinite", "finite numbers")


def _check_intervals(name: str, intervals: tuple[Interval, ...], seconds: float) -> None:
    previous = 0.0
    for label, start, end in intervals:
        if not 0 <= start <= end <= seconds + 1e-6:
            raise InputError(
                f"Clip.{name}",
                f"{label!r} from {start:g} s to {end:g} s",
                f"times in order within 0..{seconds:g} s",
            )
        if start < previous:
            raise InputError(
                f"Clip.{name}", f"{label!r} starting before the one before it", "sorted intervals"
            )
        previous = start
