"""What landmark networks need of a clip, computed once, and the files that clips come from."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from talkface_lite.clip import (
    ALIGNED,
    FRAMES_PER_SECOND,
    HEAD,
    N_POINTS,
    ROWS_PER_FRAME,
    Clip,
    Interval,
    frame_times,
)
from talkface_lite.data.needs import DataSettings, Needs
from talkface_lite.errors import InputError
from talkface_lite.files import read_tensors, write_tensors
from talkface_lite.framing import CUT_LOOSER
from talkface_lite.landmarks import lip_opening, normalise
from talkface_lite.shards import SUFFIX as SHARD_SUFFIX
from talkface_lite.shards import read_shard
from talkface_lite.speech import mfcc_windows, recipe

FORMAT = "talkface_lite features 1"

N_COEFFICIENTS = 12
"""C1..C12, whatever the recipe."""

QUIET_BEFORE = 0.08
"""Seconds before the first word in which a mouth may already be on its way to it."""

SMALLEST_DEVIATION = 1e-3
"""What never varies is divided by this and not by zero."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Features:
    """What landmark networks need of one clip.

    Parameters
    ----------
    rows:
        float32 ``(4·(N - 1) + R, 12)``: the MFCC rows that the N windows of R rows are cut from.
    landmarks:
        float32 ``(N, 68, 2)``: pixels of the frame that the part needs.
    words:
        As in the clip.
    identity, source:
        As in the clip.
    """

    rows: np.ndarray
    landmarks: np.ndarray
    words: tuple[Interval, ...] = ()
    identity: str = ""
    source: str = ""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.landmarks)

    @property
    def window_rows(self) -> int:
        """R: the MFCC rows of a window."""
        return len(self.rows) - ROWS_PER_FRAME * (len(self) - 1)

    @classmethod
    def of(cls, clip: Clip, needs: Needs | None = None, where: object = None) -> Self:
        """Compute the features of a clip, with the MFCC that a part needs; ``where`` is for what is refused.

        Raises
        ------
        InputError
            When it is cut otherwise than the part needs it.
        """
        needs = needs or Needs()
        check_framing(where or f"clip of {clip.identity or 'someone'}", clip.framing, needs)
        rows = rows_of(mfcc_windows(clip.speech, rows=needs.rows, settings=recipe(needs.recipe)))
        return cls(
            rows=rows,
            landmarks=clip.landmarks,
            words=clip.words,
            identity=clip.identity,
            source=clip.source,
        )

    def windows(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """float32 ``(n, R, 12)``: the windows of frames ``start`` to ``stop``."""
        stop = len(self) if stop is None else min(stop, len(self))
        at = ROWS_PER_FRAME * np.arange(start, stop)[:, None] + np.arange(self.window_rows)
        return self.rows[at]

    def frames_before_speech(self) -> int:
        """How many frames, at least 1, end before the first word; 1 where no words are known."""
        first = self.words[0].start if self.words else 0.0
        return int(np.clip((first - QUIET_BEFORE) * FRAMES_PER_SECOND, 1, len(self)))

    def example_drawn(self, settings: DataSettings, rng: np.random.Generator) -> int:
        """The frame that is the example of a window: closed lips, at rest, or any, in the shares wanted."""
        shown = int(rng.integers(len(self)))
        closed, rest = settings.closed_examples, settings.rest_examples
        if not closed and not rest:
            return shown
        kind = rng.random()
        if kind < rest:
            return int(rng.integers(self.frames_before_speech()))
        return int(lip_opening(self.landmarks).argmin()) if kind < rest + closed else shown

    def spoken_in(self, word: Interval, start: int, stop: int) -> np.ndarray:
        """bool ``(stop - start,)``: the frames whose middle lies in a word."""
        return word.holds(frame_times(stop)[start:])


def check_framing(what: object, framing: str, needs: Needs) -> None:
    """Refuse clips that are cut otherwise than is needed.

    Raises
    ------
    InputError
        Then.
    """
    if framing != needs.framing:
        wanted = CUT_LOOSER if needs.framing == HEAD else f"clips cut {needs.framing!r}"
        raise InputError(what, f"a clip cut {framing!r}", wanted)


def rows_of(windows: np.ndarray) -> np.ndarray:
    """Undo the cutting: windows ``(N, R, 12)`` that overlap by R - 4 rows → rows ``(4·(N - 1) + R, 12)``."""
    fresh = windows[1:, -ROWS_PER_FRAME:].reshape(-1, windows.shape[-1])
    return np.concatenate([windows[0], fresh])


class Moments:
    """Means and deviations of MFCC and landmarks, over clips that come one by one."""

    def __init__(self) -> None:
        self._sums = {name: [0, 0.0, 0.0] for name in ("mfcc", "landmark")}

    def add(self, features: Features) -> None:
        """Take one clip in."""
        faces = normalise(features.landmarks.astype(np.float64)).reshape(len(features), -1)
        for name, values in (("mfcc", features.rows.astype(np.float64)), ("landmark", faces)):
            sums = self._sums[name]
            sums[0] += len(values)
            sums[1] += values.sum(axis=0)
            sums[2] += np.square(values).sum(axis=0)

    def statistics(self) -> dict[str, np.ndarray]:
        """float32: ``mfcc_mean``, ``mfcc_std`` ``(12,)``; ``landmark_mean``, ``landmark_std`` ``(136,)``.

        Landmarks in the units that networks see.
        """
        found: dict[str, np.ndarray] = {}
        for name, (n, total, squares) in self._sums.items():
            mean = total / n
            deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
            found[f"{name}_mean"] = mean.astype(np.float32)
            found[f"{name}_std"] = np.maximum(deviation, SMALLEST_DEVIATION).astype(np.float32)
        return found


def save_features(path: str | os.PathLike, clips: Sequence[Features], needs: Needs) -> Path:
    """Write MFCC and landmarks of many clips, without sound or picture, to one file."""
    tensors = {
        "rows": np.concatenate([clip.rows for clip in clips]),
        "landmarks": np.concatenate([clip.landmarks for clip in clips]),
    }
    listed = [(len(clip.rows), len(clip), clip.identity, clip.source, clip.words) for clip in clips]
    about = {"clips": listed, "recipe": needs.recipe}
    about |= {} if needs.framing == ALIGNED else {"framing": needs.framing}
    return write_tensors(path, tensors, about, key="features", text=FORMAT)


Folders = str | os.PathLike | Sequence[str | os.PathLike]
"""One folder or file, or several."""


def folders_of(source: Folders) -> list[Path]:
    """The folders or files that are meant, always a list."""
    return [Path(source)] if isinstance(source, str | os.PathLike) else [Path(part) for part in source]


def clip_files(folder: str | os.PathLike) -> list[Path]:
    """The clip files (``.safetensors``) and shards (``.tar``) below a folder, in a fixed order.

    Raises
    ------
    InputError
        When the folder is missing or holds none.
    """
    folder = Path(folder)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "a folder of clips")
    found = (path for path in folder.rglob("*") if path.suffix in (".safetensors", SHARD_SUFFIX))
    files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(folder, "no clip in it", "a folder of clips (talkface corpus writes one)")
    return files


