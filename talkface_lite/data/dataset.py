"""Clips to batches: MFCC windows and landmarks of T frames, computed once, held in memory.

Nothing is dropped: a clip shorter than a window is padded and masked, and the stream of batches runs on from
one pass over the clips to the next, so there is no last, partial batch. The stream is a function of the seed
and the step alone, so a run that resumes at step n sees what an uninterrupted run sees.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors
from torch import Tensor

from talkface_lite.clip import ROWS_PER_FRAME, SAMPLES_PER_FRAME, Clip
from talkface_lite.errors import InputError
from talkface_lite.files import write_atomically
from talkface_lite.landmarks import lip_opening, normalise
from talkface_lite.shards import SUFFIX as SHARD_SUFFIX
from talkface_lite.shards import read_shard
from talkface_lite.speech import mfcc_windows

WINDOW_FRAMES = 16
"""Frames of a training window (ATVGnet)."""

FORMAT = "talkface_lite features 1"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of T frames from B clips.

    Parameters
    ----------
    mfcc:
        float32 ``(B, T, 28, 12)``: the window of each frame, C1..C12.
    landmarks:
        float32 ``(B, T, 68, 2)``: pixels of the aligned crop.
    example:
        float32 ``(B, 68, 2)``: the landmarks of another frame of the same clip, the one "photograph".
    mask:
        bool ``(B, T)``: False marks padding behind the end of a clip.
    """

    mfcc: Tensor
    landmarks: Tensor
    example: Tensor
    mask: Tensor

    def to(self, device: str | torch.device) -> Self:
        """The batch on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False, kw_only=True)
class Features:
    """What landmark networks need of one clip.

    Parameters
    ----------
    rows:
        float32 ``(4·(N - 1) + 28, 12)``: the MFCC rows that the N windows are cut from.
    landmarks:
        float32 ``(N, 68, 2)``: pixels of the aligned crop.
    identity, source:
        As in the clip.
    """

    rows: np.ndarray
    landmarks: np.ndarray
    identity: str = ""
    source: str = ""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.landmarks)

    @classmethod
    def of(cls, clip: Clip) -> Self:
        """Compute the features of a clip."""
        rows = rows_of(mfcc_windows(clip.speech))
        return cls(rows=rows, landmarks=clip.landmarks, identity=clip.identity, source=clip.source)

    def windows(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """float32 ``(n, 28, 12)``: the windows of frames ``start`` to ``stop``."""
        stop = len(self) if stop is None else min(stop, len(self))
        n_rows = len(self.rows) - ROWS_PER_FRAME * (len(self) - 1)
        at = ROWS_PER_FRAME * np.arange(start, stop)[:, None] + np.arange(n_rows)
        return self.rows[at]


def rows_of(windows: np.ndarray) -> np.ndarray:
    """Undo the cutting: windows ``(N, 28, 12)`` that overlap by 24 rows → rows ``(4·(N - 1) + 28, 12)``."""
    fresh = windows[1:, -ROWS_PER_FRAME:].reshape(-1, windows.shape[-1])
    return np.concatenate([windows[0], fresh])


class Dataset:
    """Features of many clips in memory, and windows of them.

    Parameters
    ----------
    clips:
        Features or clips.
    window:
        Frames T of a window.

    Raises
    ------
    InputError
        When there is no clip.
    """

    def __init__(self, clips: Iterable[Features | Clip], *, window: int = WINDOW_FRAMES) -> None:
        self.clips = [clip if isinstance(clip, Features) else Features.of(clip) for clip in clips]
        if not self.clips:
            raise InputError("dataset", "0 clips", "at least 1 clip")
        if window < 1:
            raise InputError("window", window, "at least 1 frame")
        self.window = window
        per_clip = [-(-len(clip) // window) for clip in self.clips]
        self._items = np.repeat(np.arange(len(self.clips)), per_clip)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    @property
    def n_frames(self) -> int:
        """Frames in all clips."""
        return sum(len(clip) for clip in self.clips)

    @property
    def items_per_epoch(self) -> int:
        """Windows in one pass: ``ceil(N / T)`` for each clip of N frames."""
        return len(self._items)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike, *, window: int = WINDOW_FRAMES) -> Self:
        """Read a folder of clips, of shards, or of files written by :meth:`save`, or one such file.

        Raises
        ------
        InputError
            When it is missing, holds none of them, or a file in it is broken.
        """
        return cls(read_features(folder), window=window)

    def save(self, path: str | os.PathLike) -> Path:
        """Write MFCC and landmarks, without sound or picture, to one file (safetensors)."""
        tensors = {
            "rows": np.concatenate([clip.rows for clip in self.clips]),
            "landmarks": np.concatenate([clip.landmarks for clip in self.clips]),
        }
        about = {
            "format": FORMAT,
            "clips": [(len(clip.rows), len(clip), clip.identity, clip.source) for clip in self.clips],
        }
        return write_atomically(path, to_safetensors(tensors, {"features": json.dumps(about)}))

    def statistics(self) -> dict[str, np.ndarray]:
        """Means and standard deviations over all clips, float32.

        ``mfcc_mean`` and ``mfcc_std`` ``(12,)``; ``landmark_mean`` and ``landmark_std`` ``(136,)`` in the
        units that networks see.
        """
        rows = np.concatenate([clip.rows for clip in self.clips]).astype(np.float64)
        faces = np.concatenate([clip.landmarks for clip in self.clips]).astype(np.float64)
        faces = normalise(faces).reshape(len(faces), -1)
        return {
            "landmark_mean": faces.mean(axis=0).astype(np.float32),
            "landmark_std": np.maximum(faces.std(axis=0), 1e-3).astype(np.float32),
            "mfcc_mean": rows.mean(axis=0).astype(np.float32),
            "mfcc_std": np.maximum(rows.std(axis=0), 1e-3).astype(np.float32),
        }

    def batch(self, places: Sequence[tuple[int, int, int]]) -> Batch:
        """Windows at given places.

        Parameters
        ----------
        places:
            ``(clip, first frame, example frame)`` for each window.
        """
        n_rows, n_coefficients = self.clips[0].windows(0, 1).shape[1:]
        mfcc = np.zeros((len(places), self.window, n_rows, n_coefficients), np.float32)
        landmarks = np.zeros((len(places), self.window, *self.clips[0].landmarks.shape[1:]), np.float32)
        example = np.zeros((len(places), *landmarks.shape[2:]), np.float32)
        mask = np.zeros(mfcc.shape[:2], bool)
        for i, (index, start, shown) in enumerate(places):
            clip = self.clips[index]
            stop = min(start + self.window, len(clip))
            n = stop - start
            mfcc[i, :n], landmarks[i, :n], mask[i, :n] = (
                clip.windows(start, stop),
                clip.landmarks[start:stop],
                True,
            )
            example[i] = clip.landmarks[shown]
        return Batch(
            **{
                name: torch.from_numpy(value)
                for name, value in (
                    ("mfcc", mfcc),
                    ("landmarks", landmarks),
                    ("example", example),
                    ("mask", mask),
                )
            }
        )

    def training_batch(
        self, places: Sequence[tuple[int, int, int]], generators: Sequence[np.random.Generator]
    ) -> Batch:
        """Windows as :meth:`batches` gives them; ``generators``, one a window, are for what varies them."""
        return self.batch(places)

    def batches(
        self,
        batch_size: int,
        seed: int,
        *,
        first_step: int = 0,
        rank: int = 0,
        ranks: int = 1,
        mfcc_shift: float = 0.0,
        closed_examples: float = 0.0,
    ) -> Iterator[Batch]:
        """Training batches without end: random windows, each with a random example frame of its clip.

        Parameters
        ----------
        batch_size:
            Windows in each batch.
        seed:
            Equal seeds give equal streams.
        first_step:
            Where in the stream to begin: batch n is the same whether or not the batches before it were taken.
        rank, ranks:
            Of several processes, each takes its own share of every pass.
        mfcc_shift:
            Ours: add to all MFCC of a window one random vector, normal with this share of each coefficient's
            standard deviation. A cepstrum adds what a spectrum multiplies, so this is another microphone.
        closed_examples:
            Ours: for this share of windows the example is the frame whose lips are nearest together, as in
            most photographs; a network cannot tell thick closed lips from thin parted ones.
        """
        shift = mfcc_shift * self.statistics()["mfcc_std"] if mfcc_shift else None
        position = (first_step * ranks + rank) * batch_size
        epoch, order = -1, np.zeros(0, np.int64)
        while True:
            places, shifts, generators = [], [], []
            for at in range(position, position + batch_size):
                if at // self.items_per_epoch != epoch:
                    epoch = at // self.items_per_epoch
                    order = np.random.default_rng([seed, epoch]).permutation(self.items_per_epoch)
                item = order[at % self.items_per_epoch]
                rng = np.random.default_rng([seed, epoch, item])
                index = int(self._items[item])
                n = len(self.clips[index])
                start = int(rng.integers(max(n - self.window, 0) + 1))
                places.append((index, start, int(rng.integers(n))))
                if closed_examples and rng.random() < closed_examples:
                    places[-1] = (index, start, int(lip_opening(self.clips[index].landmarks).argmin()))
                if shift is not None:
                    shifts.append(shift * rng.standard_normal(len(shift)))
                generators.append(rng)
            batch = self.training_batch(places, generators)
            if shift is not None:
                batch.mfcc.add_(torch.tensor(np.array(shifts, np.float32))[:, None, None])
            yield batch
            position += ranks * batch_size

    def passes(self, batch_size: int, *, example: int = 0) -> Iterator[Batch]:
        """Every frame of every clip exactly once, in order; the last batch may be smaller.

        ``example`` is the frame of each clip that serves as its photograph.
        """
        places = [
            (index, start, min(example, len(clip) - 1))
            for index, clip in enumerate(self.clips)
            for start in range(0, len(clip), self.window)
        ]
        for first in range(0, len(places), batch_size):
            yield self.batch(places[first : first + batch_size])


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


def read_clips(folder: str | os.PathLike, *, frames: bool = False) -> Iterator[Clip]:
    """The clips of a folder, one after the other; pictures stay on disk unless ``frames``."""
    for path in clip_files(folder):
        if path.suffix == SHARD_SUFFIX:
            yield from (clip for _, clip in read_shard(path, frames=frames))
        else:
            yield Clip.load(path, frames=frames)


def read_features(folder: str | os.PathLike) -> list[Features]:
    """The features of every clip of a folder; files of :meth:`Dataset.save` are taken as they are."""
    features: list[Features] = []
    for path in clip_files(folder):
        features += _saved_features(path) or [Features.of(clip) for clip in read_clips(path)]
    return features


def _saved_features(path: Path) -> list[Features]:
    """What :meth:`Dataset.save` wrote; nothing for a file of another kind."""
    if path.suffix == SHARD_SUFFIX:
        return []
    try:
        with safe_open(path, framework="np") as file:
            about: Mapping = json.loads((file.metadata() or {}).get("features", "{}"))
            if about.get("format") != FORMAT:
                return []
            rows, landmarks = file.get_tensor("rows"), file.get_tensor("landmarks")
    except (SafetensorError, json.JSONDecodeError, OSError):
        return []
    features, row, frame = [], 0, 0
    for n_rows, n_frames, identity, source in about["clips"]:
        features.append(
            Features(
                rows=rows[row : row + n_rows],
                landmarks=landmarks[frame : frame + n_frames],
                identity=identity,
                source=source,
            )
        )
        row, frame = row + n_rows, frame + n_frames
    return features


def pad_to_frames(speech: np.ndarray) -> np.ndarray:
    """Fill a last part of a frame up with silence: ``(n,)`` → ``(640·ceil(n / 640),)``."""
    speech = np.asarray(speech, np.float32)
    if speech.ndim != 1 or len(speech) == 0:
        raise InputError("speech", f"shape {speech.shape}", "float samples, shape (n,), n at least 1")
    return np.pad(speech, (0, -len(speech) % SAMPLES_PER_FRAME))
