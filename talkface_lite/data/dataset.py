"""Clips to batches: MFCC windows and landmarks of T frames, computed once, held in memory.

Nothing is dropped: a clip shorter than a window is padded and masked, and the stream of batches runs on from
one pass over the clips to the next, so there is no last, partial batch. The stream is a function of the seed
and the step alone, so a run that resumes at step n sees what an uninterrupted run sees.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from talkface_lite.clip import Clip
from talkface_lite.data.features import (
    Features,
    Folders,
    Moments,
    digest_of,
    read_features,
    save_features,
)
from talkface_lite.data.loading import InTurns, loaded
from talkface_lite.data.needs import Batch, DataSettings, Needs
from talkface_lite.data.points import vary_points
from talkface_lite.errors import InputError

Place = tuple[int, int, int]
"""A window: number of the clip, first frame, frame of the example."""


class Dataset:
    """Features of many clips in memory, and windows of them.

    Parameters
    ----------
    clips:
        Features, or clips, whose features are then computed.
    needs:
        What the batches are to hold; None: MFCC and landmarks, see
        :class:`~talkface_lite.data.needs.Needs`.
    settings:
        How the windows are drawn and varied.
    digest:
        A fingerprint of the files they come from; None makes one of the landmarks.
    **changes:
        Settings by name, instead of those in ``settings``: ``Dataset(clips, window=8)``.

    Raises
    ------
    InputError
        When there is no clip.
    """

    def __init__(
        self,
        clips: Iterable[Features | Clip],
        *,
        needs: Needs | None = None,
        settings: DataSettings | None = None,
        digest: str | None = None,
        **changes: Any,
    ) -> None:
        self.needs = needs or Needs()
        self.settings = replace(settings or DataSettings(), **changes)
        self.window = self.settings.window_of(self.needs)
        self.clips = [clip if isinstance(clip, Features) else Features.of(clip, self.needs) for clip in clips]
        if not self.clips:
            raise InputError("dataset", "0 clips", "at least 1 clip")
        per_clip = [-(-len(clip) // self.window) for clip in self.clips]
        self._items = np.repeat(np.arange(len(self.clips)), per_clip)
        self._digest = digest
        self._statistics: dict[str, np.ndarray] | None = None

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

    @property
    def digest(self) -> str:
        """A fingerprint of the data, 16 hex digits: of the list of files, or of what was handed in."""
        if self._digest is None:
            digest = hashlib.sha256()
            for clip in self.clips:
                digest.update(np.ascontiguousarray(clip.landmarks).tobytes())
            self._digest = digest.hexdigest()[:16]
        return self._digest

    @classmethod
    def from_folder(
        cls,
        source: Folders,
        *,
        needs: Needs | None = None,
        settings: DataSettings | None = None,
        **changes: Any,
    ) -> Self:
        """Read folders of clips, of shards, or of files written by :meth:`save`, or single such files.

        Raises
        ------
        InputError
            When one is missing, holds none of them, or a file in it is broken.
        """
        features = read_features(source, needs)
        return cls(features, needs=needs, settings=settings, digest=digest_of(source), **changes)

    def save(self, path: str | os.PathLike) -> Path:
        """Write MFCC and landmarks, without sound or picture, to one file (safetensors)."""
        return save_features(path, self.clips, self.needs)

    def statistics(self) -> dict[str, np.ndarray]:
        """Means and deviations over all clips, see :meth:`talkface_lite.data.features.Moments.statistics`."""
        if self._statistics is None:
            moments = Moments()
            for clip in self.clips:
                moments.add(clip)
            self._statistics = moments.statistics()
        return self._statistics

    def batch(self, places: Sequence[Place]) -> Batch:
        """Windows at given places.

        Parameters
        ----------
        places:
            For each window the number of the clip, its first frame, and the frame that is the example.
        """
        n, window = len(places), self.window
        mfcc = np.zeros((n, window, self.clips[0].window_rows, self.clips[0].rows.shape[1]), np.float32)
        landmarks = np.zeros((n, window, 68, 2), np.float32)
        example, mask = np.zeros((n, 68, 2), np.float32), np.zeros((n, window), bool)
        word, spoken = np.full(n, -1), np.zeros((n, window), bool)
        for i, (index, start, shown) in enumerate(places):
            clip = self.clips[index]
            stop = min(start + window, len(clip))
            there = slice(0, stop - start)
            mfcc[i, there], landmarks[i, there] = clip.windows(start, stop), clip.landmarks[start:stop]
            mask[i, there], example[i] = True, clip.landmarks[shown]
            word[i], spoken[i, there] = self._word_in(clip, start, stop)
        arrays = {"mfcc": mfcc, "landmarks": landmarks, "example": example, "mask": mask}
        if self.needs.words:
            arrays |= {"word": word, "spoken": spoken}
        return Batch(**{name: torch.from_numpy(value) for name, value in arrays.items()})

    def _word_in(self, clip: Features, start: int, stop: int) -> tuple[int, np.ndarray]:
        """The word of the vocabulary that most of these frames are spoken in, and which of them."""
        best, spoken = -1, np.zeros(stop - start, bool)
        for said in clip.words:
            if said.label in self.needs.words:
                frames = clip.spoken_in(said, start, stop)
                if frames.sum() > spoken.sum():
                    best, spoken = self.needs.words.index(said.label), frames
        return best, spoken

    def training_batch(self, places: Sequence[Place], generators: Sequence[np.random.Generator]) -> Batch:
        """Windows as :meth:`batches` gives them; ``generators``, one a window, are for what varies them."""
        batch = self.batch(places)
        for i, rng in enumerate(generators):
            vary_points(batch, i, rng, self.settings)
        return batch

    def batches(
        self, batch_size: int, seed: int, *, first_step: int = 0, rank: int = 0, ranks: int = 1
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
        """
        self.statistics()  # once, before workers take copies
        make = partial(self.training_batch_at, batch_size=batch_size, seed=seed, rank=rank, ranks=ranks)
        return loaded(InTurns(make, first_step), self.settings.workers)

    def training_batch_at(
        self, step: int, *, batch_size: int, seed: int, rank: int = 0, ranks: int = 1
    ) -> Batch:
        """Batch ``step`` of :meth:`batches`."""
        shift = None
        if self.settings.mfcc_shift:
            shift = self.settings.mfcc_shift * self.statistics()["mfcc_std"]
        position = (step * ranks + rank) * batch_size
        places, shifts, generators = [], [], []
        for at in range(position, position + batch_size):
            epoch, nth = divmod(at, self.items_per_epoch)
            item = self._order(seed, epoch)[nth]
            rng = np.random.default_rng([seed, epoch, item])
            places.append(self._draw(int(self._items[item]), rng))
            if shift is not None:
                shifts.append(shift * rng.standard_normal(len(shift)))
            generators.append(rng)
        batch = self.training_batch(places, generators)
        if shift is not None:
            batch.mfcc.add_(torch.tensor(np.array(shifts, np.float32))[:, None, None])
        return batch

    def _draw(self, index: int, rng: np.random.Generator) -> Place:
        """A random window of a clip, and the frame that is its example."""
        clip = self.clips[index]
        first, last = 0, max(len(clip) - self.window, 0)
        said = [word for word in clip.words if word.label in self.needs.words]
        if said:  # around one of them, the whole of it where the window is long enough
            frames = np.flatnonzero(clip.spoken_in(said[int(rng.integers(len(said)))], 0, len(clip)))
            if len(frames):
                low, high = sorted((int(frames[-1]) + 1 - self.window, int(frames[0])))
                first, last = min(max(low, 0), last), min(max(high, 0), last)
        start = int(rng.integers(first, last + 1))
        return index, start, clip.example_drawn(self.settings, rng)

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if getattr(self, "_ordered", None) != (seed, epoch):
            self._ordered = (seed, epoch)
            self._permutation = np.random.default_rng([seed, epoch]).permutation(self.items_per_epoch)
        return self._permutation

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