def files_of(source: Folders) -> list[Path]:
    """As :func:`clip_files`, of one folder or several."""
    files = [path for folder in folders_of(source) for path in clip_files(folder)]
    if not files:
        raise InputError("data", "0 files", "at least 1 file")
    return files


def digest_of(source: Folders) -> str:
    """A fingerprint of a list of files, by their names below the folder and their sizes, 16 hex digits.

    It tells other data from the same in another place; a file that was changed and kept its size passes.
    """
    digest = hashlib.sha256()
    for number, folder in enumerate(folders_of(source)):
        for path in clip_files(folder):
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            digest.update(f"{number}\0{name}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def read_clips(source: Folders, *, frames: bool = False) -> Iterator[Clip]:
    """The clips of one folder or several, one after the other; pictures stay on disk unless ``frames``."""
    for path in files_of(source):
        if path.suffix == SHARD_SUFFIX:
            yield from (clip for _, clip in read_shard(path, frames=frames))
        else:
            yield Clip.load(path, frames=frames)


def read_features(source: Folders, needs: Needs | None = None) -> Iterator[Features]:
    """The features of every clip; files of :func:`save_features` are taken as they are.

    Raises
    ------
    InputError
        When a file is broken, or holds features that were saved for other needs.
    """
    needs = needs or Needs()
    for path in files_of(source):
        saved = saved_features(path, needs)
        yield from saved or (Features.of(clip, needs, path) for clip in read_clips(path))


def saved_features(path: Path, needs: Needs) -> Sequence[Features]:
    """What :func:`save_features` wrote; nothing for a file of another kind.

    Raises
    ------
    InputError
        As :func:`read_features`.
    """
    if path.suffix == SHARD_SUFFIX:
        return []
    try:
        about, tensors = read_tensors(path, key="features", text=FORMAT, what="features")
    except InputError:  # a clip; if it is none either, reading it as one says so
        return []
    if about.get("recipe", "psf") != needs.recipe:
        raise InputError(path, f"MFCC of {about['recipe']}", f"MFCC of {needs.recipe}, or the clips")
    check_framing(path, about.get("framing", ALIGNED), needs)
    try:
        features = _taken_apart(about["clips"], tensors)
    except (KeyError, TypeError, ValueError) as error:
        got = f"features that do not fit together ({type(error).__name__}: {error})"
        raise InputError(path, got, "as talkface_lite saved them") from error
    for one in features:
        if one.window_rows != needs.rows:
            raise InputError(path, f"{one.window_rows} MFCC rows a frame", f"{needs.rows}, or the clips")
    if needs.pictures:
        raise InputError(path, "no pictures", "clips with pictures (not saved features)")
    return features


def _taken_apart(clips: Iterable[Sequence], tensors: Mapping[str, np.ndarray]) -> list[Features]:
    rows, landmarks = tensors["rows"], tensors["landmarks"]
    for name, array, shape in (("rows", rows, (N_COEFFICIENTS,)), ("landmarks", landmarks, (N_POINTS, 2))):
        if array.dtype.kind != "f" or array.shape[1:] != shape:
            raise ValueError(f"{name} of shape {array.shape}, {array.dtype}")
    features, row, frame = [], 0, 0
    for n_rows, n_frames, identity, source, *words in clips:
        if n_frames < 1 or n_rows < 1:
            raise ValueError(f"a clip of {n_frames} frames, {n_rows} rows")
        features.append(
            Features(
                rows=rows[row : row + n_rows],
                landmarks=landmarks[frame : frame + n_frames],
                words=tuple(Interval(*word) for word in (words[0] if words else ())),
                identity=identity,
                source=source,
            )
        )
        row, frame = row + n_rows, frame + n_frames
    if (row, frame) != (len(rows), len(landmarks)) or not features:
        raise ValueError(f"{row} rows, {frame} frames of {len(rows)}, {len(landmarks)}")
    return features
