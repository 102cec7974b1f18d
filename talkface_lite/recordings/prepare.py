"""One recording to clips: decode → follow a face → align → crop, and a reason for every frame left out.

The film is decoded twice. The first time its faces are followed, which needs a look ahead; the second time
they are cut out. So a film of any length takes bounded memory.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from talkface_lite.clip import (
    CROP_SIZE,
    CUT_VIEWS,
    FRAMES_PER_SECOND,
    FRAMING_OF,
    SAMPLES_PER_FRAME,
    SIDES,
    Clip,
    Interval,
)
from talkface_lite.errors import InputError
from talkface_lite.framing import head_frame
from talkface_lite.landmarks import apply_transform, warp_crop
from talkface_lite.recordings.base import Recording, Rejection
from talkface_lite.recordings.decode import Film, fit_speech
from talkface_lite.recordings.faces import Gap, Shot, follow
from talkface_lite.recordings.smoothing import crop_matrices

LONGEST_CLIP = 750
"""Frames. A longer shot is cut into clips of this length (30 s), so that one fits in memory many times."""

_BROKEN = (
    *(ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError),
    cv2.error,
)
"""Errors of the program, or of a library, on one film."""


@dataclass(eq=False)
class Account:
    """What happened to one recording, or to many: counts that must add up, and where the time went.

    Attributes
    ----------
    rejections:
        Everything that did not become a clip.
    counts:
        ``clips``; ``frames_decoded``, ``frames_kept``, ``frames_rejected``, ``frames_bridged`` (kept, with
        points filled in); ``sound_missing``, ``sound_padded``, ``sound_cut`` (recordings).
    seconds:
        Wall time by stage.
    """

    rejections: list[Rejection] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)


def check_cut(size: int, view: str) -> None:
    """Refuse a size or a view that nothing is cut out in.

    Raises
    ------
    InputError
        When the size is none of :data:`~talkface_lite.clip.SIDES`, or the view none of
        :data:`~talkface_lite.clip.CUT_VIEWS`.
    """
    if size not in SIDES:
        raise InputError("size", size, " or ".join(map(str, SIDES)))
    if view not in CUT_VIEWS:
        raise InputError("view", repr(view), " or ".join(CUT_VIEWS))


def prepare_recording(
    recording: Recording,
    account: Account,
    *,
    size: int = CROP_SIZE,
    detector: str = "auto",
    view: str = "crop",
) -> Iterator[Clip]:
    """Make clips of one recording; whatever goes wrong becomes a rejection in ``account``.

    Parameters
    ----------
    recording:
        As a reader lists it.
    account:
        Written to while the clips are taken.
    size:
        Side of the crops in pixels, 128 or 256. Landmarks are in pixels of the 128×128 crop for both.
    detector:
        As for :func:`talkface_lite.faces.detection.detect_landmarks`.
    view:
        ``"crop"``: the face, aligned anew in each frame. ``"head"``: the whole head in one frame for each
        shot, at most 30 s of it.

    Yields
    ------
    Clip
        One for each shot with a face, at most 30 s long; ``source`` is JSON.

    Raises
    ------
    InputError
        When the size, the view or the detector is not one of those; never because of the recording.
    """
    check_cut(size, view)
    stage, left = "decode", 0

    def reject(stage: str, reason: object, start: int | None = None, stop: int | None = None) -> None:
        begin, end = (None if at is None else round(at / FRAMES_PER_SECOND, 3) for at in (start, stop))
        account.rejections.append(
            Rejection(file=recording.name, stage=stage, reason=str(reason), start=begin, end=end)
        )

    try:
        with_time = _Stopwatch(account.seconds)
        film = Film(recording.path)
        stage = "faces"
        shots, gaps = _follow(film, detector, with_time)
        decoded = film.facts["n_frames"]
        late = round(float(film.facts["picture_late_s"]) * FRAMES_PER_SECOND)
        shots, gaps = from_frame(late, shots, gaps)
        account.counts["frames_decoded"] += decoded
        left = sum(shot.stop - shot.start for shot in shots)
        _check_cover([(one.start, one.stop) for one in (*shots, *gaps)], decoded)
        for gap in gaps:
            account.counts["frames_rejected"] += gap.stop - gap.start
            reject("faces", gap.reason, gap.start, gap.stop)
        if (missing := float(film.facts.get("missing_s") or 0)) > 0:
            reject(
                "decode",
                f"the file ends {missing:.2f} s early",
                decoded,
                decoded + round(missing * FRAMES_PER_SECOND),
            )
        if not shots:
            return
        stage = "decode"
        with with_time("sound"):
            sound = film.speech()
            speech, added = fit_speech(sound, decoded)
        account.counts["sound_missing"] += sound is None
        account.counts["sound_padded"] += sound is not None and added > 0
        account.counts["sound_cut"] += added < 0
        stage = "align"
        for clip in _cut(recording, film, shots, speech, added, (size, view), with_time):
            left -= len(clip)
            account.counts.update(clips=1, frames_kept=len(clip))
            yield clip
        account.counts["frames_bridged"] += sum(len(shot.bridged) for shot in shots)
    except InputError as error:
        reject(stage, f"{error.got}; expected {error.expected}")
        account.counts["frames_rejected"] += left
    except _BROKEN as error:
        # one broken film of half a million must not stop the rest, whatever it broke
        reject(stage, f"an error of the program: {type(error).__name__}: {error}")
        account.counts["frames_rejected"] += left


def _follow(film: Film, detector: str, with_time: "_Stopwatch") -> tuple[list[Shot], list[Gap]]:
    """The first pass; decoding is timed apart from looking."""
    began, decode_before = time.perf_counter(), with_time.seconds["decode"]
    shots, gaps = follow(with_time.each("decode", film.frames()), detector)
    with_time.seconds["faces"] += time.perf_counter() - began - (with_time.seconds["decode"] - decode_before)
    return shots, gaps


def from_frame(first: int, shots: list[Shot], gaps: list[Gap]) -> tuple[list[Shot], list[Gap]]:
    """Shots and gaps from frame ``first`` on; before it stands a picture that is not of its time."""
    if first <= 0:
        return shots, gaps
    later = [
        replace(
            shot,
            start=max(shot.start, first),
            landmarks=shot.landmarks[max(first - shot.start, 0) :],
            bridged=tuple(t - max(first - shot.start, 0) for t in shot.bridged if shot.start + t >= first),
        )
        for shot in shots
        if shot.stop > first
    ]
    before = Gap(0, first, "before the picture begins")
    return later, [before, *(replace(gap, start=max(gap.start, first)) for gap in gaps if gap.stop > first)]


def _check_cover(spans: list[tuple[int, int]], n_frames: int) -> None:
    """Every frame must be accounted for exactly once."""
    spans = sorted(spans)
    ends = [(0, 0), *spans, (n_frames, n_frames)]
    if any(before[1] != after[0] for before, after in pairwise(ends)):
        raise ValueError(f"{spans} do not cover {n_frames} frames once")


def _cut(
    recording: Recording,
    film: Film,
    shots: list[Shot],
    speech: np.ndarray,
    added: float,
    crop: tuple[int, str],
    with_time: "_Stopwatch",
) -> Iterator[Clip]:
    """The second pass: crops of such a size and view of every shot, in order."""
    size, view = crop
    pieces = [
        (shot, start, min(start + LONGEST_CLIP, shot.stop))
        for shot in sorted(shots, key=lambda shot: shot.start)
        for start in range(shot.start, shot.stop, LONGEST_CLIP)
    ]
    aligned = {id(shot): crop_matrices(shot.landmarks) for shot in shots if view == "crop"}
    frames = enumerate(with_time.each("decode", film.frames()))
    for shot, start, stop in pieces:
        crops = np.empty((stop - start, size, size, 3), np.uint8)
        within = slice(start - shot.start, stop - shot.start)
        if view == "crop":
            matrix = aligned[id(shot)][within]
        else:
            matrix = np.repeat(head_frame(shot.landmarks[within])[None], stop - start, axis=0)
        for t, frame in frames:
            if t < start:
                continue
            with with_time("crop"):
                crops[t - start] = warp_crop(frame, matrix[t - start], size)
            if t == stop - 1:
                break
        else:
            raise InputError("second decoding", "fewer frames", f"{film.facts['n_frames']} as in the first")
        landmarks = apply_transform(shot.landmarks[within], matrix)
        yield Clip(
            frames=crops,
            landmarks=landmarks.astype(np.float32),
            speech=speech[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME],
            words=intervals_within(recording.words, start, stop),
            phonemes=intervals_within(recording.phonemes, start, stop),
            identity=recording.identity,
            source=_source(recording, film, shot, start, stop, added),
            framing=FRAMING_OF[view],
        )


def _source(recording: Recording, film: Film, shot: Shot, start: int, stop: int, added: float) -> str:
    bridged = [shot.start + t for t in shot.bridged if start <= shot.start + t < stop]
    known: dict[str, Any] = {
        "recording": recording.name,
        "split": recording.split,
        "frames": [start, stop],
        "bridged": bridged,
        "other_faces": shot.others,
        "sound_added_s": round(added, 4),
        "film": {
            key: film.facts[key]
            for key in ("stated_fps", "dropped", "doubled", "rotation")
            if key in film.facts
        },
        **dict(recording.about),
    }
    return json.dumps(known)


def read_source(source: str) -> dict[str, Any]:
    """What the ``source`` of a prepared clip says: recording, split, frames, bridged, other_faces, ...

    Raises
    ------
    InputError
        When it is not the source of a prepared clip.
    """
    try:
        known = json.loads(source)
    except json.JSONDecodeError:
        known = None
    if not isinstance(known, dict) or "recording" not in known:
        raise InputError("source", repr(source)[:60], "that of a clip made by `talkface prepare`")
    return known


def intervals_within(intervals: tuple[Interval, ...], start: int, stop: int) -> tuple[Interval, ...]:
    """Words whose middle lies in frames ``start`` to ``stop``, in seconds from ``start``, cut to fit."""
    first, last = start / FRAMES_PER_SECOND, stop / FRAMES_PER_SECOND
    return tuple(
        Interval(label, max(begin - first, 0.0), min(end, last) - first)
        for label, begin, end in intervals
        if first <= (begin + end) / 2 < last
    )


class _Stopwatch:
    """Adds up wall time by stage."""

    def __init__(self, seconds: Counter[str]) -> None:
        self.seconds = seconds

    def __call__(self, stage: str) -> "_Lap":
        return _Lap(self.seconds, stage)

    def each(self, stage: str, items: Iterator) -> Iterator:
        """The items, the time until each is there counted."""
        try:
            while True:
                with self(stage):
                    item = next(items, items)
                if item is items:
                    return
                yield item
        finally:
            close: Callable[[], None] | None = getattr(items, "close", None)
            if close:
                close()


class _Lap:
    def __init__(self, seconds: Counter[str], stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] += time.perf_counter() - self.began
